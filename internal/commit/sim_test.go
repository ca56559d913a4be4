package commit

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// sim is a whole cluster in one goroutine, driven by one seed.
type sim struct {
	t        *testing.T
	rng      *rand.Rand
	machines []*Machine // nil while down
	stores   []*memStore
	flight   []flying
	heads    map[uint64]EpochHead // of final epochs
	tags     uint64
	faults   bool
}

type flying struct {
	from int
	msg  Message
}

// TestLiveness: with loss, duplication, reordering and crashes inside and
// between operations heads never differ, and once faults stop and a coordinator
// keeps proposing, epochs get finished.
func TestLiveness(t *testing.T) {
	for _, servers := range []int{5, 7} {
		for seed := range uint64(60) {
			t.Run(fmt.Sprintf("%d servers, seed %d", servers, seed), func(t *testing.T) {
				s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, uint64(servers))), heads: map[uint64]EpochHead{}}
				for range servers {
					s.stores = append(s.stores, newStore())
				}
				s.machines = make([]*Machine, servers)
				s.faults = true
				for range 3000 {
					s.step()
				}
				s.faults = false
				t.Logf("%d epochs under faults, %d attempts prepared", len(s.heads), s.tags)
				goal := uint64(len(s.heads)) + 5
				for n := 0; uint64(len(s.heads)) < goal || s.slowest() <= goal; n++ {
					if n > 200_000 {
						t.Fatalf("stuck in epoch %d", s.slowest())
					}
					s.step()
				}
			})
		}
	}
}

func (s *sim) slowest() uint64 {
	e := ^uint64(0)
	for _, m := range s.machines {
		if m == nil {
			return 0
		}
		e = min(e, m.Epoch())
	}
	return e
}

func (s *sim) step() {
	i := s.rng.IntN(len(s.machines))
	m := s.machines[i]
	switch p := s.rng.IntN(100); {
	case m == nil:
		s.boot(i)
	case s.faults && p < 2:
		s.machines[i] = nil
	case p < 60:
		for range 20 {
			s.deliver()
		}
	case p < 64:
		m.Tick()
	case p < 66:
		s.propose()
	case m.Final():
		s.finish(i)
	}
	if m := s.machines[i]; m != nil {
		s.send(i, m)
	}
}

func (s *sim) boot(i int) {
	s.stores[i] = s.stores[i].copy()
	if s.faults && s.rng.IntN(2) == 0 {
		s.stores[i].failAt, s.stores[i].after = 1+s.rng.IntN(12), s.rng.IntN(2) == 0
	}
	m, err := New(i, len(s.machines), s.stores[i], genesis)
	if err != nil {
		s.check(i, err)
		return
	}
	s.machines[i] = m
	for p, peer := range s.machines {
		if peer != nil && p != i {
			s.check(i, m.CheckHead(p, peer.Epoch()-1, peer.Head()))
			s.check(p, peer.CheckHead(i, m.Epoch()-1, m.Head()))
			m.PeerUp(p)
			peer.PeerUp(i)
		}
	}
}

// check takes a server down if its store failed; nothing else may stop it.
func (s *sim) check(i int, err error) {
	switch {
	case err == nil:
	case s.stores[i].failAt > 0 && s.stores[i].ops >= s.stores[i].failAt:
		s.machines[i] = nil
	default:
		s.t.Fatalf("server %d: %v", i, err)
	}
}

func (s *sim) send(i int, m *Machine) {
	for _, msg := range m.Ready() {
		if !s.faults || s.rng.IntN(4) > 0 {
			s.flight = append(s.flight, flying{i, msg})
		}
	}
}

func (s *sim) deliver() {
	if len(s.flight) == 0 {
		return
	}
	n := s.rng.IntN(len(s.flight))
	f := s.flight[n]
	if !s.faults || s.rng.IntN(5) > 0 {
		s.flight[n] = s.flight[len(s.flight)-1]
		s.flight = s.flight[:len(s.flight)-1]
	}
	if m := s.machines[f.msg.To]; m != nil {
		s.check(f.msg.To, m.Step(f.from, f.msg.Vote))
		s.send(f.msg.To, m)
	}
}

// propose is the coordinator: an attempt above all that it can see, at a random
// subset of servers while there are faults, and at all afterwards.
func (s *sim) propose() {
	attempt, epoch := uint16(1), s.slowest()
	for _, m := range s.machines {
		if m != nil {
			attempt = max(attempt, m.highest()+1)
		}
	}
	for i, m := range s.machines {
		if m == nil || s.faults && s.rng.IntN(6) == 0 || m.Begin(epoch, attempt) != nil {
			continue
		}
		s.tags++
		var tag Tag
		binary.LittleEndian.PutUint64(tag[:], s.tags)
		a := Facts{Epoch: epoch, Attempt: attempt, Previous: m.Head()}.ID()
		s.check(i, m.Prepare(attempt, a, tag, []byte{byte(i), byte(attempt)}))
		s.send(i, m)
	}
}

func (s *sim) finish(i int) {
	m := s.machines[i]
	attempt, _, _, head, _ := m.Decided()
	if state, ok := m.Prepared(attempt); !ok || state[0] != byte(i) || state[1] != byte(attempt) {
		s.t.Fatalf("server %d delivers without its data", i)
	}
	e := m.Epoch()
	if had, ok := s.heads[e]; ok && had != head {
		s.t.Fatalf("epoch %d has two heads", e)
	}
	s.heads[e] = head
	s.check(i, m.Finish())
}
