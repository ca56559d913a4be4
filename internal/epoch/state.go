package epoch

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/token"
)

// state is what a server keeps from one epoch to the next.
//
// Durable form: "members" holds every ID ever allocated, written when that
// changes; "slots" the watermarks; "history/<epoch>" an outcome that some client may still need; "base"
// the rest, with the epochs of the history. Base is written after what it names,
// and before the commit forgets the outcome.
type state struct {
	applied     uint64 // newest epoch in this state
	written     written
	members     registry
	generations []uint32     // of every virtual shard
	slots       *token.Slots // watermarks, on a storage server
	acked       marks        // deliveries acknowledged, on a storage server
	through     marks        // results acknowledged, on an ingestion server
	history     []*outcome   // final epochs that some client may still need, oldest first
}

// marks are an epoch for each client of one role of this server, by virtual
// shard and number; shards that are not this server's have none.
type marks [][]uint64

const (
	nameBase    = "base"
	nameMembers = "members"
	nameSlots   = "slots"
	baseVersion = 2
)

func nameHistory(epoch uint64) string { return "history/" + number(epoch) }

// load reads the durable state, or makes that of a new cluster.
func (s *Server) load() error {
	g := s.cfg.Geometry
	shards := g.VirtualShards()
	s.state = state{
		members:     newRegistry(g, s.cfg.Simulated),
		generations: make([]uint32, shards),
		slots:       token.NewSlots(uint16(g.Params().Token.In), shards),
		acked:       make(marks, shards),
		through:     make(marks, shards),
	}
	b, err := s.cfg.Store.Get(nameBase)
	if errors.Is(err, commit.ErrNotFound) && s.commit.Epoch() == 1 {
		for v := range s.generations {
			s.generations[v] = s.cfg.Generation
		}
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
		for s.i == int(s.ingestionTable[v]) && len(s.through[v]) < n {
			s.through[v] = append(s.through[v], s.applied)
		}
		if s.d != int(s.storageTable[v]) {
			continue
		}
		for len(s.acked[v]) < n {
			s.acked[v] = append(s.acked[v], s.applied)
		}
		if err := s.slots.Grow(v, uint32(n)); err != nil {
			return err
		}
	}
	return nil
}

// base appends the durable form of all that is small, or changes in every epoch.
// The last of it are the epochs that are not kept any more, whose records are
// deleted after base is durable: a crash in between leaves them to be deleted
// when it is read.
func (s *Server) base(b []byte, dropped []*outcome) []byte {
	le := binary.LittleEndian
	size := 64 + 4*len(s.generations) + 40*len(s.history) + 8*len(dropped)
	for v := range s.acked {
		size += 8 + 8*len(s.acked[v]) + 8*len(s.through[v])
	}
	b = le.AppendUint32(slices.Grow(b, size), baseVersion)
	b = le.AppendUint64(b, s.applied)
	b = le.AppendUint64(b, s.written.slots)
	b = le.AppendUint64(b, s.written.members)
	for v, generation := range s.generations {
		b = le.AppendUint32(b, generation)
		for _, m := range []marks{s.acked, s.through} {
			b = le.AppendUint32(b, uint32(len(m[v])))
			for _, e := range m[v] {
				b = le.AppendUint64(b, e)
			}
		}
	}
	b = le.AppendUint32(b, uint32(len(s.history)))
	for _, o := range s.history {
		b = le.AppendUint64(b, o.epoch)
		b = append(b, o.head[:]...)
	}
	b = le.AppendUint32(b, uint32(len(dropped)))
	for _, o := range dropped {
		b = le.AppendUint64(b, o.epoch)
	}
	return b
}

// cursor takes a damaged record apart without a panic: after the end it gives
// zeros, and is short.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || len(c.b) < n {
		c.short, c.b = true, nil
		return make([]byte, max(0, min(n, 64)))
	}
	p := c.b[:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) u32() uint32 { return binary.LittleEndian.Uint32(c.take(4)) }
func (c *cursor) u64() uint64 { return binary.LittleEndian.Uint64(c.take(8)) }

// parseBase reads what base wrote, and the records that it names.
func (s *Server) parseBase(b []byte) error {
	c := &cursor{b: b}
	if c.u32() != baseVersion {
		return ErrState
	}
	s.applied = c.u64()
	s.written = written{c.u64(), c.u64()}
	if s.applied != s.commit.Epoch() && s.applied+1 != s.commit.Epoch() {
		return ErrState // base and the commit's record are of different times
	}
	for v := range s.generations {
		s.generations[v] = c.u32()
		for _, m := range []marks{s.acked, s.through} {
			for n := c.u32(); n > 0 && !c.short; n-- {
				m[v] = append(m[v], c.u64())
			}
		}
	}
	for n := c.u32(); n > 0 && !c.short; n-- {
		epoch := c.u64()
		b, err := s.cfg.Store.Get(nameHistory(epoch))
		if err != nil {
			return err
		}
		o, err := parseOutcome(b, s.cfg.Geometry.Stride())
		if err != nil || o.epoch != epoch {
			return ErrState
		}
		copy(o.head[:], c.take(32))
		s.history = append(s.history, o)
	}
	for n := c.u32(); n > 0 && !c.short; n-- {
		if err := s.cfg.Store.Delete(nameHistory(c.u64())); err != nil {
			return err
		}
	}
	if c.short || len(c.b) != 0 {
		return ErrState
	}
	return errors.Join(
		s.loadRecord(nameSlots, s.written.slots, func(b []byte) (err error) {
			s.slots, err = token.ParseSlots(b)
			return err
		}),
		s.loadRecord(nameMembers, s.written.members, s.members.parse),
		s.grow(),
	)
}

