package simnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/reference"
	"github.com/teems-go/teems/internal/wire"
)

// twin is a client of a run that has a twin: what it exchanges with corrupt
// clients is drawn from shared, and is the same in both runs; what honest
// clients exchange is drawn from secret, and is not.
type twin struct {
	b              *book
	id             uint32
	corrupt        map[uint32]bool
	shared, secret *rand.Rand
	grants         *[2][]reference.Grant // of slot 0, which the adversary may know; of the others
}

// open reports whether the adversary may know of a cell.
func (c *twin) open() bool { return c.corrupt[c.id] || c.shared.IntN(3) == 0 }

func (c *twin) Submit(ep uint64, s cell.Submission) {
	g := c.b.w.Geometry
	p := g.Params()
	for j := range g.Outs() {
		m := s.Message(g.SubmissionCell(j), g.MessageBytes())
		rng, known := c.secret, 1
		open := c.open()
		if open {
			rng, known = c.shared, 0
		}
		if rng.IntN(4) == 0 {
			continue // a dummy
		}
		to := uint32(rng.IntN(c.b.w.cfg.Simulated))
		// The adversary may know of what a corrupt client sends or receives, and of
		// nothing else.
		for !c.corrupt[c.id] && c.corrupt[to] != open {
			to = uint32(rng.IntN(c.b.w.cfg.Simulated))
		}
		m.SetKind(cell.Real)
		m.SetPriority(uint32(rng.IntN(3)))
		m.SetRecipient(to)
		copy(m.Body(), fmt.Sprint("from ", c.id, " in ", ep, ", ", rng.Uint64()))
		if j < p.ID.Out {
			continue
		}
		m.SetKind(cell.Dummy)
		for _, x := range c.grants[known] {
			if x.Sender == c.id && x.E1 <= ep && ep < x.E2 && (c.corrupt[c.id] || c.corrupt[x.Recipient] == open) {
				m.SetKind(cell.Real)
				m.SetRecipient(x.Recipient)
				m.SetSlot(x.Slot)
				m.SetEra(x.Era)
				m.SetGeneration(x.Generation)
				m.SetE1(x.E1)
				m.SetE2(x.E2)
				copy(m.MAC(), x.MAC[:])
			}
		}
	}
}

func (c *twin) Control(ep uint64, ctl cell.Control) {
	g := c.b.w.Geometry
	for j := range g.Requests() {
		rng, slot := c.secret, 1+j%(g.Params().Token.In-1)
		if j == 0 || c.corrupt[c.id] {
			rng = c.shared
		}
		if j == 0 {
			slot = 0
		}
		if rng.IntN(3) == 0 {
			continue
		}
		r := ctl.Request(g.ControlRequest(j))
		r.SetKind(cell.KindToken)
		r.SetSlot(uint16(slot))
		to := uint32(rng.IntN(c.b.w.cfg.Simulated))
		for !c.corrupt[c.id] && c.corrupt[to] != (j == 0) {
			to = uint32(rng.IntN(c.b.w.cfg.Simulated))
		}
		r.SetSender(to)
		r.SetE1(ep + 2)
		r.SetE2(ep + 3 + uint64(rng.IntN(3)))
	}
}

func (c *twin) Result(uint64, cell.Result) {}

func (c *twin) Deliver(ep uint64, d cell.Delivery) {
	put(c.b.mails, ep, c.id, d)
	g := c.b.w.Geometry
	for j := range g.Requests() {
		a := d.Answer(g.DeliveryAnswer(j))
		if a.Status() != cell.AnswerIssued {
			continue
		}
		x := reference.Grant{Kind: a.Kind(), Slot: a.Slot(), Sender: a.Sender(), Recipient: c.id, Era: a.Era(), Generation: a.Generation(), E1: a.E1(), E2: a.E2()}
		copy(x.MAC[:], a.MAC())
		known := 1
		if x.Slot == 0 || c.corrupt[c.id] {
			known = 0
		}
		c.grants[known] = append(c.grants[known], x)
	}
}

