// Package simnet runs a whole cluster in memory: every server's machine, the
// coordinator's machine, clients, and the network between them, on a virtual
// clock and with all randomness from one seed, so that a run can be replayed to
// the last byte.
//
// It plays the adversary too: frames can be delayed, reordered and lost,
// servers can crash, restart, and be given an old state, the coordinator can
// tell servers different things. And it writes down all that the adversary sees
// (View), for tests that two runs with different secrets look the same.
//
// It simulates neither the attested links nor TCP: a frame arrives whole or
// not at all. It is for tests.
package simnet

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/coordinator"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/wire"
)

// Config is what a run is made of: the same Config gives the same run.
type Config struct {
	Params    geometry.Params
	Simulated int // clients that exist at genesis
	Seed      uint64
	Workers   int
	Period    time.Duration // of epochs; 0: as fast as possible
	LastEpoch uint64
	Faults    Faults

	// Keys, if not nil, wraps the keys of a server: for planted leaks.
	Keys func(server int, k *keys.Server) epoch.Keys
	// Frame, if not nil, sees every frame between servers before it is sent and
	// may change it: for planted leaks. A nil result is not sent.
	Frame func(from int, f *Frame) *Frame
	// Cells, if not nil, sees every batch of sealed cells before it is sent and
	// may change it: for planted leaks.
	Cells func(from int, c *epoch.ClientCells)
	// Propose, if not nil, may give a server another proposal than the
	// coordinator made, or none.
	Propose func(to int, p wire.Propose) *wire.Propose
	// Made, if not nil, is given the world before any server starts.
	Made func(*World)
}

// Faults says how the network between servers misbehaves.
type Faults struct {
	Delay   time.Duration // most that a frame takes; at least 1 ms
	Reorder bool          // frames of one link may overtake each other
	Loss    float64       // share of frames that are lost
}

// Frame is a frame between servers.
type Frame struct {
	To      int
	Header  epoch.Header
	Payload []byte
}

// World is a running cluster.
type World struct {
	cfg         Config
	Geometry    *geometry.Geometry
	Schedule    *keys.Schedule
	View        View
	Now         time.Duration
	events      queue
	sequence    uint64
	servers     []*server
	links       map[[2]int]*link
	clients     []*Client
	coordinator *coordinator.Machine
	wake        time.Duration
	Events      []coordinator.Event
	sessions    map[uint64]*Client
	session     uint64

	Registered []epoch.Registered // answers to registrations
}

type server struct {
	index   int
	machine *epoch.Server // nil while it is down
	disk    *Disk
	boots   int
	status  epoch.Status
}

type link struct {
	rng  *rand.Rand
	last time.Duration // when the newest frame arrives
}

// New makes a cluster with all servers up.
func New(cfg Config) (*World, error) {
	g, err := geometry.New(cfg.Params)
	if err != nil {
		return nil, err
	}
	w := &World{cfg: cfg, Geometry: g, links: map[[2]int]*link{}, sessions: map[uint64]*Client{}, wake: -1}
	w.Schedule = keys.New(keys.Master(w.bytes32("master")), w.bytes32("cluster"), 1)
	w.coordinator, err = coordinator.New(coordinator.Config{
		Geometry: g, Period: cfg.Period, LastEpoch: cfg.LastEpoch,
		AttemptTimeout: 2 * time.Second, SubmitTimeout: 500 * time.Millisecond, RestartDelay: 50 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	for i := range g.Servers() {
		w.servers = append(w.servers, &server{index: i, disk: NewDisk()})
	}
	if cfg.Made != nil {
		cfg.Made(w)
	}
	for i := range w.servers {
		if err := w.Start(i); err != nil {
			return nil, err
		}
	}
	w.every(100*time.Millisecond, func() {
		for _, s := range w.servers {
			if s.machine != nil {
				s.machine.Tick()
				w.pump(s)
			}
		}
	})
	return w, nil
}

// fork makes a source of randomness of its own for a public name.
func (w *World) fork(name string) *rand.Rand {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], w.cfg.Seed)
	h := keys.Hash(append(seed[:], name...))
	return rand.New(rand.NewChaCha8(h))
}

