//go:build trace

package sparta

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/teems-go/teems/internal/kernel"
)

// The kernel calls of batches (names, addresses, public arguments) do not depend
// on the load: nothing, everything to one user, random.
func TestTrace(t *testing.T) {
	for _, workers := range []int{1, 3} {
		s, err := New(Config{Users: 300, Sends: 400, Queue: 500, Volume: 2, BodyBytes: 64, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		fetchers := []uint32{0, 5, 7, 100, 299}
		for u := range uint32(100) {
			fetchers = append(fetchers, 150+u)
		}
		slices.Sort(fetchers)
		batch := func(kind int) (calls []string) {
			rng := rand.New(rand.NewPCG(1, uint64(kind)))
			for i := range 400 {
				body := make([]byte, 64)
				body[0] = byte(rng.Uint32())
				s.Send(i, uint32(7+kind/2*rng.IntN(300)), uint32(i), kind > 0 && rng.IntN(3) > 0, body)
			}
			var mu sync.Mutex
			kernel.TraceHook = func(name string, a, b uintptr, public ...int) {
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, fmt.Sprintln(name, a, b, public))
			}
			s.Batch(fetchers)
			kernel.TraceHook = nil
			if workers > 1 {
				slices.Sort(calls)
			}
			return calls
		}
		batch(2) // so that scratch has its size
		want := batch(0)
		for kind := range 5 {
			if got := batch(kind); len(got) == 0 || !slices.Equal(got, want) {
				t.Errorf("%d workers: load %d has another trace", workers, kind)
			}
		}
	}
}
