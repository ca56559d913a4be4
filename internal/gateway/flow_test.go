package gateway

import (
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// While a server does not read, what is held for it is bounded and its clients
// wait; the clients of another server do not; and nothing is lost or out of
// order when it reads again.
func TestBackpressure(t *testing.T) {
	tr := newTrial(t, alike(2), func(c *Config) { c.LinkQueueBytes = 1 << 10 })
	var clients []*fakeClient
	for id := range uint32(40) {
		clients = append(clients, tr.attach(joint, 2*id))
	}
	other := tr.attach(joint, 1)
	f := tr.servers[0]
	f.mu.Lock()
	var wg sync.WaitGroup
	const cells = creditFirst
	for _, c := range clients {
		wg.Go(func() {
			for n := range uint64(cells) {
				c.write(c.cell(n+1, byte(c.id)))
			}
		})
	}
	for n := range uint64(20) {
		other.exchange(n + 1)
	}
	l := tr.gateway.links[0]
	l.mu.Lock()
	waiting := len(l.out)
	l.mu.Unlock()
	if most := l.g.cfg.LinkQueueBytes + 1000; waiting > most {
		t.Errorf("%d bytes wait for the server", waiting)
	}
	f.mu.Unlock()
	wg.Wait()
	for _, c := range clients {
		for n := range uint64(cells) {
			var a, m wire.CellDown
			if c.expect(wire.TypeCellDown, &a); !c.expect(wire.TypeCellDown, &m) {
				return
			}
			if m.Epoch != n+1 || m.Sealed[0] != byte(c.id) {
				t.Fatalf("client %d: cell %d came back as %d of client %d", c.id, n+1, m.Epoch, m.Sealed[0])
			}
		}
	}
}

// A server that never reads again loses its link, so that its clients are told.
func TestStuckServer(t *testing.T) {
	tr := newTrial(t, alike(1), func(c *Config) { c.LinkQueueBytes = 1 << 10; c.WriteTimeout = 100 * time.Millisecond })
	f := tr.servers[0]
	c := tr.attach(joint, 1)
	c.exchange(1)
	f.mu.Lock()
	first := f.conn
	l := tr.gateway.links[0]
	for range 200 { // more than the sockets hold
		l.mu.Lock()
		l.out = append(l.out, make([]byte, 1<<16)...)
		l.poke()
		l.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	c.write(c.cell(2, 2)) // it waits for room, and is refused with the rest
	c.refused(wire.CodeBusy, false)
	f.mu.Unlock()
	eventually(t, "a new link", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.conn != first })
}

// Clients that end in the middle of a frame, or come and go, leave nothing.
func TestCut(t *testing.T) {
	tr := newTrial(t, alike(1), nil)
	good := tr.attach(joint, 50)
	var wg sync.WaitGroup
	for id := range uint32(20) {
		wg.Go(func() {
			for round := range 5 {
				c := tr.attach(joint, id)
				cell := c.cell(1, 1)
				c.write(cell[:(int(id)*5+round)*len(cell)/100])
				c.conn.Close()
			}
		})
	}
	for n := range uint64(20) {
		good.exchange(n + 1)
	}
	wg.Wait()
	f := tr.servers[0]
	eventually(t, "one session is left", func() bool { return f.live() == 1 && tr.gateway.Counters().Clients == 1 })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.attaches != 101 || f.detaches != 100 {
		t.Errorf("%d attached, %d detached", f.attaches, f.detaches)
	}
	if n := tr.gateway.Counters(); n.Malformed != 0 || n.Connections != 1 {
		t.Errorf("counters: %+v", n)
	}
}

func TestConfig(t *testing.T) {
	g := testGeometry(t, alike(2))
	for _, cfg := range []Config{
		{},
		{Geometry: g, Fronts: []string{"a:1"}},
		{Geometry: g, Fronts: []string{"a:1", ""}},
		{Geometry: g, Fronts: []string{"a:1", "b:1"}, MaxConnections: -1},
		{Geometry: g, Fronts: []string{"a:1", "b:1"}, MaxConnections: 1 << 20},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
