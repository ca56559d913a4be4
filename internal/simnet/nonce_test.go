package simnet

import (
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/wire"
)

// Under one key and nonce a server seals one cell, ever, whatever it restarts in,
// however often clients come back, and whichever attempts there were.
func TestOneCellANonce(t *testing.T) { layouts(t, 24, oneCellANonce) }

func oneCellANonce(t *testing.T, params geometry.Params) {
	type nonce struct {
		client       uint32
		role         uint8
		boot         [16]byte
		typ, attempt uint16
		epoch        uint64
	}
	params.Attempts = 2
	again := 0
	for seed := range uint64(6) {
		var w *World
		sealed := map[nonce]string{}
		cfg := Config{Params: params, Simulated: 24, Seed: seed, LastEpoch: 10, Faults: Faults{Delay: 30 * time.Millisecond, Reorder: true, Loss: 0.01}}
		cfg.Propose = func(_ int, p wire.Propose) *wire.Propose { // what some clients acknowledge is never heard: all comes again
			p.Roster.Ingestion, p.Roster.Storage = without(p.Roster.Ingestion, 0x05), without(p.Roster.Storage, 0x11)
			return &p
		}
		cfg.Made = func(made *World) { w = made }
		cfg.Cells = func(from int, b *epoch.ClientCells) {
			for i, id := range b.Sessions {
				c := w.sessions[id]
				if c == nil {
					continue // it has gone
				}
				for _, e := range c.ends {
					if e.session != id {
						continue
					}
					n := nonce{c.ID, e.role, w.servers[from].boot(w), b.Type, b.Attempt, b.Epoch}
					before, ok := sealed[n]
					if ok && before != string(b.Cell(i)) {
						t.Fatalf("seed %d: two cells under %+v", seed, n)
					}
					if ok {
						again++
					}
					sealed[n] = string(b.Cell(i))
				}
			}
		}
		w, b := crowd(t, cfg, 3, 0)
		for i := range 12 {
			c, at := w.clients[2*i], time.Duration(100+70*i)*time.Millisecond
			w.After(at, func() {
				c.Disconnect()
				for end := range c.ends {
					c.again(end)
				}
			})
		}
		w.After(400*time.Millisecond, func() { w.Crash(1); w.After(100*time.Millisecond, func() { _ = w.Start(1) }) })
		settle(t, w, 10)
		b.check(t, 10)
		if len(sealed) < 24*10 {
			t.Fatalf("only %d cells were looked at", len(sealed))
		}
	}
	if again == 0 {
		t.Error("nothing was sent again")
	}
}
