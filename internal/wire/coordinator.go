package wire

import "unicode/utf8"

// Propose asks a server to begin an attempt: epoch u64 | attempt u16 | 0 u16 |
// roster.
type Propose struct {
	Epoch   uint64
	Attempt uint16
	Roster  Roster
}

const proposeHead = 12

// Append appends the frame.
func (m *Propose) Append(dst []byte) []byte {
	dst = le.AppendUint64(Begin(dst, TypePropose, proposeHead+m.Roster.Bytes()), m.Epoch)
	dst = append(le.AppendUint16(dst, m.Attempt), 0, 0)
	return m.Roster.Append(dst)
}

// Parse reads the payload. Epochs and attempts count from 1.
func (m *Propose) Parse(b []byte) error {
	if len(b) < proposeHead {
		return ErrLength
	}
	m.Epoch = le.Uint64(b)
	m.Attempt = le.Uint16(b[8:])
	if b[10]|b[11] != 0 {
		return ErrReserved
	}
	if m.Epoch == 0 || m.Attempt == 0 {
		return ErrValue
	}
	return m.Roster.Parse(b[proposeHead:])
}

// EpochReport is what a server says of the newest epoch that it finished. All
// of it is public: times and bytes that the host sees anyway. Epoch 0 for none.
//
//	epoch u64 | attempt u16 | void u8 | 0 * 5 | the seven numbers u64
type EpochReport struct {
	Epoch           uint64
	Attempt         uint16
	Void            bool
	RoutingNanos    uint64 // start of routing to the last cell placed
	DeliveredNanos  uint64 // the epoch interval: start of routing to the last delivery handed to the network
	AheadNanos      uint64 // work for the epoch done before routing started
	BytesToPeers    uint64
	CPUNanosTotal   uint64
	CPUNanosRouting uint64
	RSSBytes        uint64
}

const reportBytes = 72

func (r *EpochReport) append(dst []byte) []byte {
	dst = le.AppendUint64(dst, r.Epoch)
	dst = le.AppendUint16(dst, r.Attempt)
	void := byte(0)
	if r.Void {
		void = 1
	}
	dst = append(dst, void, 0, 0, 0, 0, 0)
	for _, v := range r.numbers() {
		dst = le.AppendUint64(dst, *v)
	}
	return dst
}

func (r *EpochReport) numbers() [7]*uint64 {
	return [7]*uint64{&r.RoutingNanos, &r.DeliveredNanos, &r.AheadNanos, &r.BytesToPeers,
		&r.CPUNanosTotal, &r.CPUNanosRouting, &r.RSSBytes}
}

func (r *EpochReport) parse(b []byte) error {
	r.Epoch = le.Uint64(b)
	r.Attempt = le.Uint16(b[8:])
	r.Void = b[10] == 1
	for i, v := range r.numbers() {
		*v = le.Uint64(b[16+8*i:])
	}
	if b[10] > 1 {
		return ErrValue
	}
	if b[11]|b[12]|b[13]|b[14]|b[15] != 0 {
		return ErrReserved
	}
	return nil
}

// Status is what a server tells the coordinator whenever it changes:
//
//	committed u64 | offered u64 | open u64 | attempt u16 | peers u16 | submissions u32 |
//	controls u32 | attached u32 | report 72 | U_v u32 each
type Status struct {
	Committed   uint64 // newest committed epoch
	Offered     uint64 // newest committed epoch of which gateways were handed all cells
	Open        uint64 // epoch that takes submissions
	Attempt     uint16 // begun, 0 for none
	Peers       uint16 // links to other servers that are up
	Submissions uint32 // accepted for Open
	Controls    uint32 // accepted for Open
	Attached    uint32 // sessions
	Newest      EpochReport
	Users       []uint32 // U_v: IDs ever allocated, by virtual shard
}

const statusHead = 40 + reportBytes

