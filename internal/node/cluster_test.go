package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/wire"
)

// cluster is some real nodes on loopback, in one process. Only server 0 has
// the cluster's secret when they start.
type cluster struct {
	t       *testing.T
	d       *deployment
	g       *geometry.Geometry
	seed    [32]byte
	clients int
	mesh    []string
	front   []string
	log     *log
	stop    []func() error
	change  func(i int, cfg *Config) // before a server starts; may be nil
}

var seed = [32]byte{1, 2, 3}

func deployClients(t *testing.T, servers []manifest.Server, clients int) *deployment {
	t.Helper()
	return deploy(t, manifest.Options{
		Servers: servers, Parameters: manifest.ExperimentParameters(clients),
		SimulatedClients: &manifest.SimulatedClients{Count: clients, Seed: seed[:]},
	})
}

func startCluster(t *testing.T, servers []manifest.Server, clients int) *cluster {
	t.Helper()
	return startDeployment(t, deployClients(t, servers, clients), nil)
}

func startDeployment(t *testing.T, d *deployment, change func(i int, cfg *Config)) *cluster {
	t.Helper()
	before := runtime.NumGoroutine()
	servers := d.signed.Manifest.Servers
	c := &cluster{t: t, d: d, seed: seed, log: &log{t: t}, change: change}
	if s := d.signed.Manifest.SimulatedClients; s != nil {
		c.clients = s.Count
	}
	var err error
	c.g, err = c.d.signed.Manifest.Geometry()
	must(t, err)
	var listeners [][2]net.Listener
	for range servers {
		m, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		f, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		listeners = append(listeners, [2]net.Listener{m, f})
		c.mesh, c.front = append(c.mesh, m.Addr().String()), append(c.front, f.Addr().String())
	}
	for i := range servers {
		secret := c.d.secret
		if i > 0 {
			secret = nil
		}
		c.start(i, listeners[i], secret)
	}
	t.Cleanup(func() {
		for _, stop := range c.stop {
			if err := stop(); err != nil {
				t.Errorf("a server ended with: %v", err)
			}
		}
		eventually(t, "no goroutine left", func() bool { return runtime.NumGoroutine() <= before })
		if t.Failed() {
			for _, line := range c.log.lines {
				t.Log(line)
			}
		}
	})
	return c
}

func (c *cluster) start(i int, listeners [2]net.Listener, secret *Secret) {
	cfg := Config{
		Manifest: c.d.signed, Genesis: c.d.first.Hash(), Self: i, Secret: secret,
		Issuer: simulated.NewIssuer(measurement), Verifiers: simulated.Verifiers(),
		Mesh: listeners[0], Front: listeners[1],
		Dial: func(ctx context.Context, s int) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", c.mesh[s])
		},
		Rand: rand.Reader, Now: time.Now, Log: func(s string) { c.log.add(fmt.Sprint(i, ": ", s)) },
	}
	if c.change != nil {
		c.change(i, &cfg)
	}
	n, err := New(cfg)
	must(c.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	c.stop = append(c.stop, sync.OnceValue(func() error { cancel(); return <-done }))
}

// end is one session of a simulated client.
type end struct {
	client   uint32
	role     uint8
	server   int
	session  uint32
	salt     [16]byte
	up, down keys.AEAD
	sequence uint64
}

// crowd is all simulated clients, and the gateway that carries them. Each
// sends, in every epoch, a line to the next one over the ID channel.
type crowd struct {
	c     *cluster
	conns []net.Conn
	ends  []map[uint32]*end // by server and session

	mu        sync.Mutex
	delivered map[uint64]int
	results   map[uint64]int
	wrong     []string
}

func (c *cluster) crowd() *crowd {
	w := &crowd{c: c, delivered: map[uint64]int{}, results: map[uint64]int{}}
	for s := range c.front {
		conn, err := net.Dial("tcp", c.front[s])
		must(c.t, err)
		_, err = conn.Write(wire.Preamble{Service: wire.ServiceGateway}.Append(nil))
		must(c.t, err)
		w.conns = append(w.conns, conn)
		w.ends = append(w.ends, map[uint32]*end{})
	}
	for id := range uint32(c.clients) {
		for _, h := range cell.Assignments(c.g, id) {
			w.ends[h.Server][id] = &end{client: id, role: h.Role, server: h.Server, session: id, salt: [16]byte{byte(id), byte(id >> 8), h.Role}}
		}
	}
	for s := range w.conns {
		var out []byte
		for _, e := range w.ends[s] {
			proof := keys.AttachProof(keys.SimulatedClientKey(c.seed, e.client), c.d.signed.Manifest.ClusterID(), uint32(s), e.role, e.client, e.salt)
			out = (&wire.GatewayAttach{Session: e.session, Role: e.role, Client: e.client, Salt: e.salt, Proof: proof}).Append(out)
		}
		_, err := w.conns[s].Write(out)
		must(c.t, err)
		go w.read(s)
	}
	c.t.Cleanup(func() {
		for _, conn := range w.conns {
			conn.Close()
		}
	})
	return w
}

