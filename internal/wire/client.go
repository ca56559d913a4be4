package wire

// Attach opens a session of a client: client u32 | clientSalt 16 | proof 16.
type Attach struct {
	Client uint32
	Salt   [16]byte
	Proof  [16]byte // that its author has the client's key
}

const attachBytes = 36

// Append appends the frame.
func (m *Attach) Append(dst []byte) []byte {
	return m.payload(Begin(dst, TypeAttach, attachBytes))
}

func (m *Attach) payload(dst []byte) []byte {
	dst = append(le.AppendUint32(dst, m.Client), m.Salt[:]...)
	return append(dst, m.Proof[:]...)
}

// Parse reads the payload.
func (m *Attach) Parse(b []byte) error {
	if len(b) != attachBytes {
		return ErrLength
	}
	m.Client = le.Uint32(b)
	m.Salt = [16]byte(b[4:])
	m.Proof = [16]byte(b[20:])
	return nil
}

// Attached answers Attach: server u32 | serverSalt 16 | generation u32, where
// generation is that of the client's key.
type Attached struct {
	Server     uint32
	Salt       [16]byte
	Generation uint32
}

const attachedBytes = 24

// Append appends the frame.
func (m *Attached) Append(dst []byte) []byte {
	return m.payload(Begin(dst, TypeAttached, attachedBytes))
}

func (m *Attached) payload(dst []byte) []byte {
	dst = append(le.AppendUint32(dst, m.Server), m.Salt[:]...)
	return le.AppendUint32(dst, m.Generation)
}

// Parse reads the payload.
func (m *Attached) Parse(b []byte) error {
	if len(b) != attachedBytes {
		return ErrLength
	}
	m.Server = le.Uint32(b)
	m.Salt = [16]byte(b[4:])
	m.Generation = le.Uint32(b[20:])
	return nil
}

// CellUp carries a sealed cell from a client:
// type u16 | 0 u16 | epoch u64 | sequence u64 | sealed.
type CellUp struct {
	Type            uint16 // 1 submission, 2 control, 6 both
	Epoch, Sequence uint64
	Sealed          []byte // a view after Parse
}

const (
	cellUpBytes = 20 // before the sealed cell
	tagBytes    = 16 // shortest sealed cell
)

// Append appends the frame.
func (m *CellUp) Append(dst []byte) []byte {
	return m.payload(Begin(dst, TypeCellUp, cellUpBytes+len(m.Sealed)))
}

func (m *CellUp) payload(dst []byte) []byte {
	dst = append(le.AppendUint16(dst, m.Type), 0, 0)
	dst = le.AppendUint64(dst, m.Epoch)
	dst = le.AppendUint64(dst, m.Sequence)
	return append(dst, m.Sealed...)
}

// Parse reads the payload. Whether the sealed cell has the length of its type
// is for the receiver, who knows the geometry.
func (m *CellUp) Parse(b []byte) error {
	if len(b) < cellUpBytes+tagBytes {
		return ErrLength
	}
	m.Type = le.Uint16(b)
	m.Epoch = le.Uint64(b[4:])
	m.Sequence = le.Uint64(b[12:])
	m.Sealed = b[cellUpBytes:len(b):len(b)]
	if m.Type != 1 && m.Type != 2 && m.Type != 6 {
		return ErrValue
	}
	if b[2]|b[3] != 0 {
		return ErrReserved
	}
	return nil
}

// CellDown carries a sealed cell to a client:
// type u16 | attempt u16 | epoch u64 | sealed.
type CellDown struct {
	Type, Attempt uint16 // type: 3 result, 4 delivery, 5 announcement, 7 result and delivery
	Epoch         uint64
	Sealed        []byte // a view after Parse
}

const cellDownBytes = 12 // before the sealed cell

// Append appends the frame.
func (m *CellDown) Append(dst []byte) []byte {
	return m.payload(Begin(dst, TypeCellDown, cellDownBytes+len(m.Sealed)))
}

func (m *CellDown) payload(dst []byte) []byte {
	dst = le.AppendUint16(dst, m.Type)
	dst = le.AppendUint16(dst, m.Attempt)
	dst = le.AppendUint64(dst, m.Epoch)
	return append(dst, m.Sealed...)
}

// Parse reads the payload.
func (m *CellDown) Parse(b []byte) error {
	if len(b) < cellDownBytes+tagBytes {
		return ErrLength
	}
	m.Type = le.Uint16(b)
	m.Attempt = le.Uint16(b[2:])
	m.Epoch = le.Uint64(b[4:])
	m.Sealed = b[cellDownBytes:len(b):len(b)]
	if (m.Type < 3 || m.Type > 5) && m.Type != 7 {
		return ErrValue
	}
	return nil
}

// Refused says that a cell or an attachment was not taken:
// code u16 | 0 u16 | epoch u64. Epoch is that of the cell, or 0.
type Refused struct {
	Code  Code
	Epoch uint64
}

const refusedBytes = 12

// Append appends the frame.
func (m *Refused) Append(dst []byte) []byte {
	return m.payload(Begin(dst, TypeRefused, refusedBytes))
}

func (m *Refused) payload(dst []byte) []byte {
	dst = append(le.AppendUint16(dst, uint16(m.Code)), 0, 0)
	return le.AppendUint64(dst, m.Epoch)
}

// Parse reads the payload.
func (m *Refused) Parse(b []byte) error {
	if len(b) != refusedBytes {
		return ErrLength
	}
	m.Code = Code(le.Uint16(b))
	m.Epoch = le.Uint64(b[4:])
	if m.Code == 0 || m.Code > lastCode {
		return ErrValue
	}
	if b[2]|b[3] != 0 {
		return ErrReserved
	}
	return nil
}
