package token

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrEncoding reports bytes that are not an encoding of Slots.
var ErrEncoding = errors.New("token: not an encoding of slot tables")

// Slots holds a storage server's watermarks: per client and slot the first
// epoch that no issued token of this generation reaches. A value is one state;
// an attempt works on a Clone, which can be thrown away. The contents are
// secret; how many clients there are is public.
type Slots struct {
	slots int
	marks [][]uint64 // per virtual shard; client c has slots from c/V*slots on in shard c%V
}

// NewSlots returns empty tables of the given slots per client over the given
// number of virtual shards.
func NewSlots(slots uint16, shards int) *Slots {
	return &Slots{slots: int(slots), marks: make([][]uint64, shards)}
}

// Clone returns a copy that shares nothing with s.
func (s *Slots) Clone() *Slots {
	c := new(Slots)
	c.CopyFrom(s)
	return c
}

// CopyFrom makes s equal to o, reusing the memory of s.
func (s *Slots) CopyFrom(o *Slots) {
	s.slots = o.slots
	if len(s.marks) != len(o.marks) {
		s.marks = make([][]uint64, len(o.marks))
	}
	for v := range o.marks {
		s.marks[v] = append(s.marks[v][:0], o.marks[v]...)
	}
}

// Users returns how many clients of virtual shard v have slots here.
func (s *Slots) Users(v int) uint32 {
	if s.slots == 0 {
		return 0
	}
	return uint32(len(s.marks[v]) / s.slots)
}

// Grow makes room for the first users clients of virtual shard v; new slots
// have watermark 0. It never shrinks.
func (s *Slots) Grow(v int, users uint32) error {
	if v < 0 || v >= len(s.marks) {
		return ErrForeign
	}
	if more := int(users)*s.slots - len(s.marks[v]); more > 0 {
		s.marks[v] = append(s.marks[v], make([]uint64, more)...)
	}
	return nil
}

// of returns the slots of client c, which is public.
func (s *Slots) of(c uint32) ([]uint64, error) {
	if len(s.marks) == 0 {
		return nil, ErrForeign
	}
	v, q := int(c)%len(s.marks), int(c)/len(s.marks)
	if (q+1)*s.slots > len(s.marks[v]) {
		return nil, ErrForeign
	}
	return s.marks[v][q*s.slots : (q+1)*s.slots : (q+1)*s.slots], nil
}

// Append appends the encoding of s to b, for sealing:
// slots u32 | shards u32, then per shard: watermarks u32 | watermark u64 each.
func (s *Slots) Append(b []byte) []byte {
	le := binary.LittleEndian
	size := 8
	for _, marks := range s.marks {
		size += 4 + 8*len(marks)
	}
	b = slices.Grow(b, size)
	b = le.AppendUint32(b, uint32(s.slots))
	b = le.AppendUint32(b, uint32(len(s.marks)))
	for _, marks := range s.marks {
		b = le.AppendUint32(b, uint32(len(marks)))
		for _, m := range marks {
			b = le.AppendUint64(b, m)
		}
	}
	return b
}

// ParseSlots reads what Append wrote, all of b. It allocates no more than a
// small multiple of len(b).
func ParseSlots(b []byte) (*Slots, error) {
	le := binary.LittleEndian
	if len(b) < 8 {
		return nil, ErrEncoding
	}
	slots, shards := le.Uint32(b), le.Uint32(b[4:])
	b = b[8:]
	if slots > 1<<16-1 || uint64(shards)*4 > uint64(len(b)) {
		return nil, ErrEncoding
	}
	s := NewSlots(uint16(slots), int(shards))
	for v := range s.marks {
		if len(b) < 4 {
			return nil, ErrEncoding
		}
		n := le.Uint32(b)
		b = b[4:]
		if uint64(n)*8 > uint64(len(b)) || n > 0 && (slots == 0 || n%slots != 0) {
			return nil, ErrEncoding
		}
		s.marks[v] = make([]uint64, n)
		for i := range s.marks[v] {
			s.marks[v][i] = le.Uint64(b[8*i:])
		}
		b = b[8*n:]
	}
	if len(b) != 0 {
		return nil, ErrEncoding
	}
	return s, nil
}