func (w *World) bytes32(name string) (b [32]byte) {
	r := w.fork(name)
	for i := 0; i < 32; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}

// reader is an io.Reader of seeded bytes.
type reader struct{ *rand.Rand }

func (r reader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint64())
	}
	return len(p), nil
}

// Start boots a server from its disk and brings up its links.
func (w *World) Start(i int) error {
	s := w.servers[i]
	s.boots++
	name := fmt.Sprintf("server %d boot %d", i, s.boots)
	var boot [16]byte
	b := w.bytes32(name)
	copy(boot[:], b[:])
	var k epoch.Keys = keys.NewServer(w.Schedule, w.bytes32("simulated"), max(1, w.cfg.Workers))
	if w.cfg.Keys != nil {
		k = w.cfg.Keys(i, k.(*keys.Server))
	}
	m, err := epoch.New(epoch.Config{
		Geometry: w.Geometry, Self: i, Cluster: w.bytes32("cluster"), Manifest: w.bytes32("manifest"), Genesis: w.bytes32("manifest 1"),
		Era: 1, Simulated: w.cfg.Simulated, Boot: boot, Workers: max(1, w.cfg.Workers), Keys: k,
		Store:  recorded{s.disk, i, &w.View},
		Random: reader{w.fork(name + " tags")},
		Log:    func(line string) { w.View.add(Seen{Kind: "log", From: server1(i), Text: line}) },
	})
	if err != nil {
		return err
	}
	s.machine, s.status = m, epoch.Status{}
	for _, p := range w.servers {
		if p.machine == nil || p == s {
			continue
		}
		m.PeerUp(p.index, p.boot(w))
		p.machine.PeerUp(i, boot)
	}
	w.coordinator.ServerUp(i)
	w.pumpAll()
	return nil
}

func (s *server) boot(w *World) (boot [16]byte) {
	b := w.bytes32(fmt.Sprintf("server %d boot %d", s.index, s.boots))
	copy(boot[:], b[:])
	return boot
}

// Crash stops a server at once. What it had not made durable is gone.
func (w *World) Crash(i int) {
	s := w.servers[i]
	if s.machine == nil {
		return
	}
	s.machine = nil
	for _, p := range w.servers {
		if p.machine != nil {
			p.machine.PeerDown(i)
		}
	}
	w.coordinator.ServerDown(i)
	for _, c := range w.clients {
		c.lost(i)
	}
}

// Disk is a server's durable state.
func (w *World) Disk(i int) *Disk { return w.servers[i].disk }

// SetDisk gives a server that is down another durable state, such as an old one.
func (w *World) SetDisk(i int, d *Disk) { w.servers[i].disk = d }

// Machine is a server's machine, or nil while it is down.
func (w *World) Machine(i int) *epoch.Server { return w.servers[i].machine }

// Committed is the newest epoch that all servers have as final.
func (w *World) Committed() uint64 {
	least := ^uint64(0)
	for _, s := range w.servers {
		if s.machine == nil {
			return 0
		}
		least = min(least, s.machine.Committed())
	}
	return least
}

// pump carries out what a server wants done.
func (w *World) pump(s *server) {
	if s.machine == nil {
		return
	}
	for {
		r := s.machine.Ready()
		if r.Empty() {
			break
		}
		for i := range r.Peers {
			w.sendPeer(s.index, &r.Peers[i])
		}
		for _, a := range r.Attached {
			w.toClient(s.index, a.Session, "attached", geometry.AttachedBytes, func(c *Client, at int) { c.attached(at) })
		}
		for _, x := range r.Refused {
			w.toClient(s.index, x.Session, "refused", geometry.RefusedBytes, func(c *Client, _ int) { c.Refused = append(c.Refused, x.Code) })
		}
		for i := range r.Cells {
			w.sendCells(s.index, &r.Cells[i])
		}
		for _, x := range r.Registered {
			w.Registered = append(w.Registered, x)
			w.View.add(Seen{Kind: "registered", From: server1(s.index), Text: fmt.Sprint(x.Ticket, x.Status, x.ID)})
		}
		if r.Stopped != nil {
			w.coordinator.Stopped(s.index, r.Stopped.Error())
			break
		}
	}
	st := s.machine.Status()
	if st.Committed != s.status.Committed || st.Offered != s.status.Offered || st.Open != s.status.Open || st.Attempt != s.status.Attempt || st.Peers != s.status.Peers ||
		st.Submissions != s.status.Submissions || st.Controls != s.status.Controls || len(st.Users) != len(s.status.Users) {
		s.status = st
		users := make([]uint32, len(st.Users))
		for v, n := range st.Users {
			users[v] = uint32(n)
		}
		w.after(time.Millisecond, func() {
			w.coordinator.Status(s.index, &wire.Status{
				Committed: st.Committed, Offered: st.Offered, Open: st.Open, Attempt: st.Attempt, Peers: uint16(st.Peers),
				Submissions: uint32(st.Submissions), Controls: uint32(st.Controls), Attached: uint32(st.Attached), Users: users,
			})
			w.coordinate()
		})
	}
}

