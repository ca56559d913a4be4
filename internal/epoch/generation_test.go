package epoch_test

import (
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
)

// Tokens of a state that is gone, whose watermarks nobody knows any more, are of
// no use in the state that began in its place, under the same keys.
func TestTokensOfAnEarlierState(t *testing.T) {
	for generation, want := range map[uint32]int{3: 8, 2: 0} {
		c := newClusterWith(t, "token", 8, 2, 1, func(cfg *epoch.Config) { cfg.Generation = 3 })
		c.generation = generation
		c.give(1)
		c.drain()
		c.propose(t, 1)
		delivered := 0
		for _, x := range c.drain() {
			if x.typ == cell.TypeJointDelivery {
				d := cell.Delivery(c.open(t, x, c.client(x.session)))
				delivered += int(d.Cell(c.g.DeliveryCell(0), c.g.DeliveryCellBytes()).Kind())
			}
		}
		if delivered != want {
			t.Errorf("tokens of generation %d: %d messages, want %d", generation, delivered, want)
		}
	}
}
