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
	pending  [][]Write // by server: handed out and not durable
	batches  [][]int   // by server: how many of pending each batch has
	numbers  []uint64  // by server: of its last durable batch
	torn     int       // crashes that cut the queue of a disk
	flight   []flying
	heads    map[uint64]EpochHead // of final epochs
	tags     uint64
	faults   bool
}

type flying struct {
	from int
	msg  Message
}

// TestLiveness: votes are lost, repeated and reordered, disks are late, and a
// crash leaves any prefix of the writes that were on their way. Heads never
// differ, and once faults stop and a coordinator keeps proposing, epochs get
// finished.
func TestLiveness(t *testing.T) {
	for _, servers := range []int{5, 7} {
		for seed := range uint64(60) {
			t.Run(fmt.Sprintf("%d servers, seed %d", servers, seed), func(t *testing.T) {
				s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, uint64(servers))), heads: map[uint64]EpochHead{}}
				for range servers {
					s.stores = append(s.stores, newStore())
				}
				s.machines = make([]*Machine, servers)
				s.pending, s.batches, s.numbers = make([][]Write, servers), make([][]int, servers), make([]uint64, servers)
				s.faults = true
				for range 3000 {
					s.step()
				}
				s.faults = false
				t.Logf("%d epochs under faults, %d attempts prepared, %d crashes cut a disk's queue", len(s.heads), s.tags, s.torn)
				if s.torn == 0 {
					t.Error("no crash met a disk that was writing")
				}
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
		s.crash(i)
	case p < 20:
		s.persist(i)
	case p < 60:
		for range 20 + len(s.flight)/4 {
			s.deliver()
		}
	case p < 64:
		m.Tick()
	case p < 66 && (s.faults || s.rng.IntN(10) == 0): // with faults too often
		s.propose()
	case m.Final():
		s.finish(i)
	}
	if m := s.machines[i]; m != nil {
		s.send(i, m)
	}
}

func (s *sim) boot(i int) {
	m, err := New(i, len(s.machines), s.stores[i], genesis)
	if err != nil {
		s.check(i, err)
		return
	}
	s.machines[i], s.numbers[i] = m, 0
	for p, peer := range s.machines {
		if peer != nil && p != i {
			s.check(i, m.CheckHead(p, peer.Epoch()-1, peer.Head()))
			s.check(p, peer.CheckHead(i, m.Epoch()-1, m.Head()))
			m.PeerUp(p)
			peer.PeerUp(i)
		}
	}
}

// crash takes a server down. Of the writes on their way a prefix is durable.
func (s *sim) crash(i int) {
	if n := len(s.pending[i]); n > 0 {
		s.torn++
		s.apply(i, s.pending[i][:s.rng.IntN(n+1)])
	}
	s.machines[i], s.pending[i], s.batches[i] = nil, nil, nil
}

// persist makes the oldest batch of a server durable.
func (s *sim) persist(i int) {
	if len(s.batches[i]) == 0 {
		return
	}
	n := s.batches[i][0]
	s.apply(i, s.pending[i][:n])
	s.pending[i], s.batches[i] = s.pending[i][n:], s.batches[i][1:]
	s.numbers[i]++
	s.machines[i].Persisted(s.numbers[i])
}

func (s *sim) apply(i int, writes []Write) { s.check(i, Batch{Writes: writes}.Apply(s.stores[i])) }

// check: nothing may stop a server.
func (s *sim) check(i int, err error) {
	if err != nil {
		s.t.Fatalf("server %d: %v", i, err)
	}
}

func (s *sim) send(i int, m *Machine) {
	r := m.Ready()
	if n := len(r.Batch.Writes); n > 0 {
		s.pending[i], s.batches[i] = append(s.pending[i], r.Batch.Writes...), append(s.batches[i], n)
	}
	for _, msg := range r.Messages {
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
