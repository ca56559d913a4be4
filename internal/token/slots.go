package token

// Slots holds a storage server's watermarks: per client and slot the first
// epoch that no issued token of this generation covers. A value is one state;
// an attempt works on a Clone, which can be thrown away.
type Slots struct {
	slots int
	marks [][]uint64 // per virtual shard; client c is entry c/V of shard c%V
}

// NewSlots returns empty tables of the given slots per client over the given
// number of virtual shards.
func NewSlots(slots uint16, shards int) *Slots {
	return &Slots{slots: int(slots), marks: make([][]uint64, shards)}
}

// Clone returns a copy that shares nothing with s.
func (s *Slots) Clone() *Slots { return &Slots{} }

// CopyFrom makes s equal to o, reusing the memory of s.
func (s *Slots) CopyFrom(o *Slots) {}

// Grow makes room for the first users clients of virtual shard v, which is held
// here from then on. It never shrinks.
func (s *Slots) Grow(v int, users uint32) error { return ErrSize }

// Append appends the encoding of s to b, for sealing.
func (s *Slots) Append(b []byte) []byte { return b }

// ParseSlots reads what Append wrote, all of b.
func ParseSlots(b []byte) (*Slots, error) { return nil, ErrSize }

// Requests is a view of the requests inside opened control cells, laid out as
// in docs/protocol.md 1.3. Request j of control cell i starts at
// First + i*Control + j*RequestBytes. A client occurs at most once. The contents
// of Data are secret, all else is public.
type Requests struct {
	Data      []byte
	First     int
	Control   int
	PerClient int
	Clients   []uint32 // who sent each control cell
}

// Answers is where answers go: answer j of control cell i at
// First + i*Delivery + j*AnswerBytes of Data.
type Answers struct {
	Data     []byte
	First    int
	Delivery int
}

// Issuer answers requests at a storage server.
type Issuer struct{}

// NewIssuer returns an Issuer for the rules and the current key era.
func NewIssuer(rules Rules, key Key) *Issuer { return &Issuer{} }

// Issue answers all requests carried by epoch now and moves the watermarks of
// s, which should be a Clone of the committed state.
func (x *Issuer) Issue(now uint64, dir *Directory, s *Slots, in Requests, out Answers) error {
	return ErrSize
}
