// Package reference holds deliberately dumb, obviously right versions of what
// an epoch does: which messages land in which cell of which mailbox, what each
// sender learns, and which tokens and passes are issued. It is imported by
// tests only; it is not oblivious in anything, and not fast.
//
// The outcome is a function of the accepted submissions, of the ties and of
// the public parameters alone: there are no servers, links or attempts here.
package reference

// Parameters are a deployment's public values in one epoch.
type Parameters struct {
	Open        bool   // priority: open
	Contact     int    // k_contact, or k_id in the open mode; 0 without ID channel
	Stranger    int    // k_stranger; 0 in the open mode
	Slots       int    // k_token
	Lmax, Hmax  uint64 // limits on tokens and passes, in epochs
	Eras        []uint32
	Users       []uint32 // U_v of each virtual shard
	Generations []uint32 // of each virtual shard
}

// Exists reports whether the client c was ever allocated.
func (p *Parameters) Exists(c uint32) bool {
	v := uint64(len(p.Users))
	return uint64(c)/v < uint64(p.Users[uint64(c)%v])
}

// Generation returns the generation of the shard of client c.
func (p *Parameters) Generation(c uint32) uint32 {
	return p.Generations[uint64(c)%uint64(len(p.Generations))]
}

// Kinds of token.
const (
	Token = 1
	Pass  = 2
)

// Grant is a token or a pass with its MAC.
type Grant struct {
	Kind            uint8
	Slot            uint16 // of a token, else 0
	Sender          uint32
	Recipient       uint32
	Ceiling         uint32 // of a pass, else 0
	Era, Generation uint32
	E1, E2          uint64
	MAC             [16]byte
}

// valid reports whether g may be used in the epoch, and if not, whether only
// because of the time.
func (p *Parameters) valid(g Grant, epoch uint64, verify func(Grant) bool) (valid, proven bool) {
	era := false
	for _, e := range p.Eras {
		if e == g.Era {
			era = true
		}
	}
	if !era || g.Generation != p.Generation(g.Recipient) || !verify(g) {
		return false, false
	}
	if g.Kind == Token && int(g.Slot) >= p.Slots {
		return false, false
	}
	return g.E1 <= epoch && epoch < g.E2, true
}
