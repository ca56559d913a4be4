package kernel

import (
	"slices"
	"testing"
)

// TestRoute checks the routing of entries against the portable one, with
// entries that break the promise too.
func TestRoute(t *testing.T) { onEach(t, checkRoute) }

func checkRoute(t *testing.T) {
	const seed = 7
	r := random(seed)
	for n := 1; n <= 1024; n *= 2 {
		for range 30 {
			entries := make([]uint64, n)
			cells, first := r.Uint32N(uint32(2*n)), r.Uint32N(uint32(n))
			for i := range entries {
				entries[i] = uint64(r.Uint32N(uint32(3*n)))<<32 | uint64(r.Uint32())
				if r.IntN(5) == 0 {
					entries[i] |= 1<<64 - 1<<32
				}
			}
			lo := r.IntN(n/2 + 1)
			count := r.IntN(n/2 + 1 - lo)
			run := func() []uint64 {
				e := slices.Clone(entries)
				Route(e, lo, n/2, count, cells, first)
				RouteBlock(e, cells, first)
				return e
			}
			got := run()
			restore := setImplementation(portable)
			want := run()
			restore()
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d n %d cells %d first %d: %x, want %x", seed, n, cells, first, got, want)
			}
		}
	}
}
