package simnet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/coordinator"
	"github.com/teems-go/teems/internal/wire"
)

// both is a deployment with both channels on servers with all roles.
func both(servers, clients int) geometry.Params {
	p := geometry.Params{
		Capacity: clients, CellBytes: 64, TokenEpochs: 4, HorizonEpochs: 12, DeliveryEpochs: 64, Attempts: 6,
		ID: geometry.IDChannel{Out: 2, Contact: 2, Stranger: 1}, Token: geometry.TokenChannel{Out: 2, In: 2},
	}
	for range servers {
		p.Servers = append(p.Servers, geometry.Server{Roles: geometry.AllRoles, Weight: 1})
	}
	return p
}

// apart is the same with one server to submit to and mailboxes at the others, so
// that clients have two sessions.
func apart(p geometry.Params) geometry.Params {
	for i := range p.Servers {
		p.Servers[i].Roles = geometry.Routing | geometry.Storage
	}
	p.Servers[0].Roles = geometry.Ingestion | geometry.Routing
	return p
}

// One seed replays everything, at any number of workers.
func TestReplay(t *testing.T) {
	run := func(workers int) *View {
		w, b := crowd(t, Config{
			Params: both(4, 200), Simulated: 200, Seed: 7, Workers: workers, LastEpoch: 5,
			Faults: Faults{Delay: 30 * time.Millisecond, Reorder: true},
		}, 2, 5)
		for _, c := range w.clients {
			c.Corrupt = true // all plaintexts are compared too
		}
		settle(t, w, 5)
		b.check(t, 5)
		return &w.View
	}
	one := run(1)
	for _, workers := range []int{1, 2, 5} {
		if d := one.Difference(run(workers)); d != "" {
			t.Errorf("%d workers: %s", workers, d)
		}
	}
}

// Delay, reordering, loss, crashes and restarts, silent clients: epochs go on,
// and every outcome is the reference's, whichever attempt it took.
func TestFaults(t *testing.T) {
	attempts, voids := 0, 0
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			servers := 2 + rng.IntN(4)
			cfg := Config{
				Params: both(servers, 40), Simulated: 40, Seed: seed, Workers: 1 + rng.IntN(2), LastEpoch: 10,
				Faults: Faults{Delay: time.Duration(rng.IntN(100)) * time.Millisecond, Reorder: rng.IntN(2) == 0, Loss: []float64{0, 0.002, 0.01}[rng.IntN(3)]},
			}
			if seed%3 == 2 {
				cfg.Params = apart(cfg.Params)
			}
			w, b := crowd(t, cfg, 3, 6)
			for range rng.IntN(5) {
				victim, at, away := rng.IntN(servers), time.Duration(rng.IntN(3000))*time.Millisecond, time.Duration(rng.IntN(2000))*time.Millisecond
				w.After(at, func() {
					w.Crash(victim)
					w.After(away, func() {
						if w.servers[victim].machine == nil {
							if err := w.Start(victim); err != nil {
								t.Error(err)
							}
						}
					})
				})
			}
			settle(t, w, 10)
			for i := range w.servers {
				if m := w.Machine(i); m != nil && m.Stopped() != nil {
					t.Fatalf("server %d stopped: %v", i, m.Stopped())
				}
			}
			b.check(t, 10)
			for _, e := range w.Events {
				if e.Kind == coordinator.EpochCommitted {
					attempts += int(e.Attempt) - 1
				}
				if e.Kind == coordinator.AttemptStarted && e.Void {
					voids++
				}
			}
		})
	}
	if attempts == 0 {
		t.Error("no epoch took a second attempt: the faults are too mild")
	}
	t.Logf("%d further attempts, %d of them void", attempts, voids)
}