// Append appends the frame.
func (m *Status) Append(dst []byte) []byte {
	dst = le.AppendUint64(Begin(dst, TypeStatus, statusHead+4*len(m.Users)), m.Committed)
	dst = le.AppendUint64(dst, m.Offered)
	dst = le.AppendUint64(dst, m.Open)
	dst = le.AppendUint16(dst, m.Attempt)
	dst = le.AppendUint16(dst, m.Peers)
	dst = le.AppendUint32(dst, m.Submissions)
	dst = le.AppendUint32(dst, m.Controls)
	dst = le.AppendUint32(dst, m.Attached)
	dst = m.Newest.append(dst)
	for _, u := range m.Users {
		dst = le.AppendUint32(dst, u)
	}
	return dst
}

// Parse reads the payload. It keeps the room of m.Users.
func (m *Status) Parse(b []byte) error {
	if len(b) < statusHead || (len(b)-statusHead)%4 != 0 {
		return ErrLength
	}
	m.Committed = le.Uint64(b)
	m.Offered = le.Uint64(b[8:])
	m.Open = le.Uint64(b[16:])
	m.Attempt = le.Uint16(b[24:])
	m.Peers = le.Uint16(b[26:])
	m.Submissions = le.Uint32(b[28:])
	m.Controls = le.Uint32(b[32:])
	m.Attached = le.Uint32(b[36:])
	m.Users = m.Users[:0]
	for u := b[statusHead:]; len(u) > 0; u = u[4:] {
		m.Users = append(m.Users, le.Uint32(u))
	}
	return m.Newest.parse(b[40:])
}

// Stopped is the last thing a server says when it stops for good: a reason
// for people, UTF-8, at most StoppedLimit bytes. It names no client.
type Stopped struct{ Reason string }

// StoppedLimit is the longest reason, in bytes.
const StoppedLimit = 1024

// Append appends the frame. A longer reason is cut.
func (m *Stopped) Append(dst []byte) []byte {
	reason := m.Reason
	if len(reason) > StoppedLimit {
		n := StoppedLimit
		for n > 0 && !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	return append(Begin(dst, TypeStopped, len(reason)), reason...)
}

// Parse reads the payload.
func (m *Stopped) Parse(b []byte) error {
	if len(b) > StoppedLimit {
		return ErrLength
	}
	if !utf8.Valid(b) {
		return ErrValue
	}
	m.Reason = string(b)
	return nil
}

// Connection is a client that attached or detached:
// client u32 | role u8 | up u8 | 0 u16.
type Connection struct {
	Client uint32
	Role   uint8 // 1 ingestion, 2 storage, 3 both
	Up     bool
}

const connectionBytes = 8

// Connections is what changed at a gateway since the last such frame, in order:
// at most ConnectionsLimit changes.
type Connections struct{ Changes []Connection }

// ConnectionsLimit is the most changes in a frame.
const ConnectionsLimit = 1 << 17

// Append appends the frame.
func (m *Connections) Append(dst []byte) []byte {
	dst = Begin(dst, TypeConnections, connectionBytes*len(m.Changes))
	for _, c := range m.Changes {
		up := byte(0)
		if c.Up {
			up = 1
		}
		dst = append(le.AppendUint32(dst, c.Client), c.Role, up, 0, 0)
	}
	return dst
}

// Parse reads the payload. It keeps the room of m.Changes.
func (m *Connections) Parse(b []byte) error {
	if len(b)%connectionBytes != 0 || len(b)/connectionBytes > ConnectionsLimit {
		return ErrLength
	}
	m.Changes = m.Changes[:0]
	for ; len(b) > 0; b = b[connectionBytes:] {
		if !validRole(b[4]) || b[5] > 1 {
			return ErrValue
		}
		if b[6]|b[7] != 0 {
			return ErrReserved
		}
		m.Changes = append(m.Changes, Connection{le.Uint32(b), b[4], b[5] == 1})
	}
	return nil
}