func (w *crowd) complain(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, a...))
}

func (w *crowd) read(server int) {
	r := wire.NewReader(w.conns[server], 64<<10)
	limits := wire.ToGateway(w.c.g)
	for {
		typ, payload, err := r.ReadFrame(limits)
		if err != nil {
			return
		}
		switch typ {
		case wire.TypeGatewayAttached:
			var m wire.GatewayAttached
			m.Parse(payload)
			e := w.ends[server][m.Session]
			key := keys.SimulatedClientKey(w.c.seed, e.client)
			e.up = keys.Session(key, cell.Up, e.role, e.salt, m.Attached.Salt)
			e.down = keys.Session(key, cell.Down, e.role, e.salt, m.Attached.Salt)
		case wire.TypeGatewayCellDown:
			var m wire.GatewayCellDown
			m.Parse(payload)
			w.cell(w.ends[server][m.Session], &m.Cell)
		default:
			w.complain("frame of type %d: %x", typ, payload)
		}
	}
}

func (w *crowd) ad(e *end, direction uint8, typ uint16, epoch uint64, attempt uint16) []byte {
	cluster := w.c.d.signed.Manifest.ClusterID()
	ad := cell.MakeAD(&cluster, direction, e.role, typ, uint32(e.server))
	ad.SetEpoch(epoch)
	ad.SetAttempt(attempt)
	ad.SetClient(e.client)
	return ad[:]
}

func (w *crowd) cell(e *end, m *wire.CellDown) {
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, m.Epoch, m.Attempt, m.Type)
	plain, err := e.down.Open(nil, nonce[:], m.Sealed, w.ad(e, cell.Down, m.Type, m.Epoch, m.Attempt))
	if err != nil {
		w.complain("client %d cannot open a cell of type %d: %v", e.client, m.Type, err)
		return
	}
	switch m.Type {
	case cell.TypeAnnouncement:
		w.submit(e, cell.Announcement(plain).Open())
	case cell.DownType(e.role):
		r, d := cell.CutDown(w.c.g, e.role, plain)
		if r != nil {
			w.mu.Lock()
			w.results[m.Epoch]++
			w.mu.Unlock()
		}
		if d != nil {
			w.check(e, m.Epoch, d)
		}
		w.submit(e, m.Epoch+1)
	default:
		w.complain("client %d got a cell of type %d from role %d", e.client, m.Type, e.role)
	}
}

func line(from, to uint32, epoch uint64) string {
	return fmt.Sprintf("from %d to %d in %d", from, to, epoch)
}

func (w *crowd) submit(e *end, epoch uint64) {
	g := w.c.g
	typ, plain := cell.UpType(e.role), make([]byte, cell.UpBytes(g, e.role))
	if submission, _ := cell.CutUp(g, e.role, plain); submission != nil {
		to := (e.client + 1) % uint32(w.c.clients)
		m := submission.Message(g.SubmissionCell(0), g.MessageBytes())
		m.SetKind(cell.Real)
		m.SetRecipient(to)
		copy(m.Body(), line(e.client, to, epoch))
	}
	e.sequence++
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, e.sequence, typ)
	f := wire.GatewayCellUp{Session: e.session, Cell: wire.CellUp{Type: typ, Epoch: epoch, Sequence: e.sequence,
		Sealed: e.up.Seal(nil, nonce[:], plain, w.ad(e, cell.Up, typ, epoch, 0))}}
	w.conns[e.server].Write(f.Append(nil))
}

