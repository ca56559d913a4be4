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

// mixed is the same with a server that submits for some clients, keeps the
// mailboxes of others, and is both for others again.
func mixed(p geometry.Params) geometry.Params {
	p.Servers[1].Roles, p.Servers[1].Weight = geometry.Ingestion|geometry.Routing, 2
	p.Servers[2].Roles = geometry.Routing | geometry.Storage
	return p
}

// layouts runs a test with three servers, whose clients have one session, two, or
// some the one and some the other.
func layouts(t *testing.T, clients int, test func(t *testing.T, p geometry.Params)) {
	t.Run("joint", func(t *testing.T) { test(t, both(3, clients)) })
	t.Run("apart", func(t *testing.T) { test(t, apart(both(3, clients))) })
	t.Run("mixed", func(t *testing.T) { test(t, mixed(both(3, clients))) })
}

// TestLayouts: the layouts have the sessions that they are there for.
func TestLayouts(t *testing.T) {
	want := map[string][]uint8{
		"TestLayouts/joint": {cell.RoleJoint},
		"TestLayouts/apart": {cell.RoleIngestion},
		"TestLayouts/mixed": {cell.RoleIngestion, cell.RoleStorage, cell.RoleJoint},
	}
	layouts(t, 60, func(t *testing.T, p geometry.Params) {
		g, err := geometry.New(p)
		if err != nil {
			t.Fatal(err)
		}
		var first []uint8
		for id := range uint32(60) {
			for _, h := range cell.Assignments(g, id) {
				if h.Server == 0 && !slices.Contains(first, h.Role) {
					first = append(first, h.Role)
				}
			}
		}
		slices.Sort(first)
		if !slices.Equal(first, want[t.Name()]) {
			t.Errorf("the first server has sessions in the roles %v", first)
		}
	})
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
			switch {
			case seed%3 == 2:
				cfg.Params = apart(cfg.Params)
			case seed%3 == 1 && servers > 2:
				cfg.Params = mixed(cfg.Params)
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
func TestVoid(t *testing.T) { layouts(t, 12, void) }

func void(t *testing.T, params geometry.Params) {
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
func TestOldState(t *testing.T) { layouts(t, 20, oldState) }

func oldState(t *testing.T, params geometry.Params) {
	for back := uint64(1); back <= 4; back++ {
		w, b := crowd(t, Config{Params: params, Simulated: 20, Seed: back, LastEpoch: 20}, 2, 0)
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
func TestEquivocatingCoordinator(t *testing.T) { layouts(t, 40, equivocatingCoordinator) }

func equivocatingCoordinator(t *testing.T, params geometry.Params) {
	lies := 0
	cfg := Config{Params: params, Simulated: 40, Seed: 11, LastEpoch: 6}
	rng := rand.New(rand.NewPCG(1, 1))
	cfg.Propose = func(to int, p wire.Propose) *wire.Propose {
		if p.Attempt > 2 || rng.IntN(3) > 0 {
			return &p
		}
		lies++
		switch rng.IntN(4) {
		case 0:
			return nil
		case 1:
			p.Attempt++
		case 2:
			p.Roster.Ingestion = without(p.Roster.Ingestion, 0xa0)
		default:
			p.Roster.Storage = without(p.Roster.Storage, 0x18)
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

// without is a roster's bits, but for some of every eight clients.
func without(bits []byte, mask byte) []byte {
	bits = slices.Clone(bits)
	for i := range bits {
		bits[i] &^= mask
	}
	return bits
}

// A coordinator, or a gateway, says of clients that they are connected in one
// role only, whatever they are. What they sent for the other one counts as if it
// had not come; what they get they get, and nothing is lost for them or others.
func TestHalfConnected(t *testing.T) { layouts(t, 40, halfConnected) }

func halfConnected(t *testing.T, params geometry.Params) {
	const first, last, noSubmission, noControl = 3, 5, 0xa0, 0x18
	cfg := Config{Params: params, Simulated: 40, Seed: 12, LastEpoch: 8}
	cfg.Propose = func(_ int, p wire.Propose) *wire.Propose {
		if p.Epoch >= first && p.Epoch <= last {
			p.Roster.Ingestion, p.Roster.Storage = without(p.Roster.Ingestion, noSubmission), without(p.Roster.Storage, noControl)
		}
		return &p
	}
	w, b := crowd(t, cfg, 3, 0)
	settle(t, w, 8)
	b.check(t, 8)
	for e := uint64(2); e <= 8; e++ {
		half := e >= first && e <= last
		for id := range uint32(40) {
			came, taken := b.accepted(e, id)
			if out := half && noSubmission>>(id%8)&1 == 1; !came || taken == out {
				t.Errorf("epoch %d, client %d: a result came: %v, it says accepted: %v", e, id, came, taken)
			}
			d := b.mails[e][id]
			if d == nil {
				t.Fatalf("epoch %d, client %d: no delivery", e, id)
			}
			acked, answered := e-1, false
			if half && noControl>>(id%8)&1 == 1 {
				acked = first - 2
			}
			for j := range w.Geometry.Requests() {
				answered = answered || d.Answer(w.Geometry.DeliveryAnswer(j)).Status() != cell.AnswerNone
			}
			if d.AckedThrough() != acked || acked < e-1 && answered {
				t.Errorf("epoch %d, client %d: acknowledged through %d, want %d; requests were answered: %v", e, id, d.AckedThrough(), acked, answered)
			}
		}
	}
}

// What was sent while a client was away comes when it is back, once, in order.
func TestAway(t *testing.T) { layouts(t, 30, away) }

func away(t *testing.T, params geometry.Params) {
	w, b := crowd(t, Config{Params: params, Simulated: 30, Seed: 5, LastEpoch: 12, Period: 100 * time.Millisecond}, 2, 0)
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
