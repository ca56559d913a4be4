package era

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/keys"
)

// world is some servers, their disks, and links that lose what they carry when
// they break.
type world struct {
	t       testing.TB
	r       *rand.Rand
	servers []*server
	links   map[[2]int][]func() // from, to; present while linked
	era     uint32
	boots   byte
	loose   bool // disks are lost: a server in the era may be the only one that has its secret
}

type server struct {
	w       *world
	i       int
	m       *Machine // nil while it is down
	held    Held     // on disk
	next    *Held
	blank   bool // the disk was lost
	boot    [16]byte
	crash   int // counts down with each Keep; at 1 it crashes before, at 2 after it is durable
	crashes bool
}

func newWorld(t testing.TB, seed uint64, n int, era uint32) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 1)), links: map[[2]int][]func(){}, era: era}
	for i := range n {
		w.servers = append(w.servers, &server{w: w, i: i, held: Held{1, keys.Master{7}}})
	}
	return w
}

var errCrash = errors.New("crash")

func (s *server) Keep(held Held, next *Held) error {
	if s.crash--; s.crash == 0 {
		s.crashes = true
		return errCrash
	}
	s.held, s.next = held, nil
	if next != nil {
		n := *next
		s.next = &n
	}
	if s.crash == 1 {
		s.crash, s.crashes = 0, true
		return errCrash
	}
	return nil
}

func (s *server) SendState(peer int, x State) {
	s.w.send(s.i, peer, func(m *Machine) { m.State(s.i, x) })
}

func (s *server) SendSecret(peer int, h Held) {
	s.w.send(s.i, peer, func(m *Machine) { m.Secret(s.i, h) })
}

func (w *world) send(from, to int, f func(*Machine)) {
	if q, linked := w.links[[2]int{from, to}]; linked {
		w.links[[2]int{from, to}] = append(q, func() { f(w.servers[to].m) })
	}
}

// start boots a server; one without a secret is given one first.
func (w *world) start(i int) {
	s := w.servers[i]
	if s.m != nil {
		return
	}
	if s.blank {
		for _, j := range w.r.Perm(len(w.servers)) {
			if o := w.servers[j]; o.m != nil && s.blank {
				s.held, s.next, s.blank = o.m.Held(), nil, false
			}
		}
		if s.blank {
			return
		}
	}
	w.boots++
	s.boot = [16]byte{w.boots, byte(i)}
	var fresh [32]byte
	for k := range fresh {
		fresh[k] = byte(w.r.Uint32())
	}
	m, err := New(Config{
		Self: i, Servers: len(w.servers), Era: w.era, Cluster: [32]byte{1}, Manifest: [32]byte{2},
		Boot: s.boot, Fresh: fresh, Held: s.held, Store: s, Sender: s,
	})
	if s.crashes {
		s.crashes = false
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	s.m = m
}

func (w *world) link(i, j int) {
	a, b := w.servers[i], w.servers[j]
	if _, linked := w.links[[2]int{i, j}]; linked || i == j || a.m == nil || b.m == nil {
		return
	}
	w.links[[2]int{i, j}], w.links[[2]int{j, i}] = []func(){}, []func(){}
	a.m.PeerUp(j, b.boot)
	b.m.PeerUp(i, a.boot)
}

func (w *world) cut(i, j int) {
	if _, linked := w.links[[2]int{i, j}]; !linked {
		return
	}
	delete(w.links, [2]int{i, j})
	delete(w.links, [2]int{j, i})
	for _, x := range [][2]int{{i, j}, {j, i}} {
		if m := w.servers[x[0]].m; m != nil {
			m.PeerDown(x[1])
		}
	}
}

func (w *world) kill(i int) {
	w.servers[i].m = nil
	for j := range w.servers {
		w.cut(i, j)
	}
}

// deliver hands on one frame of some link; false if there is none.
func (w *world) deliver() bool {
	var busy [][2]int
	for i := range w.servers {
		for j := range w.servers {
			if len(w.links[[2]int{i, j}]) > 0 {
				busy = append(busy, [2]int{i, j})
			}
		}
	}
	if len(busy) == 0 {
		return false
	}
	k := busy[w.r.IntN(len(busy))]
	f := w.links[k][0]
	w.links[k] = w.links[k][1:]
	f()
	w.afterStep(k[1])
	return true
}

func (w *world) afterStep(i int) {
	s := w.servers[i]
	if s.crashes {
		s.crashes = false
		w.kill(i)
		return
	}
	if s.m != nil && s.m.Err() != nil {
		w.t.Fatalf("server %d: %v", i, s.m.Err())
	}
	w.check()
}

// check: who is in the era has a secret that all others have on disk, unless
// they lost it.
func (w *world) check() {
	for _, s := range w.servers {
		if s.m == nil || !s.m.Done() {
			continue
		}
		for _, o := range w.servers {
			if !o.blank && o.held != s.m.Held() && (o.next == nil || *o.next != s.m.Held()) && o.held.Era == w.era {
				w.t.Fatalf("server %d is in the era, and server %d has another secret", s.i, o.i)
			}
			if !o.blank && o.held.Era < w.era && (o.next == nil || *o.next != s.m.Held()) && !w.loose {
				w.t.Fatalf("server %d is in the era, and server %d does not have its secret on disk", s.i, o.i)
			}
		}
	}
}

// settle starts and links everything, and runs to the end.
func (w *world) settle() keys.Master {
	for range 8 { // some may crash yet
		for range w.servers { // a blank one needs another one to be there
			for i := range w.servers {
				w.start(i)
			}
		}
		for i := range w.servers {
			for j := range i {
				w.link(i, j)
			}
		}
		for w.deliver() {
		}
	}
	first := w.servers[0]
	for i, s := range w.servers {
		if s.m == nil || !s.m.Done() || s.m.Held() != first.m.Held() || s.held != first.m.Held() || s.next != nil {
			w.t.Fatalf("server %d ends with %v, on disk %x %v; server 0 with %x", i, s.m != nil && s.m.Done(), s.held, s.next, first.held)
		}
		for j := range w.servers {
			if i != j && !s.m.InEra(j) {
				w.t.Fatalf("server %d does not see that server %d is in the era", i, j)
			}
		}
	}
	return first.held.Master
}

func TestTurn(t *testing.T) {
	for n := 1; n <= 5; n++ {
		w := newWorld(t, uint64(n), n, 2)
		one, two := w.settle(), newWorld(t, 99, n, 2).settle()
		if one == (keys.Master{7}) || one == two {
			t.Errorf("%d servers: the secret of the next era does not depend on what they drew", n)
		}
	}
	w := newWorld(t, 1, 3, 1)
	if w.settle() != (keys.Master{7}) {
		t.Error("a turn without a new era")
	}
}

// TestCrashPoints crashes each server before and after each time that it makes
// something durable, alone and with another one, and restarts it.
func TestCrashPoints(t *testing.T) {
	for seed := range uint64(20) {
		for a := range 3 {
			for b := range 3 {
				for at := 1; at <= 8; at++ {
					w := newWorld(t, seed, 3, 2)
					w.servers[a].crash, w.servers[b].crash = at, 1+at/2
					w.settle()
				}
			}
		}
	}
}

// TestRandomFaults kills, restarts, cuts and crashes at random, and then lets
// everything end well. With lost disks it must still end with one secret.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(3000) {
		w := newWorld(t, seed, 2+int(seed%3), 2)
		loses := seed%2 == 1
		w.loose = loses
		for range w.r.IntN(150) {
			i, j := w.r.IntN(len(w.servers)), w.r.IntN(len(w.servers))
			switch x := w.r.IntN(40); {
			case x < 6:
				w.start(i)
			case x < 14:
				w.link(i, j)
			case x < 15:
				w.cut(i, j)
			case x < 16:
				w.kill(i)
			case x < 17:
				w.servers[i].crash = 1 + w.r.IntN(3)
			case x < 18 && loses && w.survivor(i):
				w.kill(i)
				w.servers[i].blank, w.servers[i].next = true, nil
			default:
				w.deliver()
			}
		}
		w.settle()
	}
}

