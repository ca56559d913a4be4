package wire

import "math/bits"

// Roster says which clients are connected for an epoch: two bits for each ID
// below Limit. limit u32 | ingestion bits | storage bits, ceil(limit/8) bytes
// each; client c is bit c mod 8 of byte c div 8. The bits from limit on are 0.
type Roster struct {
	Limit     uint32
	Ingestion []byte // views after Parse
	Storage   []byte
}

const rosterHead = 4

// NewRoster is a roster of limit IDs, none connected.
func NewRoster(limit uint32) *Roster {
	n := rosterRow(limit)
	b := make([]byte, 2*n)
	return &Roster{limit, b[:n:n], b[n:]}
}

// rosterRow is the bytes of a row of bits.
func rosterRow(limit uint32) int { return int((uint64(limit) + 7) / 8) }

func (r *Roster) row(role uint8) []byte {
	if role == 1 {
		return r.Ingestion
	}
	return r.Storage
}

// Get says whether client id is connected to its server of role, 1 for
// ingestion, 2 for storage. IDs from Limit on are not.
func (r *Roster) Get(role uint8, id uint32) bool {
	return id < r.Limit && r.row(role)[id/8]>>(id%8)&1 == 1
}

// Set says that client id is connected to its server of role, or not. It does
// nothing for IDs from Limit on.
func (r *Roster) Set(role uint8, id uint32, up bool) {
	if id >= r.Limit {
		return
	}
	if up {
		r.row(role)[id/8] |= 1 << (id % 8)
	} else {
		r.row(role)[id/8] &^= 1 << (id % 8)
	}
}

// Counts is how many clients are connected for submission and for delivery.
func (r *Roster) Counts() (ingestion, storage int) {
	return countBits(r.Ingestion), countBits(r.Storage)
}

func countBits(b []byte) (n int) {
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(le.Uint64(b))
	}
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// Clone is a copy that shares nothing.
func (r *Roster) Clone() *Roster {
	c := NewRoster(r.Limit)
	copy(c.Ingestion, r.Ingestion)
	copy(c.Storage, r.Storage)
	return c
}

// Bytes is the length of the encoding.
func (r *Roster) Bytes() int { return rosterHead + 2*rosterRow(r.Limit) }

// Append appends the encoding, without a frame: what is hashed into A.
func (r *Roster) Append(dst []byte) []byte {
	dst = le.AppendUint32(dst, r.Limit)
	dst = append(dst, r.Ingestion...)
	return append(dst, r.Storage...)
}

// Parse reads an encoding, which must be all of b and canonical.
func (r *Roster) Parse(b []byte) error {
	if len(b) < rosterHead {
		return ErrLength
	}
	limit := le.Uint32(b)
	n := rosterRow(limit)
	if len(b) != rosterHead+2*n {
		return ErrLength
	}
	r.Limit, r.Ingestion, r.Storage = limit, b[rosterHead:rosterHead+n:rosterHead+n], b[rosterHead+n:len(b):len(b)]
	if used := limit % 8; used != 0 && (r.Ingestion[n-1]|r.Storage[n-1])>>used != 0 {
		return ErrReserved
	}
	return nil
}
