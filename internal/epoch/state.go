package epoch

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/session"
	"github.com/teems-go/teems/internal/token"
)

// state is what a server keeps from one epoch to the next.
//
// Durable form: "base" holds everything small and the epochs of the history,
// "history/<epoch>" an outcome. Base is written after the outcome that it
// names, and before the commit forgets that outcome.
type state struct {
	applied     uint64      // newest epoch in this state
	before      commit.Head // head of the epoch before the newest final one
	members     registry
	generations []uint32     // of every virtual shard
	slots       *token.Slots // watermarks, on a storage server
	acked       [][]uint64   // deliveries acknowledged, by virtual shard and number
	through     [][]uint64   // results acknowledged, by virtual shard and number
	history     []*outcome   // final epochs that some client may still need, oldest first
	spares      []record.Table
}

const (
	nameBase    = "base"
	baseVersion = 1
)

func nameHistory(epoch uint64) string { return "history/" + number(epoch) }

// load reads the durable state, or makes that of a new cluster.
func (s *Server) load(genesis commit.Head) error {
	g := s.cfg.Geometry
	shards := g.VirtualShards()
	s.state = state{
		before:      genesis,
		members:     newRegistry(g, s.cfg.Simulated),
		generations: make([]uint32, shards),
		slots:       token.NewSlots(uint16(g.Params().Token.In), shards),
		acked:       make([][]uint64, shards),
		through:     make([][]uint64, shards),
	}
	b, err := s.cfg.Store.Get(nameBase)
	if errors.Is(err, commit.ErrNotFound) {
		return s.grow()
	}
	if err != nil {
		return err
	}
	return s.parseBase(b)
}

