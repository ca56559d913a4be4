package gateway

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// watcher is a coordinator's connection, and what it has been told.
type watcher struct {
	tr   *trial
	conn net.Conn
	in   *wire.Reader
	on   map[presenceKey]bool
}

func (tr *trial) watch() *watcher {
	tr.t.Helper()
	w := &watcher{tr: tr, conn: tr.dial(), on: map[presenceKey]bool{}}
	w.in = wire.NewReader(w.conn, 4096)
	if _, err := w.conn.Write(wire.Preamble{Service: wire.ServiceConnections}.Append(nil)); err != nil {
		tr.t.Fatal(err)
	}
	return w
}

func (w *watcher) until(what string, f func() bool) {
	w.tr.t.Helper()
	for !f() {
		_, payload, err := w.in.ReadFrame(wire.GatewayToCoordinator())
		if err != nil {
			w.tr.t.Fatalf("waiting for %s: %v; known: %v", what, err, w.on)
		}
		var m wire.Connections
		if err := m.Parse(payload); err != nil {
			w.tr.t.Fatal(err)
		}
		for _, c := range m.Changes {
			if k := (presenceKey{c.Client, c.Role}); c.Up {
				w.on[k] = true
			} else {
				delete(w.on, k)
			}
		}
	}
}

func (w *watcher) knows(n int) func() bool { return func() bool { return len(w.on) == n } }

func TestConnections(t *testing.T) {
	tr := newTrial(t, separate(2), nil)
	early := tr.watch()
	a, b := tr.attach(1, 1), tr.attach(2, 1)
	again := tr.attach(1, 1) // the same client and role twice
	even := tr.attach(1, 2)
	early.until("three", early.knows(3))
	late := tr.watch()
	late.until("the full set", late.knows(3))
	b.conn.Close()
	early.until("one gone", early.knows(2))
	a.conn.Close()
	tr.attach(2, 3)
	early.until("another", early.knows(3))
	late.until("another", func() bool { return len(late.on) == 3 && late.on[presenceKey{3, 2}] })
	if !early.on[presenceKey{1, 1}] {
		t.Error("a client with a second connection was said to be gone")
	}
	again.exchange(1)
	// A lost link is news, and so is its return.
	address := tr.servers[0].address()
	tr.servers[0].ln.Close()
	tr.servers[0].drop()
	early.until("server 0 lost", func() bool { return !early.on[presenceKey{2, 1}] })
	even.refused(wire.CodeBusy, false)
	tr.servers[0].listen(address)
	early.until("server 0 back", func() bool { return early.on[presenceKey{2, 1}] })
	// Whoever says something to what only tells is cut.
	late.conn.Write([]byte{0})
	if _, err := io.Copy(io.Discard, late.conn); err != nil {
		t.Error(err)
	}
}

// An observer that is told whenever it asks ends with what is true.
func TestPresenceCoalesces(t *testing.T) {
	p := newPresence()
	random := rand.New(rand.NewPCG(1, 2))
	o := p.observe()
	counts, told := map[presenceKey]int{}, map[presenceKey]bool{}
	for range 10000 {
		k := presenceKey{random.Uint32N(20), uint8(1 + random.IntN(3))}
		if counts[k] > 0 && random.IntN(2) == 0 {
			p.remove(k.client, k.role)
			counts[k]--
		} else if counts[k] < 3 {
			p.add(k.client, k.role)
			counts[k]++
		}
		if random.IntN(30) == 0 {
			for p.take(o, 5, func(k presenceKey, up bool) { told[k] = up }) {
			}
			for k, n := range counts {
				if told[k] != (n > 0) {
					t.Fatalf("%v: %d connections, told %v", k, n, told[k])
				}
			}
		}
	}
	if len(o.changed) > 60 {
		t.Errorf("%d changes wait", len(o.changed))
	}
}

func TestSessionNumbers(t *testing.T) {
	var s sessions
	random := rand.New(rand.NewPCG(3, 4))
	live := map[uint32]*client{}
	ended := map[uint32]bool{}
	for range 200000 {
		if len(live) < 100 && random.IntN(2) == 0 {
			c := new(client)
			n, ok := s.add(c)
			if !ok || live[n] != nil {
				t.Fatalf("number %d is in use", n)
			}
			live[n] = c
			delete(ended, n)
			continue
		}
		for n, c := range live {
			if s.find(n) != c {
				t.Fatalf("session %d is lost", n)
			}
			s.remove(n)
			s.remove(n)
			delete(live, n)
			if len(ended) < 50 {
				ended[n] = true
			}
			break
		}
	}
	for n := range ended {
		if live[n] == nil && s.find(n) != nil {
			t.Errorf("session %d is found after its end", n)
		}
	}
	if len(s.slots) > 300 || s.live != len(live) {
		t.Errorf("%d slots for %d sessions", len(s.slots), s.live)
	}
}

func (tr *trial) register(chosen byte) net.Conn {
	tr.t.Helper()
	conn := tr.dial()
	p := wire.Preamble{Service: wire.ServiceRegistration}.Append(nil)
	p[7] = chosen
	conn.Write(append(p, "hello"...))
	return conn
}

// A registration's bytes pass through unopened, to the storage server that was
// chosen or to each in turn.
func TestRegistration(t *testing.T) {
	tr := newTrial(t, alike(3), func(c *Config) { c.RegisterTimeout = time.Second; c.MaxRegistrations = 4 })
	served := map[byte]int{}
	for range 6 {
		conn := tr.register(0)
		var b [1]byte
		io.ReadFull(conn, b[:])
		served[b[0]]++
		conn.Write([]byte(" world"))
		conn.(*net.TCPConn).CloseWrite()
		rest, err := io.ReadAll(conn)
		if string(rest) != "hello world" || err != nil {
			t.Errorf("came back: %q, %v", rest, err)
		}
	}
	if fmt.Sprint(served) != "map[0:2 1:2 2:2]" {
		t.Errorf("served: %v", served)
	}
	for s := range byte(3) {
		conn := tr.register(s + 1)
		var b [6]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil || b[0] != s {
			t.Errorf("asked for storage server %d, got %d (%v)", s, b[0], err)
		}
		conn.Close()
	}
	if b, _ := io.ReadAll(tr.register(200)); len(b) != 0 {
		t.Error("a storage server that there is not")
	}
	eventually(t, "all done", func() bool { return len(tr.gateway.registrations) == 0 })
	// One that takes too long, one that carries too much, and more than there may be.
	var wg sync.WaitGroup
	for range 4 {
		conn := tr.register(0)
		wg.Go(func() {
			if b, _ := io.ReadAll(conn); len(b) != 6 {
				t.Errorf("came back: %q", b)
			}
		})
	}
	eventually(t, "four under way", func() bool { return len(tr.gateway.registrations) == 4 })
	if b, _ := io.ReadAll(tr.register(0)); len(b) != 0 {
		t.Error("there was room for a fifth")
	}
	wg.Wait()
	// A server that is away is passed over.
	tr.servers[1].ln.Close()
	for range 3 {
		conn := tr.register(0)
		var b [6]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil || b[0] == 1 {
			t.Errorf("served by %d, %v", b[0], err)
		}
		conn.Close()
	}
	conn := tr.register(1)
	go io.Copy(conn, endless{})
	if n, _ := io.Copy(io.Discard, conn); n > 2*registerBytes {
		t.Errorf("%d bytes came back", n)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