func (w *World) pumpAll() {
	for _, s := range w.servers {
		w.pump(s)
	}
}

// sendPeer puts a frame on its link.
func (w *World) sendPeer(from int, pf *epoch.PeerFrame) {
	f := &Frame{To: pf.To, Header: pf.Header}
	for _, p := range pf.Parts {
		f.Payload = append(f.Payload, p...)
	}
	pf.Sent()
	if w.cfg.Frame != nil {
		if f = w.cfg.Frame(from, f); f == nil {
			return
		}
	}
	w.View.add(Seen{Kind: "frame", From: server1(from), To: server1(f.To), Size: len(f.Payload),
		Text: fmt.Sprint(f.Header.Kind, f.Header.Epoch, f.Header.Attempt, f.Header.Part, f.Header.Rows)})
	l := w.links[[2]int{from, f.To}]
	if l == nil {
		l = &link{rng: w.fork(fmt.Sprintf("link %d %d", from, f.To))}
		w.links[[2]int{from, f.To}] = l
	}
	at := w.Now + time.Millisecond + time.Duration(l.rng.Int64N(int64(w.cfg.Faults.Delay)+1))
	lost := l.rng.Float64() < w.cfg.Faults.Loss
	if !w.cfg.Faults.Reorder {
		at = max(at, l.last)
	}
	l.last = max(l.last, at)
	if lost {
		return
	}
	to, boots, mine := w.servers[f.To], w.servers[f.To].boots, w.servers[from].boots
	w.at(at, func() {
		// A link dies with either end.
		if to.machine != nil && to.boots == boots && w.servers[from].boots == mine && w.servers[from].machine != nil {
			to.machine.Frame(from, f.Header, f.Payload)
			w.pump(to)
		}
	})
}

// coordinate lets the coordinator act on what it heard.
func (w *World) coordinate() {
	out := w.coordinator.Tick(w.Now)
	w.Events = append(w.Events, out.Events...)
	if out.Propose != nil {
		for _, s := range w.servers {
			p := *out.Propose
			if w.cfg.Propose != nil {
				q := w.cfg.Propose(s.index, p)
				if q == nil {
					continue
				}
				p = *q
			}
			w.View.add(Seen{Kind: "propose", To: server1(s.index), Text: fmt.Sprint(p.Epoch, p.Attempt, p.Roster)})
			s, boots := s, s.boots
			w.after(time.Millisecond, func() {
				if s.machine == nil || s.boots != boots {
					return
				}
				err := s.machine.Propose(p.Epoch, p.Attempt, epoch.Roster{Limit: p.Roster.Limit, Ingestion: p.Roster.Ingestion, Storage: p.Roster.Storage})
				if err != nil {
					w.View.add(Seen{Kind: "refused proposal", From: server1(s.index), Text: err.Error()})
				}
				w.pump(s)
			})
		}
	}
	if next, ok := w.coordinator.Next(); ok && (w.wake < 0 || next < w.wake || w.wake <= w.Now) {
		w.wake = max(next, w.Now+time.Millisecond)
		w.at(w.wake, w.coordinate)
	}
}

func server1(i int) string { return fmt.Sprintf("server %d", i) }