// grow makes room for clients that are new: they have nothing to acknowledge of
// the epochs up to now.
func (s *Server) grow() error {
	for v, n := range s.members.users() {
		for len(s.acked[v]) < n {
			s.acked[v] = append(s.acked[v], s.applied)
			s.through[v] = append(s.through[v], s.applied)
		}
		if s.d >= 0 && int(s.storageTable[v]) == s.d {
			if err := s.slots.Grow(v, uint32(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) base() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, baseVersion)
	b = le.AppendUint64(b, s.applied)
	b = append(b, s.before[:]...)
	for v, ms := range s.members.members {
		b = le.AppendUint32(b, s.generations[v])
		b = le.AppendUint32(b, uint32(len(ms)))
		for u, m := range ms {
			b = appendChange(b, change{0, m})
			b = le.AppendUint64(b, s.acked[v][u])
			b = le.AppendUint64(b, s.through[v][u])
		}
	}
	b = le.AppendUint32(b, uint32(len(s.history)))
	for _, o := range s.history {
		b = le.AppendUint64(b, o.epoch)
		b = append(b, o.head[:]...)
	}
	return s.slots.Append(b)
}

func (s *Server) parseBase(b []byte) error {
	le := binary.LittleEndian
	take := func(n int) []byte {
		if len(b) < n {
			b = nil
			return nil
		}
		p := b[:n]
		b = b[n:]
		return p
	}
	head := take(44)
	if head == nil || le.Uint32(head) != baseVersion {
		return ErrState
	}
	s.applied = le.Uint64(head[4:])
	copy(s.before[:], head[12:])
	for v := range s.members.members {
		p := take(8)
		if p == nil {
			return ErrState
		}
		s.generations[v] = le.Uint32(p)
		n := int(le.Uint32(p[4:]))
		s.members.members[v] = nil
		for range n {
			p := take(56)
			if p == nil {
				return ErrState
			}
			c, _ := parseChanges(p[:40])
			s.members.members[v] = append(s.members.members[v], c[0].member)
			s.acked[v] = append(s.acked[v], le.Uint64(p[40:]))
			s.through[v] = append(s.through[v], le.Uint64(p[48:]))
		}
	}
	p := take(4)
	if p == nil {
		return ErrState
	}
	for range le.Uint32(p) {
		p := take(40)
		if p == nil {
			return ErrState
		}
		b, err := s.cfg.Store.Get(nameHistory(le.Uint64(p)))
		if err != nil {
			return err
		}
		o, err := parseOutcome(b, s.cfg.Geometry.Stride())
		if err != nil {
			return err
		}
		copy(o.head[:], p[8:])
		s.history = append(s.history, o)
	}
	var err error
	if s.slots, err = token.ParseSlots(b); err != nil {
		return ErrState
	}
	return nil
}

// finish makes a final epoch's outcome this server's state, and queues what its
// clients get. Only after R3.
func (s *Server) finish() error {
	n, _, _, head, _ := s.commit.Decided()
	epoch := s.commit.Epoch()
	if s.applied < epoch {
		o := s.prepared[n]
		if o == nil { // this server restarted after it prepared
			b, ok := s.commit.Prepared(n)
			if !ok {
				return s.commit.Conflict()
			}
			var err error
			if o, err = parseOutcome(b, s.cfg.Geometry.Stride()); err != nil {
				return err
			}
		}
		o.head = head
		if err := s.apply(o); err != nil {
			return err
		}
	}
	if err := s.commit.Finish(); err != nil {
		return err
	}
	s.log("epoch " + number(epoch) + " is final, attempt " + number(uint64(n)))
	s.openNext(epoch)
	for t, taken := range s.taken {
		t.Return(taken)
		delete(s.taken, t)
	}
	s.attempt = nil
	clear(s.prepared)
	s.deliver(s.history[len(s.history)-1])
	return nil
}

// apply changes the state by an outcome, durably.
func (s *Server) apply(o *outcome) error {
	s.before = s.commit.Head()
	s.applied = o.epoch
	if !o.void {
		s.acknowledge(o)
	}
	for _, c := range o.changes {
		if !s.members.apply(c) {
			return ErrState
		}
	}
	if err := s.grow(); err != nil {
		return err
	}
	s.history = append(s.history, o)
	if err := s.cfg.Store.Put(nameHistory(o.epoch), o.parts()...); err != nil {
		return err
	}
	dropped := s.forget()
	if err := s.cfg.Store.Put(nameBase, s.base()); err != nil {
		return err
	}
	for _, d := range dropped {
		if err := s.cfg.Store.Delete(nameHistory(d.epoch)); err != nil {
			return err
		}
		s.spares = append(s.spares, d.boxes)
	}
	s.registered(o)
	return nil
}

// acknowledge takes over what clients acknowledged and the watermarks.
func (s *Server) acknowledge(o *outcome) {
	le := binary.LittleEndian
	down, up := 0, 0
	for v, n := range o.users {
		for u := range n {
			if s.d >= 0 && int(s.storageTable[v]) == s.d {
				s.acked[v][u] = le.Uint64(o.acked[8*down:])
				down++
			}
			if s.i >= 0 && int(s.ingestionTable[v]) == s.i {
				s.through[v][u] = le.Uint64(o.through[8*up:])
				up++
			}
		}
	}
	if o.slots != nil {
		s.slots = o.slots
	}
}

// forget drops the epochs that every client has acknowledged, and those older
// than deliveries are kept. An honest client acknowledges what it received as
// soon as it has, whatever its user does, so that which epochs are kept follows
// from who was connected when and from what corrupt clients say: it is public.
func (s *Server) forget() (dropped []*outcome) {
	least := s.applied
	for v := range s.acked {
		for u := range s.acked[v] {
			if s.d >= 0 && int(s.storageTable[v]) == s.d {
				least = min(least, s.acked[v][u])
			}
			if s.i >= 0 && int(s.ingestionTable[v]) == s.i {
				least = min(least, s.through[v][u])
			}
		}
	}
	most := s.cfg.Geometry.Params().DeliveryEpochs
	for len(s.history) > 1 && (s.history[0].epoch <= least || len(s.history) > most) {
		dropped = append(dropped, s.history[0])
		s.history = s.history[1:]
	}
	return dropped
}

// spare returns mailbox arrays that nobody needs any more, if there are any.
func (s *Server) spare() record.Table {
	if len(s.spares) == 0 {
		return record.Table{}
	}
	t := s.spares[len(s.spares)-1]
	s.spares = s.spares[:len(s.spares)-1]
	return t
}

// registered answers the registrations that an epoch holds.
func (s *Server) registered(o *outcome) {
	for _, c := range o.changes {
		at := slices.IndexFunc(s.asked, func(a Registration) bool {
			return a.KeyHash == c.keyHash && a.Again == (c.generation > 1) && (!a.Again || a.ID == c.id)
		})
		if at < 0 || int(s.storageTable[int(c.id)%len(s.storageTable)]) != s.d {
			continue
		}
		s.ready.Registered = append(s.ready.Registered, Registered{
			Ticket: s.asked[at].Ticket, Status: RegistrationDone, ID: c.id, Generation: c.generation, Epoch: o.epoch,
			ClientKey: s.cfg.Keys.ClientKey(c.id, c.keyHash, c.generation),
		})
		s.asked = slices.Delete(s.asked, at, at+1)
	}
	s.dropOldKeys(o)
}

// dropOldKeys ends the sessions of clients whose keys were renewed.
func (s *Server) dropOldKeys(o *outcome) {
	for _, c := range o.changes {
		if c.generation == 1 {
			continue
		}
		for _, t := range []*session.Table{s.up, s.down} {
			if t != nil {
				t.Drop(c.id)
			}
		}
	}
}