// survivor says whether another server still has its disk.
func (w *world) survivor(i int) bool {
	for j, s := range w.servers {
		if j != i && !s.blank {
			return true
		}
	}
	return false
}

// TestLaggards: servers that missed an era are given its secret, whether the
// next one is turned to or not.
func TestLaggards(t *testing.T) {
	for _, era := range []uint32{3, 4} {
		w := newWorld(t, 5, 4, era)
		w.servers[1].held = Held{3, keys.Master{9}}
		w.servers[2].held = Held{2, keys.Master{8}}
		w.loose = era == 3 // nobody turns to it
		got := w.settle()
		if (got == keys.Master{9}) != (era == 3) {
			t.Errorf("era %d: %x", era, got)
		}
	}
}

func TestDisagreement(t *testing.T) {
	for name, held := range map[string][3]Held{
		"before the turn": {{1, keys.Master{7}}, {1, keys.Master{7}}, {1, keys.Master{8}}},
		"in the era":      {{1, keys.Master{7}}, {2, keys.Master{7}}, {2, keys.Master{8}}},
	} {
		w := newWorld(t, 1, 3, 2)
		for i := range held {
			w.servers[i].held = held[i]
			w.start(i)
		}
		w.link(0, 2)
		w.link(0, 1)
		w.link(1, 2)
		for i := range 3 {
			for j := range 3 {
				for _, f := range w.links[[2]int{i, j}] {
					f()
				}
			}
		}
		if held[1].Era == 2 {
			if !w.servers[1].m.Differs(2) || w.servers[1].m.InEra(2) || w.servers[1].m.Err() != nil {
				t.Errorf("%s: servers in the era do not see it", name)
			}
			continue
		}
		err := w.servers[0].m.Err()
		if !errors.Is(err, ErrDisagree) || !strings.Contains(err.Error(), "server 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Config{Era: 1, Servers: 1, Held: Held{Era: 2}}); err == nil {
		t.Error("a secret of a later era than the manifest's")
	}
}

// TestComputesAnother: a server that computes another secret from the same
// values is named, before anything is kept.
func TestComputesAnother(t *testing.T) {
	for _, lie := range []string{"fresh", "secret"} {
		w := newWorld(t, 1, 2, 2)
		w.start(0)
		s := w.servers[0]
		s.m.PeerUp(1, [16]byte{9})
		s.m.State(1, State{Era: 1, Held: s.m.state.Held, Fresh: [32]byte{4}})
		switch lie {
		case "fresh":
			s.m.State(1, State{Step: computed, Era: 1, Held: s.m.state.Held, Attempt: s.m.state.Attempt, Next: [32]byte{5}})
		case "secret":
			s.m.State(1, State{Era: 2, Held: [32]byte{5}})
			s.m.Secret(1, Held{2, keys.Master{5}})
		}
		if err := s.m.Err(); !errors.Is(err, ErrDisagree) || !strings.Contains(fmt.Sprint(err), "server 1") || s.next != nil || s.held.Era != 1 {
			t.Errorf("%s: %v; on disk %v %v", lie, err, s.held, s.next)
		}
	}
}
