package simnet

import (
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/session"
)

// accepted says whether a client's result of an epoch has come and says that its
// submission was taken.
func (b *book) accepted(e uint64, id uint32) (came, taken bool) {
	r := b.results[e][id]
	return r != nil, r != nil && r.Flags()&cell.FlagAccepted != 0
}

// Clients submit when they learn the outcome of the epoch before. However long
// that took, past the start of the next epoch too, who answers at once is in
// every epoch; and what everybody has acknowledged is not kept.
func TestNobodyIsStarved(t *testing.T) { layouts(t, 24, nobodyIsStarved) }

func nobodyIsStarved(t *testing.T, params geometry.Params) {
	for name, cfg := range map[string]Config{
		"as fast as possible":         {},
		"shorter than the period":     {Period: 200 * time.Millisecond},
		"about as long as the period": {Period: 100 * time.Millisecond, Faults: Faults{Delay: 12 * time.Millisecond}},
		"longer than the period":      {Period: 100 * time.Millisecond, Faults: Faults{Delay: 80 * time.Millisecond}},
	} {
		cfg.Params, cfg.Simulated, cfg.Seed, cfg.LastEpoch = params, 24, 6, 10
		w, b := crowd(t, cfg, 2, 0)
		settle(t, w, 10)
		b.check(t, 10)
		for e := uint64(2); e <= 10; e++ { // the first may start before anybody is there
			for id := range uint32(24) {
				if came, taken := b.accepted(e, id); !came || !taken {
					t.Fatalf("%s: epoch %d, client %d: a result came: %v, it says accepted: %v", name, e, id, came, taken)
				}
			}
		}
		for i := range w.servers {
			kept := 0
			for file := range w.Disk(i).files {
				if strings.HasPrefix(file, "history/") {
					kept++
				}
			}
			if kept != 1 {
				t.Errorf("%s: server %d keeps %d epochs, want 1: all others are acknowledged", name, i, kept)
			}
		}
	}
}

// A client that misses the deadline is refused, gets a result that says so, and
// goes on with the next epoch.
func TestLateClient(t *testing.T) {
	w, b := crowd(t, Config{Params: both(3, 12), Simulated: 12, Seed: 8, LastEpoch: 12, Period: 100 * time.Millisecond}, 2, 0)
	c := w.clients[4]
	until := func(e uint64) {
		t.Helper()
		if err := w.Run(time.Minute, func() bool { return w.Committed() >= e }); err != nil {
			t.Fatal(err)
		}
	}
	until(3)
	c.Slow = 150 * time.Millisecond
	until(7)
	c.Slow = 0
	settle(t, w, 12)
	b.check(t, 12)
	for e := uint64(2); e <= 12; e++ {
		late := e >= 5 && e <= 7
		if came, taken := b.accepted(e, 4); !came || late && taken || (e <= 3 || e >= 9) && !taken {
			t.Errorf("epoch %d: a result came: %v, it says accepted: %v", e, came, taken)
		}
		if b.mails[e][4] == nil {
			t.Errorf("epoch %d: no delivery", e)
		}
	}
	refused := 0
	for _, code := range c.Refused {
		if code == session.WrongEpoch {
			refused++
		}
	}
	if refused < 4 {
		t.Errorf("%d cells were refused as too late: %v", refused, c.Refused)
	}
}

// A client that has been too late from the start, and so was in no epoch yet, gets
// its deliveries all the same.
func TestAlwaysLate(t *testing.T) {
	w, b := crowd(t, Config{Params: both(3, 12), Simulated: 12, Seed: 8, LastEpoch: 8, Period: 100 * time.Millisecond}, 2, 0)
	w.clients[4].Slow = 150 * time.Millisecond
	if err := w.Run(time.Minute, func() bool { return w.Committed() >= 8 }); err != nil {
		t.Fatal(err)
	}
	for e := uint64(2); e <= 7; e++ {
		came, taken := b.accepted(e, 4)
		if taken {
			t.Fatalf("epoch %d: it was in time", e)
		}
		if !came || b.mails[e][4] == nil {
			t.Errorf("epoch %d: a result came: %v, a delivery: %v", e, came, b.mails[e][4] != nil)
		}
	}
}

// A client whose gateway is lost while an epoch is routed, whether it attaches
// again before or after its end, misses nothing: what it had submitted counts,
// and it is in the next epoch.
func TestReconnectWhileRouted(t *testing.T) {
	for _, away := range []time.Duration{5 * time.Millisecond, 300 * time.Millisecond} {
		var w *World
		var b *book
		moved := false
		cfg := Config{Params: both(3, 12), Simulated: 12, Seed: 9, LastEpoch: 8, Faults: Faults{Delay: 40 * time.Millisecond}}
		cfg.Frame = func(_ int, f *Frame) *Frame {
			if f.Header.Kind == epoch.Deal && f.Header.Epoch == 4 && !moved {
				moved = true
				for _, c := range w.clients[:6] {
					c.Disconnect()
					w.After(away, c.Connect)
				}
			}
			return f
		}
		w, b = crowd(t, cfg, 2, 0)
		settle(t, w, 8)
		b.check(t, 8)
		for e := uint64(2); e <= 8; e++ {
			for id := range uint32(12) {
				if came, taken := b.accepted(e, id); !came || b.mails[e][id] == nil || !taken && e != 5 {
					t.Errorf("away %v, epoch %d, client %d: a result came: %v, it says accepted: %v", away, e, id, came, taken)
				}
			}
		}
		if _, taken := b.accepted(5, 0); !taken && away < 40*time.Millisecond {
			t.Errorf("away %v: told of epoch 5 while 4 was routed, and not in it", away)
		}
	}
}

// An epoch that ends as void opens the next one like any other, for those who
// learn of it and for a server that restarted meanwhile.
func TestVoidOpensNextEpoch(t *testing.T) { layouts(t, 12, voidOpensNextEpoch) }

func voidOpensNextEpoch(t *testing.T, params geometry.Params) {
	params.Attempts = 2
	cfg := Config{Params: params, Simulated: 12, Seed: 3, LastEpoch: 5}
	var w *World
	crashed := false
	cfg.Frame = func(from int, f *Frame) *Frame {
		if f.Header.Epoch != 2 || f.Header.Attempt > 2 || f.Header.Kind != epoch.Section {
			return f
		}
		if f.Header.Attempt == 2 && !crashed {
			crashed = true
			w.After(time.Millisecond, func() { w.Crash(1); w.After(100*time.Millisecond, func() { _ = w.Start(1) }) })
		}
		return nil
	}
	w, b := crowd(t, cfg, 0, 0)
	settle(t, w, 5)
	b.check(t, 5)
	for id := range uint32(12) {
		if b.results[2][id].Flags()&cell.FlagVoid == 0 {
			t.Errorf("client %d: epoch 2 is not void", id)
		}
		for e := uint64(3); e <= 5; e++ {
			if _, taken := b.accepted(e, id); !taken {
				t.Errorf("client %d is not in epoch %d", id, e)
			}
		}
	}
	if !crashed {
		t.Error("no server crashed")
	}
}
