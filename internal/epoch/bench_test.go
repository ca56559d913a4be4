package epoch_test

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"syscall"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/arena"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/session"
)

// BenchmarkEpoch is a whole epoch of all servers in one thread, cryptography
// included, sockets and clients not: the submissions are sealed ahead, and what
// is sealed for clients is thrown away. cpu-s/epoch is user and system time of
// the process, ns/client that divided by N.
func BenchmarkEpoch(b *testing.B) {
	for _, channel := range []string{"token", "id", "both"} {
		for _, logN := range []int{14, 16, 17, 18, 20} {
			b.Run(fmt.Sprintf("%s/N=2^%d/M=4", channel, logN), func(b *testing.B) { benchmarkEpoch(b, channel, 1<<logN, 4, 1) })
		}
	}
}

// BenchmarkEpochWorkers is the epoch of a single server with one and two threads:
// its time, not its CPU time, is what threads are for.
func BenchmarkEpochWorkers(b *testing.B) {
	for _, channel := range []string{"token", "id"} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/N=2^16/M=1/T=%d", channel, workers), func(b *testing.B) { benchmarkEpoch(b, channel, 1<<16, 1, workers) })
		}
	}
}

// volatile is a store that keeps only what is small.
type volatile map[string][]byte

func (v volatile) Put(name string, parts ...[]byte) error { return nil }
func (v volatile) Get(string) ([]byte, error)             { return nil, commit.ErrNotFound }
func (v volatile) Delete(string) error                    { return nil }

// plainKeys is keys with another AEAD.
type plainKeys struct {
	epoch.Keys
	aead session.AEAD
}

func (k plainKeys) AEAD(*session.Key) session.AEAD { return k.aead }

type cluster struct {
	g        *geometry.Geometry
	schedule *keys.Schedule
	id       [32]byte
	servers  []*epoch.Server
	n        int
	up       [][]session.AEAD // by client and home
	subs     [][]session.Cell // by server
	sealed   []int            // bytes of those
	epoch    uint64
	cells    int
	bytes    int
	perm     []uint32
	// generation of the tokens that clients use
	generation uint32
	head       []byte       // of the newest epoch, as a client learns it
	aead       session.AEAD // of all sessions, if it is not nil
	buf        []byte
}

// attachProof is that of a simulated client, to a server by its index.
func attachProof(server int, client uint32, role uint8, salt [16]byte) [16]byte {
	return keys.AttachProof(keys.SimulatedClientKey([32]byte{3}, client), [32]byte{1}, uint32(server), role, client, salt)
}

func newCluster(tb testing.TB, channel string, n, m, workers int) *cluster {
	return newClusterWith(tb, channel, n, m, workers, nil)
}

// newClusterWith is newCluster with a change to every server's configuration.
func newClusterWith(tb testing.TB, channel string, n, m, workers int, change func(*epoch.Config)) *cluster {
	return newClusterOf(tb, channel, n, slices.Repeat([]geometry.Role{geometry.AllRoles}, m), workers, change)
}

// apart is servers whose clients have two sessions: one to submit to, and one
// with their mailboxes.
var apart = []geometry.Role{geometry.Ingestion | geometry.Routing, geometry.Routing | geometry.Storage}

