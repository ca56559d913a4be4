package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/wire"
)

// noGoroutinesLeft fails the test if more goroutines are left at its end than
// there were when it was called.
func noGoroutinesLeft(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	})
}

// fakeServer is a server's front address as a gateway sees it. It answers
// every Attach, announces an epoch, and sends for every cell one down whose sealed
// bytes say whose it was.
type fakeServer struct {
	t        *testing.T
	geometry *geometry.Geometry
	number   uint32
	ln       net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex
	silent   bool // guarded by mu: attachments are not answered
	refuse   map[uint32]wire.Code
	conn     net.Conn // the gateway's link
	sessions map[uint32]wire.GatewayAttach
	attaches int
	detaches int
}

func newFakeServer(t *testing.T, g *geometry.Geometry, number int) *fakeServer {
	t.Helper()
	f := &fakeServer{t: t, geometry: g, number: uint32(number), refuse: map[uint32]wire.Code{}}
	f.listen("127.0.0.1:0")
	t.Cleanup(f.close)
	return f
}

func (f *fakeServer) listen(address string) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.ln = ln
	f.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.serve(conn) })
		}
	})
}

func (f *fakeServer) address() string { return f.ln.Addr().String() }

// drop ends the link; the listener stays.
func (f *fakeServer) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != nil {
		f.conn.Close()
	}
}

func (f *fakeServer) close() {
	f.ln.Close()
	f.drop()
	f.wg.Wait()
}

func (f *fakeServer) serve(conn net.Conn) {
	defer conn.Close()
	in := wire.NewReader(conn, 4096)
	p, err := in.Preamble()
	if err != nil {
		return
	}
	if p.Service == wire.ServiceRegistration {
		// Say who it is, and send everything back.
		conn.Write([]byte{byte(f.number)})
		conn.Write(in.Buffered())
		io.Copy(struct{ io.Writer }{conn}, conn)
		return
	}
	f.mu.Lock()
	f.conn, f.sessions = conn, map[uint32]wire.GatewayAttach{}
	f.mu.Unlock()
	out := wire.NewWriter(conn)
	limits := wire.FromGateway(f.geometry)
	for {
		typ, payload, err := in.ReadFrame(limits)
		if err != nil {
			return
		}
		f.mu.Lock()
		switch typ {
		case wire.TypeGatewayAttach:
			var m wire.GatewayAttach
			f.check(m.Parse(payload))
			if _, ok := f.sessions[m.Session]; ok {
				f.t.Errorf("session %d attached twice", m.Session)
			}
			if !slices.Contains(cell.Assignments(f.geometry, m.Client), cell.Assignment{Role: m.Role, Server: int(f.number)}) {
				f.t.Errorf("client %d was attached to server %d in the role %d", m.Client, f.number, m.Role)
			}
			if own := attachOf(m.Client); m.Salt != own.Salt || m.Proof != own.Proof {
				f.t.Errorf("client %d: salt %x and proof %x are not its own", m.Client, m.Salt, m.Proof)
			}
			f.sessions[m.Session] = m
			f.attaches++
			if f.silent {
				break
			}
			if code := f.refuse[m.Client]; code != 0 {
				out.Put(&wire.GatewayRefused{Session: m.Session, Refused: wire.Refused{Code: code}})
				break
			}
			out.Put(&wire.GatewayAttached{Session: m.Session, Attached: wire.Attached{Server: f.number, Generation: m.Client}})
			f.announce(out, m.Session)
		case wire.TypeDetach:
			var m wire.Detach
			f.check(m.Parse(payload))
			delete(f.sessions, m.Session)
			f.detaches++
		case wire.TypeGatewayCellUp:
			var m wire.GatewayCellUp
			f.check(m.Parse(payload))
			s, ok := f.sessions[m.Session]
			if !ok {
				f.t.Errorf("a cell of session %d, which is not attached", m.Session)
				break
			}
			f.announce(out, m.Session)
			out.Put(&wire.GatewayCellDown{Session: m.Session, Cell: wire.CellDown{
				Type: cell.DownType(s.Role), Epoch: m.Cell.Epoch, Sealed: echo(s.Client, s.Role, m.Cell.Sequence, m.Cell.Sealed)}})
		}
		f.mu.Unlock()
		if out.Flush() != nil {
			return
		}
	}
}

func (f *fakeServer) check(err error) {
	if err != nil {
		f.t.Error(err)
	}
}

func (f *fakeServer) announce(out *wire.Writer, session uint32) {
	out.Put(&wire.GatewayCellDown{Session: session, Cell: wire.CellDown{Type: 5, Epoch: 1, Sealed: make([]byte, 80)}})
}

func echo(client uint32, role uint8, sequence uint64, sealed []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, client)
	b = append(b, role)
	b = binary.LittleEndian.AppendUint64(b, sequence)
	return append(b, sealed[:16]...)
}

func (f *fakeServer) live() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sessions)
}