// written says in which epochs the records beside base were written last, 0 for
// never. A record holds its epoch too: one that is older than base says was put
// back by the host. A record that is newer by one epoch comes from a crash before
// base was written; that epoch is applied again.
type written struct{ slots, members uint64 }

func (s *Server) loadRecord(name string, epoch uint64, parse func([]byte) error) error {
	b, err := s.cfg.Store.Get(name)
	if errors.Is(err, commit.ErrNotFound) && epoch == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	c := &cursor{b: b}
	if is := c.u64(); c.short || is != epoch && is != s.applied+1 {
		return ErrState
	}
	if err := parse(c.b); err != nil {
		return ErrState
	}
	return nil
}

func (s *Server) putRecord(name string, epoch uint64, b []byte) error {
	return s.cfg.Store.Put(name, binary.LittleEndian.AppendUint64(nil, epoch), b)
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
	s.take(epoch)
	s.giveBack()
	for k, o := range s.prepared {
		if k != n {
			s.dropped = append(s.dropped, o)
		}
	}
	clear(s.prepared)
	if a := s.attempt; a != nil && !a.prepared {
		s.dropped = append(s.dropped, a.out) // overtaken by the one before it
	}
	s.attempt = nil
	s.deliver(s.history[len(s.history)-1])
	return nil
}

// apply changes the state by an outcome, durably.
func (s *Server) apply(o *outcome) error {
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
	if o.slots != nil {
		s.written.slots = o.epoch
		s.scratch = s.slots.Append(s.scratch[:0])
		if err := s.putRecord(nameSlots, o.epoch, s.scratch); err != nil {
			return err
		}
	}
	if len(o.changes) > 0 {
		s.written.members = o.epoch
		if err := s.putRecord(nameMembers, o.epoch, s.members.encode()); err != nil {
			return err
		}
	}
	s.history = append(s.history, o)
	if err := s.cfg.Store.Put(nameHistory(o.epoch), o.parts(&s.scratch)...); err != nil {
		return err
	}
	dropped := s.forget()
	s.scratch = s.base(s.scratch[:0], dropped)
	if err := s.cfg.Store.Put(nameBase, s.scratch); err != nil {
		return err
	}
	for _, d := range dropped {
		if err := s.cfg.Store.Delete(nameHistory(d.epoch)); err != nil {
			return err
		}
		d.dropped = true
		s.dropped = append(s.dropped, d)
	}
	o.slots = nil // they are the state's
	s.registered(o)
	return nil
}

// acknowledge takes over what clients acknowledged, and the watermarks.
func (s *Server) acknowledge(o *outcome) {
	s.acked.set(o.users, o.acked)
	s.through.set(o.users, o.through)
	if o.slots != nil {
		s.spareSlots = append(s.spareSlots, s.slots)
		s.slots = o.slots
	}
}

// set takes over marks that an outcome holds, one behind the other.
func (m marks) set(users []int, from []byte) {
	for v, n := range users {
		for u := range min(n, len(m[v])) {
			m[v][u] = binary.LittleEndian.Uint64(from)
			from = from[8:]
		}
	}
}

// least is the earliest epoch among the marks, and at most bound.
func (m marks) least(bound uint64) uint64 {
	for v := range m {
		for _, e := range m[v] {
			bound = min(bound, e)
		}
	}
	return bound
}

// forget drops the epochs that every client has acknowledged, and those older
// than deliveries are kept. An honest client acknowledges what it received as
// soon as it has, whatever its user does, so that which epochs are kept follows
// from who was connected when and from what corrupt clients say: it is public.
func (s *Server) forget() (dropped []*outcome) {
	least := s.through.least(s.acked.least(s.applied))
	most := s.cfg.Geometry.Params().DeliveryEpochs
	for len(s.history) > 1 && (s.history[0].epoch <= least || len(s.history) > most) {
		dropped = append(dropped, s.history[0])
		s.history = s.history[1:]
	}
	return dropped
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
		if h, _ := s.shardOf(c.id); h.sessions != nil {
			h.sessions.Forget(c.id)
		}
	}
}
