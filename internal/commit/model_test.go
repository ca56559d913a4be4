package commit

import (
	"bytes"
	"fmt"
	"math/bits"
	"testing"
)

// TestModel explores every behaviour of three servers over two epochs, without
// rollback: all COMMITTED agree, nothing ever looks like lost state, and from
// every state every epoch can still be finished.
func TestModel(t *testing.T) {
	explore(t, newModel(model{attempts: []uint16{2, 1}}))
}

// TestModelSlowDisk is TestModel on disks whose writes become durable at any
// later time, or never before a crash, each server's at its own pace.
func TestModelSlowDisk(t *testing.T) {
	explore(t, newModel(model{attempts: []uint16{2, 1}, slow: true}))
}

// TestModelRollback lets two of the three servers be rolled back, each to any
// durable state it ever had, crash points included. Attempts have the same A
// before and after, which is more than boot IDs allow.
func TestModelRollback(t *testing.T) {
	t.Run("one epoch", func(t *testing.T) {
		explore(t, newModel(model{attempts: []uint16{2}, rollbacks: [3]int{1, 1, 0}, whole: true}))
	})
	t.Run("two epochs", func(t *testing.T) { explore(t, newModel(model{attempts: []uint16{1, 1}, rollbacks: [3]int{1, 1, 0}})) })
}

type world [3]uint32

// search is the states found so far: a queue, the index of the state that each
// was found from, and an open-addressed set of indices and 1.
type search struct {
	queue  []world
	parent []uint32
	set    []uint32
}

// add takes w unless it is known.
func (s *search) add(w world, from int) bool {
	if 2*len(s.queue) >= len(s.set) {
		s.set = make([]uint32, max(1<<16, 4*len(s.set)))
		for i, q := range s.queue {
			s.set[s.slot(q)] = uint32(i) + 1
		}
	}
	at := s.slot(w)
	if s.set[at] != 0 {
		return false
	}
	s.queue = append(s.queue, w)
	s.parent = append(s.parent, uint32(from))
	s.set[at] = uint32(len(s.queue))
	return true
}

// slot returns where w is in the set, or should be.
func (s *search) slot(w world) uint64 {
	h := uint64(w[0])*0x9e3779b97f4a7c15 ^ uint64(w[1])*0xc2b2ae3d27d4eb4f ^ uint64(w[2])*0x165667b19e3779f9
	h ^= h >> 29
	for at := h % uint64(len(s.set)); ; at = (at + 1) % uint64(len(s.set)) {
		if s.set[at] == 0 || s.queue[s.set[at]-1] == w {
			return at
		}
	}
}

func explore(t *testing.T, mo *model) {
	s := &search{}
	s.add(world{}, 0)
	steps := 0
	for n := 0; n < len(s.queue) && mo.violation == ""; n++ {
		w := s.queue[n]
		for i := range w {
			mo.successors(w, i, func(id uint32) bool {
				steps++
				to := w
				to[i] = id
				if s.add(to, n) {
					mo.check(to)
				}
				return mo.violation == ""
			})
			if mo.violation != "" {
				t.Fatalf("violated after %d states: %s\nfrom:%s", len(s.queue), mo.violation, mo.trace(s, n))
			}
		}
	}
	if mo.rollbacks == [3]int{} {
		mo.checkProgress(s.queue)
	}
	if mo.violation != "" {
		t.Fatalf("violated: %s", mo.violation)
	}
	t.Logf("%d states, %d steps, local states %d %d %d, %d votes", len(s.queue), steps,
		len(mo.servers[0].state), len(mo.servers[1].state), len(mo.servers[2].state), len(mo.votes))
}

func (mo *model) at(w world, i int) *local { return mo.servers[i].state[w[i]] }