// newClusterOf is newClusterWith for servers with the given roles.
func newClusterOf(tb testing.TB, channel string, n int, servers []geometry.Role, workers int, change func(*epoch.Config)) *cluster {
	m := len(servers)
	p := geometry.Params{Capacity: n, CellBytes: 256}
	if channel != "token" {
		p.ID = geometry.IDChannel{Out: 1, Contact: 1, Open: true}
	}
	if channel != "id" {
		p.Token = geometry.TokenChannel{Out: 1, In: 1}
	}
	for _, roles := range servers {
		p.Servers = append(p.Servers, geometry.Server{Roles: roles, Weight: 1})
	}
	g, err := geometry.New(p)
	if err != nil {
		tb.Fatal(err)
	}
	c := &cluster{g: g, n: n, id: [32]byte{1}, subs: make([][]session.Cell, m)}
	c.schedule = keys.New(keys.Master{2}, c.id, 1)
	boot := func(i int) (b [16]byte) { b[0] = byte(i); return }
	for i := range m {
		cfg := epoch.Config{
			Geometry: g, Self: i, Cluster: c.id, Era: 1, Simulated: n, Boot: boot(i), Workers: workers,
			Keys: keys.NewServer(c.schedule, [32]byte{3}, workers), Store: volatile{}, Random: rand.Reader, Memory: arena.New(),
		}
		if change != nil {
			change(&cfg)
		}
		if k, ok := cfg.Keys.(plainKeys); ok {
			c.aead = k.aead
		}
		s, err := epoch.New(cfg)
		if err != nil {
			tb.Fatal(err)
		}
		c.servers = append(c.servers, s)
	}
	for i, s := range c.servers {
		for j := range c.servers {
			if i != j {
				s.PeerUp(j, boot(j))
			}
		}
	}
	// Server by server, as each is a process of its own.
	c.up = make([][]session.AEAD, n)
	c.sealed = make([]int, m)
	for id := range uint32(n) {
		for _, h := range cell.Assignments(g, id) {
			c.sealed[h.Server] += geometry.Sealed(cell.UpBytes(g, h.Role))
		}
		c.up[id] = make([]session.AEAD, len(cell.Assignments(g, id)))
	}
	for i, s := range c.servers {
		for id := range uint32(n) {
			for j, h := range cell.Assignments(g, id) {
				if h.Server == i {
					s.Attach(c.session(id, h.Role), id, h.Role, [16]byte{}, attachProof(i, id, h.Role, [16]byte{}))
					key := keys.SimulatedClientKey([32]byte{3}, id)
					if c.up[id][j] = c.aead; c.aead == nil {
						c.up[id][j] = keys.Session(key, cell.Up, h.Role, [16]byte{}, boot(i))
					}
				}
			}
		}
	}
	c.pump()
	for _, x := range mrand.New(mrand.NewPCG(1, 2)).Perm(n) {
		c.perm = append(c.perm, uint32(x))
	}
	return c
}

// session is the number of a client's session with its server of a role: one link
// for each virtual shard and role, on which numbers are dense, as a gateway's are.
func (c *cluster) session(id uint32, role uint8) uint64 {
	shards := uint32(c.g.VirtualShards())
	return uint64(id%shards+1)<<34 | uint64(role)<<32 | uint64(id/shards)
}

// client is whose session it is.
func (c *cluster) client(session uint64) uint32 {
	return uint32(session)*uint32(c.g.VirtualShards()) + uint32(session>>34) - 1
}

// mailbox is where a client's mailbox is.
func (c *cluster) mailbox(id uint32) cell.Assignment {
	homes := cell.Assignments(c.g, id)
	return homes[len(homes)-1]
}

// submit seals every client's cells for an epoch: a message on each channel to
// the next client of a permutation.
func (c *cluster) submit(e uint64) {
	p := c.g.Params()
	// The cells of a server lie one behind the other, as in a gateway's frames.
	sealed := make([][]byte, len(c.subs))
	for i := range c.subs {
		sealed[i] = make([]byte, 0, c.sealed[i])
		c.subs[i] = c.subs[i][:0]
	}
	both := make([]byte, c.g.JointSubmissionBytes())
	sub, ctl := cell.CutUp(c.g, cell.RoleJoint, both)
	sub.SetResultsThrough(e - 1)
	ctl.SetAckEpoch(e - 1)
	copy(ctl.AckHead(), c.head)
	for id := range uint32(c.n) {
		for j := range c.g.Outs() {
			m := sub.Message(c.g.SubmissionCell(j), c.g.MessageBytes())
			m.SetKind(cell.Real)
			m.SetRecipient(c.perm[id])
			if j >= p.ID.Out {
				m.SetEra(1)
				m.SetE2(200)
				m.SetGeneration(c.generation)
				var in [48]byte
				m.PutMACInput(in[:], cell.KindToken, cell.ChannelToken, id)
				c.schedule.Tags(cell.KindToken, in[:], m.MAC())
			}
			binary.LittleEndian.PutUint32(m.Body(), id)
		}
		for j, h := range cell.Assignments(c.g, id) {
			at, typ, plain := h.Server, cell.UpType(h.Role), [][]byte{nil, sub, ctl, both}[h.Role]
			var nonce [cell.NonceBytes]byte
			cell.PutUpNonce(&nonce, e, typ)
			ad := cell.MakeAD(&c.id, cell.Up, h.Role, typ, uint32(at))
			ad.SetEpoch(e)
			ad.SetClient(id)
			from := len(sealed[at])
			sealed[at] = c.up[id][j].Seal(sealed[at], nonce[:], plain, ad[:])
			c.subs[at] = append(c.subs[at], session.Cell{
				Session: c.session(id, h.Role), Type: typ, Epoch: e, Sequence: e, Sealed: sealed[at][from:],
			})
		}
	}
}

