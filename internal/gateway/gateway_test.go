package gateway

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/wire"
)

// Every client gets its own cells back, in order, whatever the others do.
func TestMultiplexing(t *testing.T) {
	for name, c := range map[string]struct {
		servers []geometry.Role
		ends    int64 // of all clients
	}{
		"joint":    {alike(3), 60},
		"separate": {separate(2), 120},
		"mixed":    {append(alike(1), geometry.Storage), 30 + 2*30}, // half of the mailboxes are elsewhere
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTrial(t, c.servers, nil)
			const clients, cells = 60, 20
			var wg sync.WaitGroup
			for id := range uint32(clients) {
				for _, h := range cell.Assignments(tr.geometry, id) {
					wg.Go(func() {
						c := tr.attach(h.Role, id)
						for n := range uint64(cells) {
							c.exchange(n + 1)
						}
					})
				}
			}
			wg.Wait()
			n := tr.gateway.Counters()
			if n.Clients != c.ends || n.CellsUp != c.ends*cells || n.CellsDown != c.ends*(2*cells+1) || n.Dropped != 0 {
				t.Errorf("counters: %+v", n)
			}
		})
	}
}

// A client's frames may come byte by byte, or many at once.
func TestPieces(t *testing.T) {
	tr := newTrial(t, alike(1), nil)
	c := tr.start(joint, 7)
	c.attached()
	var all []byte
	for n := range uint64(5) {
		all = append(all, c.cell(n+1, 9)...)
	}
	for _, b := range all[:50] {
		c.write([]byte{b})
	}
	c.write(all[50:])
	for n := range uint64(5) {
		var a, m wire.CellDown
		c.expect(wire.TypeCellDown, &a)
		c.expect(wire.TypeCellDown, &m)
		if m.Epoch != n+1 {
			t.Errorf("cell %d came back as %d", n+1, m.Epoch)
		}
	}
}

func TestSilentClient(t *testing.T) {
	tr := newTrial(t, alike(1), func(c *Config) { c.AttachTimeout = 50 * time.Millisecond; c.AnswerTimeout = 50 * time.Millisecond })
	c := tr.dial()
	if b, err := io.ReadAll(c); err != nil || len(b) != 0 {
		t.Errorf("a silent connection: %q, %v", b, err)
	}
	half := &fakeClient{tr: tr, conn: tr.dial(), role: joint}
	half.in = wire.NewReader(half.conn, 100)
	half.write(wire.Preamble{Service: wire.ServiceCells, Role: joint}.Append(nil))
	half.write([]byte{20, 0, 0})
	half.refused(wire.CodeBusy, true)
	if n := tr.gateway.Counters(); n.Silent != 2 {
		t.Errorf("counters: %+v", n)
	}
	ok := tr.attach(joint, 3)
	time.Sleep(120 * time.Millisecond) // who is attached may be silent
	ok.exchange(1)
	tr.servers[0].mu.Lock()
	tr.servers[0].silent = true
	tr.servers[0].mu.Unlock()
	tr.start(joint, 4).refused(wire.CodeBusy, true)
}

func TestGarbage(t *testing.T) {
	tr := newTrial(t, alike(1), nil)
	good := tr.attach(joint, 1)
	preamble := wire.Preamble{Service: wire.ServiceCells, Role: joint}.Append(nil)
	attach := attachOf(2).Append(bytes.Clone(preamble))
	c := fakeClient{tr: tr, role: joint, id: 2}
	other := fakeClient{tr: tr, role: cell.RoleIngestion, id: 2}
	for _, test := range []struct {
		name string
		send []byte
		want wire.Code // 0: just cut
	}{
		{"not TEEMS", []byte("GET / HTTP/1.1\r\n\r\n"), 0},
		{"other version", []byte("TEEM\x09\x01\x01\x00"), wire.CodeWrongSize},
		{"no such service", []byte("TEEM\x01\x63\x00\x00"), wire.CodeWrongSize},
		{"a server's service", wire.Preamble{Service: wire.ServiceGateway}.Append(nil), wire.CodeWrongSize},
		{"a cell before Attach", append(bytes.Clone(preamble), c.cell(1, 1)...), wire.CodeWrongSize},
		{"Attach twice", append(bytes.Clone(attach), attach[8:]...), wire.CodeWrongSize},
		{"a cell of the other role", append(bytes.Clone(attach), other.cell(1, 1)...), wire.CodeWrongSize},
		{"oversize", append(bytes.Clone(attach), 0xff, 0xff, 0xff, 0x7f, 3), wire.CodeWrongSize},
		{"unknown type", append(bytes.Clone(attach), 1, 0, 0, 0, 77, 0), wire.CodeWrongSize},
		{"beyond the capacity", attachOf(1 << 31).Append(bytes.Clone(preamble)), wire.CodeUnknownClient},
	} {
		conn := tr.dial()
		conn.Write(test.send)
		in := wire.NewReader(conn, 100)
		var code wire.Code
		for {
			typ, payload, err := in.ReadFrame(wire.ToClient(tr.geometry))
			if err != nil {
				break
			}
			if typ == wire.TypeRefused {
				var m wire.Refused
				m.Parse(payload)
				code = m.Code
			}
		}
		if code != test.want {
			t.Errorf("%s: refused with %d, not %d", test.name, code, test.want)
		}
	}
	good.exchange(1)
	eventually(t, "all sessions but one are closed", func() bool { return tr.servers[0].live() == 1 })
}