// successors calls f with every local state that server i may go to from w.
func (mo *model) successors(w world, i int, f func(uint32) bool) {
	for _, id := range mo.moves(w, i).all {
		if !f(id) {
			return
		}
	}
	mo.eachDelivery(w, i, func(next []uint32) bool {
		for _, id := range next {
			if !f(id) {
				return false
			}
		}
		return true
	})
}

// eachDelivery calls f with the results of every vote that peers have said to i
// and that makes a difference.
func (mo *model) eachDelivery(w world, i int, f func([]uint32) bool) {
	l := mo.at(w, i)
	for p := range w {
		if p == i {
			continue
		}
		for k, set := range mo.at(w, p).said {
			for ; set != 0; set &= set - 1 {
				v := 64*k + bits.TrailingZeros64(set)
				if l.deliver[v] == nil {
					next := mo.run(i, l, func(c *local) error { return c.m.Step(p, mo.votes[v]) })
					if len(next) == 1 && next[0] == w[i] {
						next = nil
					}
					l.deliver[v] = &next
				}
				if next := *l.deliver[v]; len(next) > 0 && !f(next) {
					return
				}
			}
		}
	}
}

// moves returns what server i may do by itself: prepare, finish, crash, and be
// rolled back.
func (mo *model) moves(w world, i int) *moves {
	l := mo.at(w, i)
	if l.internal != nil {
		return l.internal
	}
	r := &moves{finish: -1, prepare: -1, persist: -1}
	l.internal = r
	if len(l.pending) > 0 {
		next := mo.run(i, l, func(c *local) error { mo.persist(i, c); return nil })
		if mo.violation != "" {
			return r
		}
		r.all, r.persist = append(r.all, next...), first(next)
	}
	e := l.m.Epoch()
	if e <= uint64(len(mo.attempts)) && l.m.stop == nil {
		for a := uint16(1); a <= mo.attempts[e-1]; a++ {
			if l.m.Begin(e, a) != nil {
				continue
			}
			next := mo.run(i, l, func(c *local) error { return mo.prepare(i, c, a) })
			if mo.violation != "" {
				return r
			}
			r.all, r.prepare = append(r.all, next...), first(next)
		}
	}
	if l.m.Final() {
		mo.checkDelivery(i, l)
		next := mo.run(i, l, func(c *local) error {
			c.delivered[e-1] = mo.outcome(c.m.decided)
			return c.m.Finish()
		})
		if mo.violation != "" {
			return r
		}
		r.all, r.finish = append(r.all, next...), first(next)
	}
	for n := range l.unwritten() + 1 {
		crashed := clone(l)
		crashed.cut(n)
		mo.restart(i, crashed)
		if mo.violation != "" {
			return r
		}
		r.all = append(r.all, mo.intern(i, crashed))
	}
	for _, past := range l.past {
		c := clone(l)
		c.store = fromKey(past)
		c.rolled++
		mo.restart(i, c)
		if mo.violation != "" {
			return r
		}
		r.all = append(r.all, mo.intern(i, c))
	}
	return r
}

// first is the result of the execution without a fault, if it did not stop.
func first(next []uint32) int64 {
	if len(next) == 0 {
		return -1
	}
	return int64(next[0])
}

func (mo *model) prepare(i int, c *local, attempt uint16) error {
	e := c.m.Epoch()
	a := Facts{Epoch: e, Attempt: attempt, Previous: c.m.Head()}.ID()
	if err := c.m.Begin(e, attempt); err != nil {
		return err
	}
	return c.m.Prepare(attempt, a, modelTag(i, e, attempt, c.rolled), modelState(i, e, attempt, c.rolled))
}

func modelTag(i int, e uint64, attempt uint16, rolled int) Tag {
	return Tag{1, byte(i), byte(e), byte(attempt), byte(rolled)}
}

func modelState(i int, e uint64, attempt uint16, rolled int) []byte {
	tag := modelTag(i, e, attempt, rolled)
	return append([]byte("state "), tag[:5]...)
}

