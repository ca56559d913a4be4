package epoch_test

import (
	"runtime"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
)

// plain is an AEAD that protects nothing and allocates nothing.
type plain struct{}

func (plain) Seal(dst, _, plaintext, _ []byte) []byte {
	dst = append(dst, plaintext...)
	return append(dst, make([]byte, cell.TagBytes)...)
}

func (plain) Open(dst, _, ciphertext, _ []byte) ([]byte, error) {
	return append(dst, ciphertext[:len(ciphertext)-cell.TagBytes]...), nil
}

// TestSteadyEpochs: what an epoch of all servers allocates once its arrays are
// there is small, and does not grow with the number of clients. What is drawn
// from the heap for each cell is the AEAD's object alone, which is left out
// here.
func TestSteadyEpochs(t *testing.T) {
	for _, channel := range []string{"token", "id", "both"} {
		allocated := func(n int) uint64 {
			c := newClusterWith(t, channel, n, 4, 1, func(cfg *epoch.Config) { cfg.Keys = plainKeys{cfg.Keys, plain{}} })
			var before, after runtime.MemStats
			least := ^uint64(0)
			for e := uint64(1); e <= 8; e++ {
				c.submit(e)
				runtime.ReadMemStats(&before)
				c.run(e)
				runtime.ReadMemStats(&after)
				if e > 4 {
					least = min(least, after.TotalAlloc-before.TotalAlloc)
				}
			}
			if got := c.servers[0].Status().Committed; got != 8 {
				t.Fatalf("%d epochs were committed", got)
			}
			return least
		}
		few, many := allocated(1<<10), allocated(1<<12)
		t.Logf("%s: %d bytes with 1024 clients, %d with 4096", channel, few, many)
		if most := uint64(512 << 10); many > most {
			t.Errorf("%s: an epoch of four servers allocates %d bytes, more than %d", channel, many, most)
		}
		if more := uint64(3 << 10 * 8); many > few+more {
			t.Errorf("%s: an epoch allocates %d bytes with 1024 clients and %d with 4096, more than 8 for each", channel, few, many)
		}
	}
}