func TestRefusedByServer(t *testing.T) {
	tr := newTrial(t, alike(1), nil)
	tr.servers[0].refuse[5] = wire.CodeUnknownClient
	tr.start(joint, 5).refused(wire.CodeUnknownClient, true)
	eventually(t, "the session is closed", func() bool { return tr.servers[0].live() == 0 })
}

// A client that sends more cells than epochs are announced is cut; a client
// that sends one for each goes on.
func TestFlood(t *testing.T) {
	tr := newTrial(t, alike(1), nil)
	good := tr.attach(joint, 2)
	bad := tr.attach(joint, 1)
	// The server answers nothing now, so no epoch is announced.
	tr.servers[0].mu.Lock()
	for i := range uint64(creditMost + 1) {
		bad.write(bad.cell(i, 0))
	}
	tr.servers[0].mu.Unlock()
	for {
		typ, payload, err := bad.in.ReadFrame(wire.ToClient(tr.geometry))
		if err != nil {
			t.Errorf("no reason was given: %v", err)
			break
		}
		if typ == wire.TypeRefused {
			if wire.Code(payload[0]) != wire.CodeAlready {
				t.Errorf("refused with %d", payload[0])
			}
			break
		}
	}
	good.exchange(1)
	if n := tr.gateway.Counters(); n.Floods != 1 {
		t.Errorf("counters: %+v", n)
	}
}

// A client that does not read is cut when too much waits for it; the others
// of its server go on meanwhile.
func TestSlowReader(t *testing.T) {
	tr := newTrial(t, alike(1), func(c *Config) { c.ClientQueueBytes = 1 << 16 })
	slow, good := tr.attach(joint, 1), tr.attach(joint, 2)
	slow.conn.(*net.TCPConn).SetReadBuffer(4096)
	f := tr.servers[0]
	frame := (&wire.GatewayCellDown{Session: session(f, 1), Cell: wire.CellDown{Type: cell.TypeJointDelivery, Sealed: make([]byte, 80)}}).Append(nil)
	burst := bytes.Repeat(frame, 1000)
	for n := uint64(1); tr.gateway.Counters().Slow == 0 && n < 1000; n++ {
		if _, err := f.conn.Write(burst); err != nil {
			t.Fatal(err)
		}
		good.exchange(n)
	}
	eventually(t, "the slow session is closed", func() bool { return f.live() == 1 })
	if n := tr.gateway.Counters(); n.Slow != 1 || n.QueuedBytes != 0 {
		t.Errorf("counters: %+v", n)
	}
	// It may come back.
	tr.attach(joint, 1).exchange(1)
}