// checkDelivery: who delivers has the state that its tag in the head stands for,
// and delivers once per epoch, unless the same.
func (mo *model) checkDelivery(i int, l *local) {
	d := l.m.decided
	state, ok := clone(l).m.Prepared(d.attempt)
	if want := append([]byte("state "), d.tags[i][:5]...); !ok || !bytes.Equal(state, want) {
		mo.fail("server %d delivers attempt %d of epoch %d without its data", i, d.attempt, d.epoch)
	}
	if had := l.delivered[d.epoch-1]; had != 0 && had != mo.outcome(d) {
		mo.fail("server %d delivers two outcomes of epoch %d", i, d.epoch)
	}
}

// check holds in every state of the cluster.
func (mo *model) check(w world) {
	for i := range w {
		x, y := mo.at(w, i), mo.at(w, (i+1)%3)
		for e := range mo.attempts {
			if a, b := x.delivered[e], y.delivered[e]; a != 0 && b != 0 && a != b {
				mo.fail("servers %d and %d deliver different outcomes of epoch %d", i, (i+1)%3, e+1)
			}
			if a, b := x.decision[e+1], y.decision[e+1]; mo.rollbacks == [3]int{} && a != 0 && b != 0 && a != b {
				mo.fail("servers %d and %d COMMITTED different attempts of epoch %d", i, (i+1)%3, e+1)
			}
		}
		if mo.rollbacks == [3]int{} {
			for p := range w {
				if p == i {
					continue
				}
				peer := mo.at(w, p).m
				if err := x.m.CheckHead(p, peer.Epoch()-1, peer.Head()); err != nil {
					mo.fail("without rollback: %v", err)
				}
			}
		}
	}
}

// checkProgress: from every state, when votes arrive, servers stay up and the
// highest attempt is proposed to all, every epoch is finished.
func (mo *model) checkProgress(states []world) {
	good := map[world]bool{}
	for _, w := range states {
		var path []world
		for !good[w] {
			path = append(path, w)
			next, ok := mo.fair(w)
			if !ok {
				for i := range w {
					if mo.at(w, i).m.Epoch() != uint64(len(mo.attempts))+1 {
						mo.fail("server %d is stuck in epoch %d", i, mo.at(w, i).m.Epoch())
						return
					}
				}
				break
			}
			w = next
		}
		for _, p := range path {
			good[p] = true
		}
	}
}

// fair takes one step without faults: write what is to be written, else deliver
// if anything is to be delivered, else finish, else prepare.
func (mo *model) fair(w world) (world, bool) {
	for i := range w {
		if id := mo.moves(w, i).persist; id >= 0 {
			w[i] = uint32(id)
			return w, true
		}
	}
	for i := range w {
		found := false
		to := w
		mo.eachDelivery(w, i, func(next []uint32) bool {
			if next[0] != w[i] {
				to[i], found = next[0], true
			}
			return !found
		})
		if found {
			return to, true
		}
	}
	for i := range w {
		if id := mo.moves(w, i).finish; id >= 0 {
			w[i] = uint32(id)
			return w, true
		}
	}
	for i := range w {
		if id := mo.moves(w, i).prepare; id >= 0 {
			w[i] = uint32(id)
			return w, true
		}
	}
	return w, false
}

// trace tells how a state came about, in short.
func (mo *model) trace(s *search, n int) string {
	out := ""
	for {
		line := "\n "
		for i := range 3 {
			l := mo.at(s.queue[n], i)
			line += fmt.Sprintf(" | e%d", l.m.epoch)
			for _, p := range l.m.prepared {
				line += fmt.Sprintf(" P%d", p.attempt)
			}
			if l.m.decided != nil {
				line += fmt.Sprintf(" C%d", l.m.decided.attempt)
			}
			if l.rolled > 0 {
				line += " rolled"
			}
		}
		out = line + out
		if n == 0 {
			return out
		}
		n = int(s.parent[n])
	}
}
