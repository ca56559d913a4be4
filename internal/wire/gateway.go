package wire

// The frames between a gateway and a server name the client's session at that
// gateway, a number of the gateway's choice; but for FrontAttach the rest of
// the payload is that of the client's frame, so a gateway only moves it over.

const sessionBytes = 4

// GatewayAttach opens a session:
// session u32 | role u8 | 0 * 3 | client u32 | clientSalt 16 | proof 16.
type GatewayAttach struct {
	Session uint32
	Role    uint8 // 1 ingestion, 2 storage, 3 both
	Client  uint32
	Salt    [16]byte
	Proof   [16]byte
}

const gatewayAttachBytes = 44

// Append appends the frame.
func (m *GatewayAttach) Append(dst []byte) []byte {
	dst = le.AppendUint32(Begin(dst, TypeGatewayAttach, gatewayAttachBytes), m.Session)
	dst = le.AppendUint32(append(dst, m.Role, 0, 0, 0), m.Client)
	dst = append(dst, m.Salt[:]...)
	return append(dst, m.Proof[:]...)
}

// Parse reads the payload.
func (m *GatewayAttach) Parse(b []byte) error {
	if len(b) != gatewayAttachBytes {
		return ErrLength
	}
	m.Session = le.Uint32(b)
	m.Role = b[4]
	m.Client = le.Uint32(b[8:])
	m.Salt = [16]byte(b[12:])
	m.Proof = [16]byte(b[28:])
	if !validRole(m.Role) {
		return ErrValue
	}
	if b[5]|b[6]|b[7] != 0 {
		return ErrReserved
	}
	return nil
}

// Detach closes a session: session u32.
type Detach struct{ Session uint32 }

// Append appends the frame.
func (m *Detach) Append(dst []byte) []byte {
	return le.AppendUint32(Begin(dst, TypeDetach, sessionBytes), m.Session)
}

// Parse reads the payload.
func (m *Detach) Parse(b []byte) error {
	if len(b) != sessionBytes {
		return ErrLength
	}
	m.Session = le.Uint32(b)
	return nil
}

// GatewayCellUp is CellUp of a session.
type GatewayCellUp struct {
	Session uint32
	Cell    CellUp
}

// Append appends the frame.
func (m *GatewayCellUp) Append(dst []byte) []byte {
	dst = Begin(dst, TypeGatewayCellUp, sessionBytes+cellUpBytes+len(m.Cell.Sealed))
	return m.Cell.payload(le.AppendUint32(dst, m.Session))
}

// Parse reads the payload.
func (m *GatewayCellUp) Parse(b []byte) (err error) {
	if m.Session, b, err = SplitSession(b); err != nil {
		return err
	}
	return m.Cell.Parse(b)
}

// GatewayAttached is Attached of a session.
type GatewayAttached struct {
	Session  uint32
	Attached Attached
}

// Append appends the frame.
func (m *GatewayAttached) Append(dst []byte) []byte {
	dst = Begin(dst, TypeGatewayAttached, sessionBytes+attachedBytes)
	return m.Attached.payload(le.AppendUint32(dst, m.Session))
}

// Parse reads the payload.
func (m *GatewayAttached) Parse(b []byte) (err error) {
	if m.Session, b, err = SplitSession(b); err != nil {
		return err
	}
	return m.Attached.Parse(b)
}

// GatewayCellDown is CellDown of a session.
type GatewayCellDown struct {
	Session uint32
	Cell    CellDown
}

// Append appends the frame.
func (m *GatewayCellDown) Append(dst []byte) []byte {
	return append(m.AppendHead(dst, len(m.Cell.Sealed)), m.Cell.Sealed...)
}

// AppendHead appends the frame up to its sealed cell of n bytes, which the
// caller seals right behind it. Cell.Sealed is not used.
func (m *GatewayCellDown) AppendHead(dst []byte, n int) []byte {
	dst = Begin(dst, TypeGatewayCellDown, sessionBytes+cellDownBytes+n)
	dst = le.AppendUint32(dst, m.Session)
	dst = le.AppendUint16(dst, m.Cell.Type)
	dst = le.AppendUint16(dst, m.Cell.Attempt)
	return le.AppendUint64(dst, m.Cell.Epoch)
}

// Parse reads the payload.
func (m *GatewayCellDown) Parse(b []byte) (err error) {
	if m.Session, b, err = SplitSession(b); err != nil {
		return err
	}
	return m.Cell.Parse(b)
}

// GatewayRefused is Refused of a session.
type GatewayRefused struct {
	Session uint32
	Refused Refused
}

// Append appends the frame.
func (m *GatewayRefused) Append(dst []byte) []byte {
	dst = Begin(dst, TypeGatewayRefused, sessionBytes+refusedBytes)
	return m.Refused.payload(le.AppendUint32(dst, m.Session))
}

// Parse reads the payload.
func (m *GatewayRefused) Parse(b []byte) (err error) {
	if m.Session, b, err = SplitSession(b); err != nil {
		return err
	}
	return m.Refused.Parse(b)
}

// SplitSession takes the session off the payload of a front frame; the rest,
// a view, is the payload of the client's frame.
func SplitSession(b []byte) (session uint32, rest []byte, err error) {
	if len(b) < sessionBytes {
		return 0, nil, ErrLength
	}
	return le.Uint32(b), b[sessionBytes:], nil
}

// AppendGateway appends the front frame of a client's payload: what a gateway
// does with a CellUp.
func AppendGateway(dst []byte, typ Type, session uint32, payload []byte) []byte {
	dst = le.AppendUint32(Begin(dst, typ, sessionBytes+len(payload)), session)
	return append(dst, payload...)
}

// AppendClient appends the client's frame of a payload without its session:
// what a gateway does with an Attached, a CellDown, a Refused.
func AppendClient(dst []byte, typ Type, payload []byte) []byte {
	return append(Begin(dst, typ, len(payload)), payload...)
}

// ClientType is the type of the client's frame that a front frame holds, or 0.
func ClientType(typ Type) Type {
	switch typ {
	case TypeGatewayCellUp:
		return TypeCellUp
	case TypeGatewayAttached:
		return TypeAttached
	case TypeGatewayCellDown:
		return TypeCellDown
	case TypeGatewayRefused:
		return TypeRefused
	}
	return 0
}