// pump carries frames until nothing is left to do.
func (c *cluster) pump() {
	for busy := true; busy; {
		busy = false
		for i, s := range c.servers {
			for {
				r := s.Ready()
				if r.Empty() {
					break
				}
				busy = true
				for k := range r.Peers {
					f := &r.Peers[k]
					c.buf = c.buf[:0]
					for _, p := range f.Parts {
						c.buf = append(c.buf, p...)
					}
					c.bytes += len(c.buf) + geometry.FrameHeaderBytes
					c.servers[f.To].Frame(i, f.Header, c.buf)
					f.Sent()
				}
				for k := range r.Cells {
					c.cells += len(r.Cells[k].Sessions)
					c.read(&r.Cells[k])
					r.Cells[k].Sent()
				}
				if r.Stopped != nil {
					panic(r.Stopped)
				}
			}
		}
	}
}

// down is how a client opens what the server with its mailbox sends it.
func (c *cluster) down(id uint32) session.AEAD {
	if c.aead != nil {
		return c.aead
	}
	h := c.mailbox(id)
	return keys.Session(keys.SimulatedClientKey([32]byte{3}, id), cell.Down, h.Role, [16]byte{}, [16]byte{byte(h.Server)})
}

// delivers says whether cells of a type hold deliveries.
func delivers(typ uint16) bool { return typ == cell.TypeDelivery || typ == cell.TypeJointDelivery }

// delivery opens a cell that holds one; nil if it is not for the client's session.
func (c *cluster) delivery(id uint32, typ uint16, e uint64, attempt uint16, sealed []byte) cell.Delivery {
	h := c.mailbox(id)
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, e, attempt, typ)
	ad := cell.MakeAD(&c.id, cell.Down, h.Role, typ, uint32(h.Server))
	ad.SetEpoch(e)
	ad.SetAttempt(attempt)
	ad.SetClient(id)
	plain, err := c.down(id).Open(nil, nonce[:], sealed, ad[:])
	if err != nil {
		return nil
	}
	_, d := cell.CutDown(c.g, h.Role, plain)
	return d
}

// read opens the first delivery of a batch for the head in it, which clients
// acknowledge.
func (c *cluster) read(b *epoch.ClientCells) {
	if !delivers(b.Type) || len(b.Sessions) == 0 {
		return
	}
	if d := c.delivery(c.client(b.Sessions[0]), b.Type, b.Epoch, b.Attempt, b.Cell(0)); d != nil {
		c.head = d.Head()
	} // else it is of a session of a test's own
}

// run plays one epoch.
func (c *cluster) run(e uint64) {
	for i, s := range c.servers {
		for from := 0; from < len(c.subs[i]); from += 1024 {
			s.Cells(c.subs[i][from:min(from+1024, len(c.subs[i]))])
		}
	}
	c.pump()
	all := make([]byte, (c.n+7)/8)
	for i := range c.n {
		all[i/8] |= 1 << (i % 8)
	}
	for _, s := range c.servers {
		if err := s.Propose(e, 1, epoch.Roster{Limit: uint32(c.n), Ingestion: all, Storage: all}); err != nil {
			panic(err)
		}
	}
	c.pump()
}

func benchmarkEpoch(b *testing.B, channel string, n, m, workers int) {
	if n > 1<<16 && testing.Short() {
		b.Skip("large")
	}
	c := newCluster(b, channel, n, m, workers)
	for range 2 { // the first epochs touch their memory for the first time
		c.epoch++
		c.submit(c.epoch)
		c.run(c.epoch)
	}
	var cpu float64
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		c.epoch++
		c.submit(c.epoch)
		c.cells, c.bytes = 0, 0
		runtime.GC()
		b.StartTimer()
		start := cpuSeconds()
		c.run(c.epoch)
		cpu += cpuSeconds() - start
	}
	if got := c.servers[0].Status().Committed; got != c.epoch {
		b.Fatalf("epoch %d was not committed, %d was", c.epoch, got)
	}
	if c.cells < n {
		b.Fatalf("%d cells were sealed for %d clients", c.cells, n)
	}
	b.ReportMetric(cpu/float64(b.N), "cpu-s/epoch")
	b.ReportMetric(cpu/float64(b.N)*1e9/float64(n), "cpu-ns/client")
	b.ReportMetric(float64(c.bytes)/float64(n), "link-B/client")
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
