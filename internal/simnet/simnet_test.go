package simnet

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
)

// randomParams draws a deployment: any mix of roles and weights.
func randomParams(rng *rand.Rand, servers, clients int) geometry.Params {
	p := geometry.Params{Capacity: clients, CellBytes: 64, TokenEpochs: 4, HorizonEpochs: 12, DeliveryEpochs: 64}
	for i := range servers {
		roles := geometry.Role(1 + rng.IntN(7))
		switch {
		case servers < 3:
			roles = geometry.AllRoles
		case i < 3:
			roles |= 1 << i
		}
		p.Servers = append(p.Servers, geometry.Server{Roles: roles, Weight: 1 + rng.IntN(3)})
	}
	channels := rng.IntN(4)
	if channels != 0 {
		p.ID = geometry.IDChannel{Out: 1 + rng.IntN(3), Contact: 1 + rng.IntN(2), Stranger: rng.IntN(3), Open: rng.IntN(2) == 0}
		if p.ID.Open {
			p.ID.Stranger = 0
		}
	}
	if channels != 1 {
		p.Token = geometry.TokenChannel{Out: 1 + rng.IntN(3), In: 1 + rng.IntN(3)}
	}
	return p
}

func TestEpochsAgainstReference(t *testing.T) {
	messages, over, tokens := 0, 0, 0
	for seed := range uint64(24) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			servers := []int{1, 2, 3, 4, 6, 9}[rng.IntN(6)]
			clients := []int{1, 2, 7, 30, 90}[rng.IntN(5)]
			cfg := Config{
				Params: randomParams(rng, servers, clients), Simulated: clients, Seed: seed, Workers: 1 + rng.IntN(3),
				LastEpoch: 8, Faults: Faults{Delay: 20 * time.Millisecond},
			}
			w, b := crowd(t, cfg, []int{0, 1, 3}[rng.IntN(3)], []int{0, 3}[rng.IntN(2)])
			settle(t, w, 8)
			m, o, k := b.check(t, 8)
			messages, over, tokens = messages+m, over+o, tokens+k
		})
	}
	if messages == 0 || over == 0 || tokens == 0 {
		t.Errorf("the runs checked %d messages, %d over the limit, %d tokens: too little happened", messages, over, tokens)
	}
}

// As many servers as there may be, of mixed roles and weights.
func TestManyServers(t *testing.T) {
	rng := rand.New(rand.NewPCG(72, 1))
	params := both(1, 150)
	params.Servers = randomParams(rng, geometry.MaxServers, 150).Servers
	w, b := crowd(t, Config{Params: params, Simulated: 150, Seed: 72, LastEpoch: 3, Faults: Faults{Delay: 5 * time.Millisecond}}, 3, 0)
	settle(t, w, 3)
	if messages, _, _ := b.check(t, 3); messages == 0 {
		t.Error("no message arrived")
	}
}

// settle runs until an epoch is final everywhere and its deliveries are out.
func settle(t testing.TB, w *World, epoch uint64) {
	t.Helper()
	if err := w.Run(time.Hour, func() bool { return w.Committed() >= epoch }); err != nil {
		for _, e := range w.Events[max(0, len(w.Events)-20):] {
			t.Logf("%v: event %d, epoch %d attempt %d, server %d %s", e.At, e.Kind, e.Epoch, e.Attempt, e.Server, e.Reason)
		}
		t.Fatal(err)
	}
	end := w.Now + time.Second
	w.After(2*time.Second, func() {})
	if err := w.Run(10*time.Second, func() bool { return w.Now >= end }); err != nil {
		t.Fatal(err)
	}
}