// trial is a gateway and its servers.
type trial struct {
	t        *testing.T
	geometry *geometry.Geometry
	gateway  *Gateway
	servers  []*fakeServer
	address  string
	stop     func()
}

func newTrial(t *testing.T, roles []geometry.Role, change func(*Config)) *trial {
	t.Helper()
	noGoroutinesLeft(t)
	tr := &trial{t: t, geometry: testGeometry(t, roles)}
	cfg := Config{Geometry: tr.geometry, BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond}
	for s := range roles {
		f := newFakeServer(t, tr.geometry, s)
		tr.servers = append(tr.servers, f)
		cfg.Fronts = append(cfg.Fronts, f.address())
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if tr.gateway, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr.address = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.gateway.Serve(ctx, ln) }()
	tr.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(tr.stop)
	return tr
}

// fakeClient is one client's connection in one role.
type fakeClient struct {
	tr   *trial
	conn net.Conn
	in   *wire.Reader
	role uint8
	id   uint32
}

func (tr *trial) dial() net.Conn {
	tr.t.Helper()
	conn, err := net.Dial("tcp", tr.address)
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// attachOf is a client's, which a gateway passes on as it is.
func attachOf(id uint32) *wire.Attach {
	return &wire.Attach{Client: id, Salt: [16]byte{1, byte(id)}, Proof: [16]byte{2, byte(id)}}
}

// start connects and sends Attach, and reads nothing.
func (tr *trial) start(role uint8, id uint32) *fakeClient {
	tr.t.Helper()
	c := &fakeClient{tr: tr, conn: tr.dial(), role: role, id: id}
	c.in = wire.NewReader(c.conn, 4096)
	m := attachOf(id)
	c.write(m.Append(wire.Preamble{Service: wire.ServiceCells, Role: role}.Append(nil)))
	return c
}

// attach connects and waits for the server's answer and announcement.
func (tr *trial) attach(role uint8, id uint32) *fakeClient {
	tr.t.Helper()
	c := tr.start(role, id)
	c.attached()
	return c
}

func (c *fakeClient) attached() {
	c.tr.t.Helper()
	var m wire.Attached
	c.expect(wire.TypeAttached, &m)
	if m.Generation != c.id {
		c.tr.t.Errorf("client %d got the answer for %d", c.id, m.Generation)
	}
	var a wire.CellDown
	c.expect(wire.TypeCellDown, &a)
}

func (c *fakeClient) write(b []byte) {
	if _, err := c.conn.Write(b); err != nil {
		c.tr.t.Error(err)
	}
}

func (c *fakeClient) cell(sequence uint64, fill byte) []byte {
	size := geometry.Sealed(cell.UpBytes(c.tr.geometry, c.role))
	m := wire.CellUp{Type: cell.UpType(c.role), Epoch: sequence, Sequence: sequence, Sealed: bytes.Repeat([]byte{fill}, size)}
	return m.Append(nil)
}

// expect reads a frame of a type; false if the connection ended.
func (c *fakeClient) expect(typ wire.Type, m interface{ Parse([]byte) error }) bool {
	c.tr.t.Helper()
	got, payload, err := c.in.ReadFrame(wire.ToClient(c.tr.geometry))
	if err != nil {
		c.tr.t.Errorf("client %d waits for a frame of type %d: %v", c.id, typ, err)
		return false
	}
	if got != typ {
		c.tr.t.Errorf("client %d got a frame of type %d, not %d", c.id, got, typ)
		return false
	}
	if err := m.Parse(payload); err != nil {
		c.tr.t.Error(err)
	}
	return true
}

// refused expects to be refused, and cut if cut.
func (c *fakeClient) refused(code wire.Code, cut bool) {
	c.tr.t.Helper()
	var m wire.Refused
	if !c.expect(wire.TypeRefused, &m) {
		return
	}
	if m.Code != code {
		c.tr.t.Errorf("client %d was refused with %q, not %q", c.id, m.Code, code)
	}
	if cut {
		c.gone()
	}
}

func (c *fakeClient) gone() {
	c.tr.t.Helper()
	if _, _, err := c.in.ReadFrame(wire.ToClient(c.tr.geometry)); err == nil || isTimeout(err) {
		c.tr.t.Errorf("client %d was not cut: %v", c.id, err)
	}
}

// exchange sends a cell and expects it back.
func (c *fakeClient) exchange(sequence uint64) {
	c.tr.t.Helper()
	sent := c.cell(sequence, byte(c.id+uint32(sequence)))
	c.write(sent)
	var a, m wire.CellDown
	if !c.expect(wire.TypeCellDown, &a) || !c.expect(wire.TypeCellDown, &m) {
		return
	}
	sealed := sent[wire.HeaderBytes+20:]
	if want := echo(c.id, c.role, sequence, sealed); m.Type != cell.DownType(c.role) || string(m.Sealed) != string(want) || m.Epoch != sequence {
		c.tr.t.Errorf("client %d got what is not its own", c.id)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 500 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("never: %s", what)
}
