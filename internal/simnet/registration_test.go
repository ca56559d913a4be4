package simnet

import (
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/session"
)

// talker sends one body to one recipient, and keeps what it gets.
type talker struct {
	w    *World
	to   uint32
	body string
	got  []string
	from []uint32
}

func (x *talker) Submit(_ uint64, s cell.Submission) {
	g := x.w.Geometry
	m := s.Message(g.SubmissionCell(0), g.MessageBytes())
	m.SetKind(cell.Real)
	m.SetRecipient(x.to)
	copy(m.Body(), x.body)
}
func (x *talker) Control(uint64, cell.Control) {}
func (x *talker) Result(uint64, cell.Result)   {}
func (x *talker) Deliver(_ uint64, d cell.Delivery) {
	g := x.w.Geometry
	for j := range g.Ins() {
		if c := d.Cell(g.DeliveryCell(j), g.DeliveryCellBytes()); c.Kind() == cell.Real {
			x.got = append(x.got, string(c.Body()[:8]))
			x.from = append(x.from, c.Sender())
		}
	}
}

// register asks a storage server and runs until it has answered.
func register(t *testing.T, w *World, server int, r epoch.Registration) epoch.Registered {
	t.Helper()
	n := len(w.Registered)
	w.Machine(server).Register(r)
	w.pump(w.servers[server])
	if err := w.Run(time.Minute, func() bool { return len(w.Registered) > n }); err != nil {
		t.Fatal(err)
	}
	got := w.Registered[n]
	if got.Ticket != r.Ticket {
		t.Fatalf("the answer to %d is for %d", r.Ticket, got.Ticket)
	}
	return got
}

// IDs are given in a committed epoch, never twice, while there is room; keys are
// renewed by whoever holds the registration key; every server knows.
func TestRegistration(t *testing.T) { layouts(t, 5, registration) }

func registration(t *testing.T, params geometry.Params) {
	w, err := New(Config{Params: params, Seed: 1, Period: 100 * time.Millisecond, Faults: Faults{Loss: 0.001}})
	if err != nil {
		t.Fatal(err)
	}
	storages := w.Geometry.Storages()
	ids := map[uint32]bool{}
	var clients []*Client
	var talkers []*talker
	for i := range 5 {
		server := storages[i%len(storages)]
		r := register(t, w, server, epoch.Registration{Ticket: uint64(i), KeyHash: [32]byte{byte(i)}})
		if r.Status != epoch.RegistrationDone || r.Generation != 1 || ids[r.ID] || int(r.ID) >= params.Capacity {
			t.Fatalf("registration %d: %+v", i, r)
		}
		if storages[w.Geometry.StorageOf(r.ID)] != server {
			t.Errorf("server %d gave an ID of another shard: %d", server, r.ID)
		}
		ids[r.ID] = true
		x := &talker{w: w, body: "hello " + string(rune('a'+i))}
		c := w.AddRegistered(r.ID, r.ClientKey, x)
		talkers, clients = append(talkers, x), append(clients, c)
		c.Connect()
	}
	for i, x := range talkers {
		x.to = clients[(i+1)%5].ID
	}
	if r := register(t, w, storages[0], epoch.Registration{Ticket: 77, KeyHash: [32]byte{99}}); r.Status != epoch.RegistrationFull {
		t.Errorf("a sixth client of five: %+v", r)
	}
	start := w.Committed()
	settle(t, w, start+6)
	for i, x := range talkers {
		if len(x.got) < 3 || x.from[len(x.from)-1] != clients[(i+4)%5].ID {
			t.Fatalf("client %d got %v from %v", i, x.got, x.from)
		}
	}

	// Again: a new generation, and the old keys are of the past.
	c := clients[0]
	at := w.Geometry.StorageOf(c.ID)
	home, other := storages[at], storages[(at+1)%len(storages)]
	if r := register(t, w, home, epoch.Registration{Ticket: 78, Again: true, ID: c.ID, KeyHash: [32]byte{1}}); r.Status != epoch.RegistrationRefused {
		t.Errorf("another's key renewed client %d: %+v", c.ID, r)
	}
	if r := register(t, w, other, epoch.Registration{Ticket: 79, Again: true, ID: c.ID, KeyHash: [32]byte{0}}); r.Status != epoch.RegistrationBad {
		t.Errorf("another server renewed client %d: %+v", c.ID, r)
	}
	r := register(t, w, home, epoch.Registration{Ticket: 80, Again: true, ID: c.ID, KeyHash: [32]byte{0}})
	if r.Status != epoch.RegistrationDone || r.ID != c.ID || r.Generation != 2 || r.ClientKey == c.key {
		t.Fatalf("renewing client %d: %+v", c.ID, r)
	}
	for i, e := range c.ends {
		c.Refused = nil
		c.Send(i, w.Machine(e.server).Status().Open, make([]byte, cell.UpBytes(w.Geometry, e.role)))
		settle(t, w, w.Committed()+1)
		if len(c.Refused) == 0 || c.Refused[0] != session.NotAttached {
			t.Errorf("a cell under the old key in role %d: refused with %v", e.role, c.Refused)
		}
	}
	x := &talker{w: w, to: clients[1].ID, body: "hello again"}
	clients[0].Disconnect()
	renewed := w.AddRegistered(r.ID, r.ClientKey, x)
	renewed.Connect()
	settle(t, w, w.Committed()+6)
	if last := talkers[1].got[len(talkers[1].got)-1]; last != "hello ag" || len(x.got) == 0 {
		t.Errorf("after renewal client 1 got %q, and client 0 %v", last, x.got)
	}
}

// Registrations survive the crash of the server that made them, once answered.
func TestRegistrationSurvivesCrash(t *testing.T) {
	w, err := New(Config{Params: both(2, 10), Seed: 3, Period: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := register(t, w, 0, epoch.Registration{Ticket: 1, KeyHash: [32]byte{1}})
	w.Crash(0)
	if err := w.Start(0); err != nil {
		t.Fatal(err)
	}
	s := register(t, w, 0, epoch.Registration{Ticket: 2, KeyHash: [32]byte{2}})
	if s.ID == r.ID {
		t.Errorf("ID %d was given twice", r.ID)
	}
	a := register(t, w, 0, epoch.Registration{Ticket: 3, Again: true, ID: r.ID, KeyHash: [32]byte{1}})
	if a.Status != epoch.RegistrationDone || a.Generation != 2 {
		t.Errorf("renewing after the crash: %+v", a)
	}
}
