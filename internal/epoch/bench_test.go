package epoch_test

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"runtime"
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
	up       [][2]session.AEAD // by client: ingestion, storage
	subs     [][]session.Cell  // by server
	sealed   []int             // bytes of those
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
	p := geometry.Params{Capacity: n, CellBytes: 256}
	if channel != "token" {
		p.ID = geometry.IDChannel{Out: 1, Contact: 1, Open: true}
	}
	if channel != "id" {
		p.Token = geometry.TokenChannel{Out: 1, In: 1}
	}
	for range m {
		p.Servers = append(p.Servers, geometry.Server{Roles: geometry.AllRoles, Weight: 1})
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
	c.up = make([][2]session.AEAD, n)
	c.sealed = make([]int, m)
	for id := range uint32(n) {
		at := c.at(id)
		c.sealed[at[0]] += geometry.Sealed(g.SubmissionBytes())
		c.sealed[at[1]] += geometry.Sealed(g.ControlBytes())
	}
	for i, s := range c.servers {
		for id := range uint32(n) {
			for r, at := range c.at(id) {
				if role := uint8(r + 1); at == i {
					s.Attach(uint64(id)<<2|uint64(role), id, role, [16]byte{}, attachProof(i, id, role, [16]byte{}))
					key := keys.SimulatedClientKey([32]byte{3}, id)
					if c.up[id][r] = c.aead; c.aead == nil {
						c.up[id][r] = keys.Session(key, cell.Up, role, [16]byte{}, boot(at))
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

func (c *cluster) at(id uint32) [2]int {
	return [2]int{c.g.Ingestions()[c.g.IngestionOf(id)], c.g.Storages()[c.g.StorageOf(id)]}
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
	sub, ctl := make([]byte, c.g.SubmissionBytes()), make([]byte, c.g.ControlBytes())
	cell.Submission(sub).SetResultsThrough(e - 1)
	cell.Control(ctl).SetAckEpoch(e - 1)
	copy(cell.Control(ctl).AckHead(), c.head)
	for id := range uint32(c.n) {
		for j := range c.g.Outs() {
			m := cell.Submission(sub).Message(c.g.SubmissionCell(j), c.g.MessageBytes())
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
		for r, plain := range [][]byte{sub, ctl} {
			role, typ, at := uint8(r+1), uint16(r+1), c.at(id)[r]
			var nonce [cell.NonceBytes]byte
			cell.PutUpNonce(&nonce, e, typ)
			ad := cell.MakeAD(&c.id, cell.Up, role, typ, uint32(at))
			ad.SetEpoch(e)
			ad.SetClient(id)
			from := len(sealed[at])
			sealed[at] = c.up[id][r].Seal(sealed[at], nonce[:], plain, ad[:])
			c.subs[at] = append(c.subs[at], session.Cell{
				Session: uint64(id)<<2 | uint64(role), Type: typ, Epoch: e, Sequence: e, Sealed: sealed[at][from:],
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
					c.read(i, &r.Cells[k])
					r.Cells[k].Sent()
				}
				if r.Stopped != nil {
					panic(r.Stopped)
				}
			}
		}
	}
}

// down is how a client opens what its storage server sends it.
func (c *cluster) down(id uint32, boot [16]byte) session.AEAD {
	if c.aead != nil {
		return c.aead
	}
	return keys.Session(keys.SimulatedClientKey([32]byte{3}, id), cell.Down, cell.RoleStorage, [16]byte{}, boot)
}

// read opens the first delivery of a batch for the head in it, which clients
// acknowledge.
func (c *cluster) read(server int, b *epoch.ClientCells) {
	if b.Type != cell.TypeDelivery || len(b.Sessions) == 0 {
		return
	}
	id := uint32(b.Sessions[0] >> 2)
	var boot [16]byte
	boot[0] = byte(server)
	down := c.down(id, boot)
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, b.Epoch, b.Attempt, b.Type)
	ad := cell.MakeAD(&c.id, cell.Down, cell.RoleStorage, b.Type, uint32(server))
	ad.SetEpoch(b.Epoch)
	ad.SetAttempt(b.Attempt)
	ad.SetClient(id)
	plain, err := down.Open(nil, nonce[:], b.Cell(0), ad[:])
	if err != nil {
		return // a session of a test's own
	}
	c.head = cell.Delivery(plain).Head()
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
	if c.cells < 2*n {
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