func (w *crowd) check(e *end, epoch uint64, d cell.Delivery) {
	g := w.c.g
	m := d.Cell(g.DeliveryCell(0), g.DeliveryCellBytes())
	from := (e.client + uint32(w.c.clients) - 1) % uint32(w.c.clients)
	want := line(from, e.client, epoch)
	if got := strings.TrimRight(string(m.Body()), "\x00"); m.Kind() != cell.Real || m.Sender() != from || got != want {
		w.complain("epoch %d, client %d: kind %d from %d: %q, want %q", epoch, e.client, m.Kind(), m.Sender(), got, want)
	}
	w.mu.Lock()
	w.delivered[epoch]++
	w.mu.Unlock()
}

// drive proposes epochs 1 to last to all servers, each when all cells are
// there, and returns every server's report of the last.
func (c *cluster) drive(last uint64) []wire.EpochReport {
	status := make([]wire.Status, len(c.front))
	var mu sync.Mutex
	var conns []net.Conn
	for s := range c.front {
		conn, err := net.Dial("tcp", c.front[s])
		must(c.t, err)
		defer conn.Close()
		_, err = conn.Write(wire.Preamble{Service: wire.ServiceCoordinator}.Append(nil))
		must(c.t, err)
		conns = append(conns, conn)
		go func() {
			r := wire.NewReader(conn, 4096)
			for {
				typ, payload, err := r.ReadFrame(wire.ToCoordinator(c.g))
				if err != nil {
					return
				}
				if typ == wire.TypeStatus {
					var m wire.Status
					m.Parse(payload)
					mu.Lock()
					status[s] = m
					mu.Unlock()
				}
			}
		}()
	}
	all := func(ok func(s int, m *wire.Status) bool) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			for s := range status {
				if !ok(s, &status[s]) {
					return false
				}
			}
			return true
		}
	}
	roster := wire.NewRoster(uint32(c.clients))
	for id := range uint32(c.clients) {
		roster.Set(1, id, true)
		roster.Set(2, id, true)
	}
	for e := uint64(1); e <= last; e++ {
		eventually(c.t, fmt.Sprint("all cells of epoch ", e), func() bool {
			mu.Lock()
			defer mu.Unlock()
			up, down := 0, 0
			for s := range status {
				if status[s].Open != e || int(status[s].Peers) != len(c.front)-1 {
					return false
				}
				up, down = up+int(status[s].Submissions), down+int(status[s].Controls)
			}
			return up == c.clients && down == c.clients
		})
		for _, conn := range conns {
			_, err := conn.Write((&wire.Propose{Epoch: e, Attempt: 1, Roster: *roster}).Append(nil))
			must(c.t, err)
		}
		eventually(c.t, fmt.Sprint("commit and report of epoch ", e), all(func(_ int, m *wire.Status) bool {
			return m.Committed == e && m.Newest.Epoch == e
		}))
	}
	mu.Lock()
	defer mu.Unlock()
	var reports []wire.EpochReport
	for s := range status {
		reports = append(reports, status[s].Newest)
	}
	return reports
}

func testCluster(t *testing.T, servers []manifest.Server, clients int, epochs uint64) {
	c := startCluster(t, servers, clients)
	w := c.crowd()
	reports := c.drive(epochs)
	eventually(t, "everything delivered", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for e := uint64(1); e <= epochs; e++ {
			if w.delivered[e] != clients || w.results[e] != clients {
				return false
			}
		}
		return true
	})
	for i, line := range w.wrong {
		if i < 5 {
			t.Error(line)
		}
	}
	for s, r := range reports {
		if r.DeliveredNanos == 0 || r.RoutingNanos == 0 || r.DeliveredNanos < r.RoutingNanos || r.CPUNanosTotal == 0 || r.RSSBytes == 0 ||
			(r.BytesToPeers == 0) != (len(servers) == 1) {
			t.Errorf("server %d reports %+v", s, r)
		}
	}
}

func TestClusterOfThree(t *testing.T) {
	testCluster(t, manifest.LocalServers(3, "127.0.0.1", 7000, 1), 60, 3)
}

func TestClusterOfOne(t *testing.T) {
	testCluster(t, manifest.LocalServers(1, "127.0.0.1", 7000, 2), 20, 2)
}

func TestClusterWithRoles(t *testing.T) {
	servers := manifest.LocalServers(4, "127.0.0.1", 7000, 1)
	servers[0].Roles = []manifest.Role{manifest.Ingestion}
	servers[1].Roles = []manifest.Role{manifest.Routing}
	servers[2].Roles = []manifest.Role{manifest.Routing}
	servers[3].Roles = []manifest.Role{manifest.Storage}
	testCluster(t, servers, 40, 2)
}