// A client that stops reading with little to come is cut after WriteTimeout.
func TestStuckReader(t *testing.T) {
	tr := newTrial(t, alike(1), func(c *Config) { c.WriteTimeout = 100 * time.Millisecond; c.ClientQueueBytes = 1 << 30 })
	tr.attach(joint, 1).conn.(*net.TCPConn).SetReadBuffer(4096)
	f := tr.servers[0]
	frame := (&wire.GatewayCellDown{Session: session(f, 1), Cell: wire.CellDown{Type: cell.TypeJointDelivery, Sealed: make([]byte, 80)}}).Append(nil)
	if _, err := f.conn.Write(bytes.Repeat(frame, 100000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cut", func() bool { return tr.gateway.Counters().Slow == 1 && f.live() == 0 })
}

// session finds the session of a client at a server.
func session(f *fakeServer, client uint32) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s, m := range f.sessions {
		if m.Client == client {
			return s
		}
	}
	f.t.Errorf("client %d has no session", client)
	return 0
}

// When a link is lost its clients are told, and their sessions are opened anew
// when it is back; the clients of other servers notice nothing.
func TestLinkLost(t *testing.T) {
	tr := newTrial(t, alike(2), nil)
	var mine, others []*fakeClient
	for id := range uint32(20) {
		mine = append(mine, tr.attach(joint, 2*id))
		if id < 10 {
			others = append(others, tr.attach(joint, 2*id+1))
		}
	}
	f := tr.servers[0]
	if cell.Assignments(tr.geometry, 0)[0].Server != 0 {
		t.Fatal("client 0 is not server 0's")
	}
	address := f.address()
	f.ln.Close()
	f.drop()
	for _, c := range mine {
		c.refused(wire.CodeBusy, false)
	}
	mine[0].write(mine[0].cell(1, 1))
	mine[0].refused(wire.CodeBusy, false)
	late := tr.start(joint, 100)
	for _, c := range others {
		c.exchange(1)
	}
	if n := tr.gateway.Counters(); n.Clients != 10 || n.Dropped != 1 {
		t.Errorf("counters: %+v", n)
	}
	mine[2].conn.Close() // in the meantime
	f.listen(address)
	for i, c := range append(mine, late) {
		if i != 2 {
			c.attached()
			c.exchange(2)
		}
	}
	eventually(t, "sessions are as they were", func() bool { return f.live() == 20 })
}

// A server that sends what is not in the protocol loses its link, and clients
// only for a moment.
func TestGarbageFromServer(t *testing.T) {
	tr := newTrial(t, alike(1), nil)
	c := tr.attach(joint, 1)
	f := tr.servers[0]
	// Frames for sessions that there are not, or not any more, are dropped.
	for _, s := range []uint32{5, 1 << 20, 1<<32 - 1} {
		f.conn.Write((&wire.GatewayCellDown{Session: s, Cell: wire.CellDown{Type: cell.TypeJointDelivery, Sealed: make([]byte, 80)}}).Append(nil))
	}
	c.exchange(1)
	f.conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	c.refused(wire.CodeBusy, false)
	c.attached()
	c.exchange(2)
	if n := tr.gateway.Counters(); n.LinksUp != 2 || n.LinksLost != 1 {
		t.Errorf("counters: %+v", n)
	}
}

func TestLimit(t *testing.T) {
	var log strings.Builder
	tr := newTrial(t, alike(1), func(c *Config) {
		c.MaxConnections = 3 // one of them is the link
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	a, b := tr.attach(joint, 1), tr.attach(joint, 2)
	tr.start(joint, 3).refused(wire.CodeBusy, true)
	a.conn.Close()
	eventually(t, "there is room", func() bool { return tr.gateway.Counters().Connections == 1 })
	tr.attach(joint, 3).exchange(1)
	b.exchange(1)
	tr.stop()
	if !strings.Contains(log.String(), "limit on connections is reached") || strings.Count(log.String(), "\n") > 3 {
		t.Errorf("log:\n%s", log.String())
	}
}

// Everything over pipes, which cannot write without waiting.
func TestPipes(t *testing.T) {
	noGoroutinesLeft(t)
	g := testGeometry(t, alike(1))
	f := &fakeServer{t: t, geometry: g, refuse: map[uint32]wire.Code{}}
	gw, err := New(Config{Geometry: g, Fronts: []string{"server"}, Dial: func(context.Context, string) (net.Conn, error) {
		near, far := net.Pipe()
		f.wg.Go(func() { f.serve(far) })
		return near, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- gw.Serve(ctx, ln) }()
	near, far := net.Pipe()
	ln.conns <- far
	c := &fakeClient{tr: &trial{t: t, geometry: g}, conn: near, in: wire.NewReader(near, 4096), role: joint, id: 9}
	c.write(attachOf(9).Append(wire.Preamble{Service: wire.ServiceCells, Role: joint}.Append(nil)))
	c.attached()
	for n := range uint64(10) {
		c.exchange(n + 1)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	f.wg.Wait()
}

type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return nil }

// A server that has no session for a cell makes the client connect anew.
func TestSessionGone(t *testing.T) {
	tr := newTrial(t, alike(1), nil)
	c, good := tr.attach(joint, 1), tr.attach(joint, 2)
	f := tr.servers[0]
	number := session(f, 1)
	for _, code := range []wire.Code{wire.CodeWrongEpoch, wire.CodeNotOpen} {
		f.conn.Write((&wire.GatewayRefused{Session: number, Refused: wire.Refused{Code: code, Epoch: 7}}).Append(nil))
		c.refused(code, code == wire.CodeNotOpen)
	}
	good.exchange(1)
	eventually(t, "the session is closed", func() bool { return f.live() == 1 && tr.gateway.Counters().Clients == 1 })
}