// twins runs the same public parameters with the secret traffic of a variant.
func twins(t testing.TB, seed uint64, variant int, change func(*Config)) (*World, *book) {
	t.Helper()
	const clients = 48
	params := both(4, clients)
	params.Token.In = 3
	if seed%3 == 1 {
		params.ID = geometry.IDChannel{Out: 2, Contact: 3, Open: true}
	}
	switch seed % 4 {
	case 2:
		params = mixed(params)
	case 3:
		params = apart(params)
	}
	cfg := Config{
		Params: params, Simulated: clients, Seed: seed, LastEpoch: 9,
		Faults: Faults{Delay: 40 * time.Millisecond, Reorder: seed%2 == 0, Loss: 0.001},
	}
	if seed%5 == 4 {
		cfg.Propose = func(_ int, p wire.Propose) *wire.Propose { // some clients are named in one role only
			p.Roster.Ingestion, p.Roster.Storage = without(p.Roster.Ingestion, 1<<(p.Epoch%8)), without(p.Roster.Storage, 1<<((p.Epoch+3)%8))
			return &p
		}
	}
	if change != nil {
		change(&cfg)
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := newBook(w)
	corrupt := map[uint32]bool{1: true, 2: true, 7: true, 30: true}
	var grants [2][]reference.Grant
	for id := range uint32(clients) {
		c := w.Add(id, &twin{
			b: b, id: id, corrupt: corrupt, grants: &grants,
			shared: w.fork(fmt.Sprint("shared ", id)), secret: w.fork(fmt.Sprint("secret ", variant, " ", id)),
		})
		c.Corrupt = corrupt[id]
		if id%9 != 8 {
			c.Connect()
		}
	}
	w.After(700*time.Millisecond, func() { w.Crash(2); w.After(300*time.Millisecond, func() { _ = w.Start(2) }) })
	w.After(1500*time.Millisecond, func() { w.clients[3].Disconnect(); w.After(800*time.Millisecond, w.clients[3].Connect) })
	settle(t, w, 9)
	return w, b
}

// Whatever honest clients exchange, the adversary sees the same: every frame's
// sender, receiver, size and order, every write, every log line, and the
// plaintexts of corrupt clients.
func TestSecrecy(t *testing.T) {
	heard := 0
	for seed := range uint64(12) {
		one, b := twins(t, seed, 1, nil)
		two, b2 := twins(t, seed, 2, nil)
		if d := one.View.Difference(&two.View); d != "" {
			t.Fatalf("seed %d: the adversary can tell two runs apart: %s", seed, d)
		}
		same := true
		for e, mails := range b.mails {
			for id, d := range mails {
				g := one.Geometry
				for j := range g.Ins() {
					if d.Cell(g.DeliveryCell(j), g.DeliveryCellBytes()).Kind() == cell.Real && one.clients[id].Corrupt {
						heard++
					}
				}
				same = same && bytes.Equal(d, b2.mails[e][id])
			}
		}
		if same {
			t.Fatalf("seed %d: the two runs are the same: nothing was compared", seed)
		}
	}
	if heard == 0 {
		t.Error("no corrupt client ever got a message")
	}
}

// Each of these leaks, planted at a server's edge, is caught by what TestSecrecy
// compares.
func TestPlantedLeaks(t *testing.T) {
	real := func(f *Frame) (n int) {
		heads := f.Payload[:int(f.Header.Rows)*record.HeadBytes]
		for ; len(heads) > 0; heads = heads[record.HeadBytes:] {
			n += int(binary.LittleEndian.Uint32(heads[12:]))
		}
		return n
	}
	leaks := map[string]func(w func() *World, cfg *Config){
		"an unpadded link": func(_ func() *World, cfg *Config) {
			cfg.Frame = func(from int, f *Frame) *Frame {
				if f.Header.Kind == epoch.Section && from == 1 && f.To == 2 {
					row := len(f.Payload) / int(f.Header.Rows)
					f.Payload = f.Payload[:real(f)*row]
				}
				return f
			}
		},
		"an acknowledgement whose length depends on content": func(w func() *World, cfg *Config) {
			cfg.Cells = func(_ int, c *epoch.ClientCells) {
				if c.Type != cell.TypeDelivery && c.Type != cell.TypeJointDelivery {
					return
				}
				for _, x := range w().clients {
					if k := x.control(); k != nil && !x.Corrupt && k.Request(w().Geometry.ControlRequest(1)).Kind() == 0 {
						w().View.Note(Seen{Kind: "acknowledgement", From: fmt.Sprint("client ", x.ID), Size: len(k) - 32})
					}
				}
			}
		},
		"a retry only on overflow": func(_ func() *World, cfg *Config) {
			cfg.Frame = func(_ int, f *Frame) *Frame {
				if f.Header.Kind == epoch.Deal && f.Header.Attempt == 1 && real(f) > int(f.Header.Rows)*11/20 {
					return nil // the attempt fails, and the coordinator makes another
				}
				return f
			}
		},
		"a send order": func(_ func() *World, cfg *Config) {
			var held []*Frame
			cfg.Frame = func(from int, f *Frame) *Frame {
				if f.Header.Kind != epoch.Section || from != 0 {
					return f
				}
				if held = append(held, f); len(held) < 2 {
					return f
				}
				if real(held[0]) > real(held[1]) {
					*held[0], *held[1] = *held[1], *held[0]
				}
				f, held = held[1], nil
				return f
			}
		},
		"a skipped dummy seal": func(w func() *World, cfg *Config) {
			cfg.Cells = func(from int, c *epoch.ClientCells) {
				if c.Type != cell.TypeDelivery && c.Type != cell.TypeJointDelivery || from != 0 {
					return
				}
				for i, id := range slices.Clone(c.Sessions) {
					x := w().sessions[id]
					if x == nil || x.Corrupt || x.control() == nil {
						continue
					}
					// The server knows the mailbox; here the client's own view of it will do.
					if d := x.peek(c, i); d != nil && d.Cell(w().Geometry.DeliveryCell(w().Geometry.StrangerCell()), w().Geometry.DeliveryCellBytes()).Kind() == cell.Dummy {
						c.Sessions[i] = ^uint64(0)
					}
				}
			}
		},
		"a log line": func(w func() *World, cfg *Config) {
			cfg.Frame = func(from int, f *Frame) *Frame {
				if f.Header.Kind == epoch.Section && from == 0 {
					w().View.Note(Seen{Kind: "log", From: server1(from), Text: fmt.Sprint(real(f), " records for server ", f.To)})
				}
				return f
			}
		},
		"cells in order of arrival": func(w func() *World, cfg *Config) {
			// Storage apart from routing, so that all records pass this point.
			for i := range cfg.Params.Servers {
				cfg.Params.Servers[i].Roles = []geometry.Role{geometry.Ingestion, geometry.Routing, geometry.Routing, geometry.Storage}[i]
			}
			cfg.Params.ID = geometry.IDChannel{Out: 2, Contact: 3, Open: true}
			next := map[string]uint32{}
			cfg.Frame = func(from int, f *Frame) *Frame {
				if f.Header.Kind != epoch.Section {
					return f
				}
				ins, rank := uint32(w().Geometry.Ins()), uint32(w().Geometry.IDIns())
				heads := f.Payload[:int(f.Header.Rows)*record.HeadBytes]
				for ; len(heads) > 0; heads = heads[record.HeadBytes:] {
					at := binary.LittleEndian.Uint32(heads[4:])
					if binary.LittleEndian.Uint32(heads[12:]) == 0 || at%ins >= rank {
						continue
					}
					box := fmt.Sprint(f.Header.Epoch, f.Header.Attempt, at/ins)
					binary.LittleEndian.PutUint32(heads[4:], at-at%ins+next[box])
					next[box]++
				}
				return f
			}
		},
	}
	for name, plant := range leaks {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(6) {
				var w *World
				change := func(cfg *Config) { plant(func() *World { return w }, cfg) }
				run := func(variant int) *View {
					w = nil
					x, _ := twinsInto(t, &w, seed, variant, change)
					return &x.View
				}
				if d := run(1).Difference(run(2)); d != "" {
					t.Logf("caught with seed %d: %s", seed, d)
					return
				}
			}
			t.Error("not caught")
		})
	}
}

// twinsInto is twins for a leak that needs the world while it runs.
func twinsInto(t testing.TB, into **World, seed uint64, variant int, change func(*Config)) (*World, *book) {
	return twins(t, seed, variant, func(cfg *Config) {
		change(cfg)
		cfg.Made = func(w *World) { *into = w }
	})
}

// peek opens a delivery that is about to be sent.
func (c *Client) peek(b *epoch.ClientCells, i int) cell.Delivery {
	e := &c.ends[c.end(cell.RoleStorage)]
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, b.Epoch, b.Attempt, b.Type)
	cluster := c.world.bytes32("cluster")
	ad := cell.MakeAD(&cluster, cell.Down, e.role, b.Type, uint32(e.server))
	ad.SetEpoch(b.Epoch)
	ad.SetAttempt(b.Attempt)
	ad.SetClient(c.ID)
	plain, err := e.down.Open(nil, nonce[:], b.Cell(i), ad[:])
	if err != nil {
		return nil
	}
	_, d := cell.CutDown(c.world.Geometry, e.role, plain)
	return d
}