// After the cap on attempts an epoch is decided to be empty, everybody learns
// it, and what was not taken is sent again by whoever wants to.
func TestVoid(t *testing.T) {
	params := both(3, 12)
	params.Attempts = 2
	drop := true
	cfg := Config{Params: params, Simulated: 12, Seed: 3, LastEpoch: 3}
	cfg.Frame = func(from int, f *Frame) *Frame {
		if drop && f.Header.Epoch == 2 && f.Header.Attempt <= 2 && f.Header.Kind == 5 {
			return nil
		}
		return f
	}
	w, b := crowd(t, cfg, 0, 0)
	settle(t, w, 3)
	for id := range uint32(12) {
		for _, e := range []uint64{1, 2, 3} {
			void := e == 2
			if got := b.results[e][id].Flags()&cell.FlagVoid != 0; got != void {
				t.Errorf("client %d: result of epoch %d says void: %v", id, e, got)
			}
			if got := b.mails[e][id].Flags()&cell.FlagVoid != 0; got != void {
				t.Errorf("client %d: delivery of epoch %d says void: %v", id, e, got)
			}
		}
	}
	b.check(t, 3)
}

// A server that is given an old state stops, or takes part without harm; never
// do servers part.
func TestOldState(t *testing.T) {
	for back := uint64(1); back <= 4; back++ {
		w, b := crowd(t, Config{Params: both(3, 20), Simulated: 20, Seed: back, LastEpoch: 20}, 2, 0)
		old := w.Disk(1).Clone()
		if err := w.Run(time.Minute, func() bool {
			if w.Machine(1).Status().Committed == 5-back && len(w.Disk(1).files) > 0 {
				old = w.Disk(1).Clone()
			}
			return w.Committed() >= 5
		}); err != nil {
			t.Fatal(err)
		}
		w.Crash(1)
		w.SetDisk(1, old)
		if err := w.Start(1); err != nil {
			t.Fatal(err)
		}
		_ = w.Run(20*time.Second, func() bool { return w.Machine(1).Stopped() != nil })
		if back > 1 && w.Machine(1).Stopped() == nil {
			t.Errorf("a server that was rolled back by %d epochs goes on", back)
		}
		heads := map[uint64]string{}
		for e, mails := range b.mails {
			for id, d := range mails {
				if h := heads[e]; h != "" && h != string(d.Head()) {
					t.Fatalf("epoch %d: client %d got another head", e, id)
				}
				heads[e] = string(d.Head())
			}
		}
	}
}

// A coordinator that tells servers different rosters, or attempts, delays an
// epoch; nobody gets anything from two attempts.
func TestEquivocatingCoordinator(t *testing.T) {
	lies := 0
	cfg := Config{Params: both(4, 40), Simulated: 40, Seed: 11, LastEpoch: 6}
	rng := rand.New(rand.NewPCG(1, 1))
	cfg.Propose = func(to int, p wire.Propose) *wire.Propose {
		if p.Attempt > 2 || rng.IntN(3) > 0 {
			return &p
		}
		lies++
		switch rng.IntN(3) {
		case 0:
			return nil
		case 1:
			p.Attempt++
		default:
			p.Roster.Ingestion = slices.Clone(p.Roster.Ingestion)
			for i := range p.Roster.Ingestion {
				p.Roster.Ingestion[i] &= 0x5f
			}
		}
		return &p
	}
	w, b := crowd(t, cfg, 3, 0)
	settle(t, w, 6)
	b.check(t, 6)
	if lies == 0 {
		t.Error("the coordinator told no lies")
	}
	for _, c := range w.clients {
		if len(b.mails[6]) != 40 {
			t.Fatalf("client %d", c.ID)
		}
	}
}

// What was sent while a client was away comes when it is back, once, in order.
func TestAway(t *testing.T) {
	w, b := crowd(t, Config{Params: both(3, 30), Simulated: 30, Seed: 5, LastEpoch: 12, Period: 100 * time.Millisecond}, 2, 0)
	c := w.clients[0]
	if err := w.Run(time.Minute, func() bool { return w.Committed() >= 3 }); err != nil {
		t.Fatal(err)
	}
	c.Disconnect()
	if err := w.Run(time.Minute, func() bool { return w.Committed() >= 8 }); err != nil {
		t.Fatal(err)
	}
	if b.mails[6][0] != nil {
		t.Fatal("a delivery reached a client that was away")
	}
	c.Connect()
	settle(t, w, 12)
	for e := uint64(1); e <= 12; e++ {
		if b.mails[e][0] == nil || b.results[e][0] == nil {
			t.Errorf("client 0 never got its delivery or result of epoch %d", e)
		}
	}
	b.check(t, 12)
}
