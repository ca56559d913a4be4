package epoch

import (
	"encoding/binary"

	"github.com/teems-go/teems/geometry"
)

// member is a registered client: the hash of its registration public key, and
// how often its keys were renewed.
type member struct {
	generation uint32
	keyHash    [32]byte
}

// change is one registration that an epoch makes: a new ID, or a new generation
// of one.
type change struct {
	id uint32
	member
}

// registry is every ID ever allocated, by virtual shard: client u*V + v is entry
// u of shard v. All of it is public.
type registry struct {
	g       *geometry.Geometry
	members [][]member
}

func newRegistry(g *geometry.Geometry, simulated int) registry {
	r := registry{g: g, members: make([][]member, g.VirtualShards())}
	for v := range r.members {
		n := max(0, (simulated-v+g.VirtualShards()-1)/g.VirtualShards())
		r.members[v] = make([]member, n)
	}
	return r
}

// users is U_v for every virtual shard.
func (r registry) users() []int {
	n := make([]int, len(r.members))
	for v := range r.members {
		n[v] = len(r.members[v])
	}
	return n
}

// find returns the entry of an allocated ID, or nil.
func (r registry) find(id uint32) *member {
	v, u := int(id)%len(r.members), int(id)/len(r.members)
	if u >= len(r.members[v]) {
		return nil
	}
	return &r.members[v][u]
}

// apply makes a change. Changes of one epoch come in the order of the storage
// servers that assigned them, so IDs of a shard rise by one.
func (r registry) apply(c change) bool {
	v, u := int(c.id)%len(r.members), int(c.id)/len(r.members)
	switch {
	case u < len(r.members[v]):
		r.members[v][u] = c.member
	case u == len(r.members[v]) && u < r.g.MaxUsers(v):
		r.members[v] = append(r.members[v], c.member)
	default:
		return false
	}
	return true
}

// may says whether storage server d could make a registration, after those that
// wait already.
func (r registry) may(d int, a Registration, waiting []Registration) RegistrationStatus {
	table := r.g.StorageTable()
	if a.Again {
		m := r.find(a.ID)
		switch {
		case m == nil || int(table[int(a.ID)%len(table)]) != d:
			return RegistrationBad
		case m.keyHash != a.KeyHash:
			return RegistrationRefused
		}
		return RegistrationDone
	}
	room := 0
	for v, owner := range table {
		if int(owner) == d {
			room += r.g.MaxUsers(v) - len(r.members[v])
		}
	}
	for _, w := range waiting {
		if !w.Again {
			room--
		}
	}
	if room < 1 {
		return RegistrationFull
	}
	return RegistrationDone
}

// assign turns registrations that wait at storage server d into changes, at most
// so many. New IDs go to the emptiest shard.
func (r registry) assign(d int, asked []Registration, most int) (changes []change) {
	table := r.g.StorageTable()
	used := make([]int, len(table))
	for v := range table {
		used[v] = len(r.members[v])
	}
	again := map[uint32]bool{}
	for _, a := range asked {
		if len(changes) == most {
			break
		}
		if a.Again {
			if m := r.find(a.ID); !again[a.ID] && r.may(d, a, nil) == RegistrationDone {
				again[a.ID] = true
				changes = append(changes, change{a.ID, member{m.generation + 1, a.KeyHash}})
			}
			continue
		}
		best := -1
		for v, owner := range table {
			if int(owner) == d && used[v] < r.g.MaxUsers(v) && (best < 0 || used[v] < used[best]) {
				best = v
			}
		}
		if best >= 0 {
			changes = append(changes, change{uint32(used[best]*len(table) + best), member{1, a.KeyHash}})
			used[best]++
		}
	}
	return changes
}

// appendChange and parseChanges are the layout of the Members frame, and of the
// registry on disk.
func appendChange(b []byte, c change) []byte {
	b = binary.LittleEndian.AppendUint32(b, c.id)
	b = binary.LittleEndian.AppendUint32(b, c.generation)
	return append(b, c.keyHash[:]...)
}

func parseChanges(b []byte) ([]change, bool) {
	if len(b)%geometry.MemberBytes != 0 {
		return nil, false
	}
	out := make([]change, 0, len(b)/geometry.MemberBytes)
	for ; len(b) > 0; b = b[geometry.MemberBytes:] {
		c := change{id: binary.LittleEndian.Uint32(b)}
		c.generation = binary.LittleEndian.Uint32(b[4:])
		copy(c.keyHash[:], b[8:])
		out = append(out, c)
	}
	return out, true
}

// encode is the registry on disk: for every shard the number of its clients,
// and a change for each.
func (r registry) encode() []byte {
	size := 0
	for _, ms := range r.members {
		size += 4 + len(ms)*geometry.MemberBytes
	}
	b := make([]byte, 0, size)
	for _, ms := range r.members {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(ms)))
		for _, m := range ms {
			b = appendChange(b, change{0, m})
		}
	}
	return b
}

// parse reads what encode wrote, in place of what the registry holds.
func (r registry) parse(b []byte) error {
	c := &cursor{b: b}
	for v := range r.members {
		changes, ok := parseChanges(c.take(int(c.u32()) * geometry.MemberBytes))
		if !ok {
			return ErrState
		}
		r.members[v] = nil
		for _, x := range changes {
			r.members[v] = append(r.members[v], x.member)
		}
	}
	if c.short || len(c.b) != 0 {
		return ErrState
	}
	return nil
}
