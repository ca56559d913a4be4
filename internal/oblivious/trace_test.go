//go:build trace

package oblivious

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/teems-go/teems/internal/kernel"
)

// traceOf returns the kernel calls of f: names, addresses, public arguments.
// With several workers their order is not determined, so they are sorted.
func traceOf(f func(), several bool) []string {
	var mu sync.Mutex
	var calls []string
	kernel.TraceHook = func(name string, a, b uintptr, public ...int) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, fmt.Sprintln(name, a, b, public))
	}
	f()
	kernel.TraceHook = nil
	if several {
		slices.Sort(calls)
	}
	return calls
}

// TestTrace runs every primitive on the same memory under pairs of secrets of
// one public shape and requires the same trace.
func TestTrace(t *testing.T) { onEach(t, eachTrace) }

func eachTrace(t *testing.T) {
	const seed = 41
	r := random(seed)
	for _, workers := range []int{1, 3} {
		for _, n := range []int{0, 1, 2, 7, 64, 100, 333, 1000} {
			w := NewWorkers(workers)
			w.least = 1
			body, side := numbered(n, 256), numbered(n, 8)
			marks, ranks, labels := make([]byte, n), make([]uint32, n), make([]uint32, n)
			keys, values, heads := make([]uint64, n), make([]uint64, n), make([]Header, n)
			cells := r.IntN(n + 1)
			sizes := randomSizes(r, n, 7)
			fewer := randomSizes(r, n/2, 5)
			counts := make([]uint32, 9)
			far := make([]uint32, longPattern+1)

			extremes := func(r *rand.Rand, kind int) {
				for i := range n {
					marks[i] = byte(kind) & 1 // all clear, all set, random
					keys[i], values[i] = uint64(i*kind), 3
					labels[i] = uint32(i)
					if kind > 1 {
						marks[i] = byte(r.IntN(2))
						keys[i], values[i] = narrow(r), narrow(r)
						labels[i] = uint32(r.IntN(n + 3))
					}
					heads[i] = Header{keys[i], values[i], 1, keys[i]}
				}
			}
			for name, run := range map[string]func(){
				"Compact":      func() { w.Compact(marks, body, side) },
				"Expand":       func() { w.Expand(marks, body, side) },
				"Sort":         func() { w.Sort(keys) },
				"SortPairs":    func() { w.SortPairs(keys, values) },
				"SortHeaders":  func() { w.SortHeaders(heads) },
				"Split":        func() { copy(labels, labelsOf(r, sizes)); w.Split(labels, sizes, body, side) },
				"Broken split": func() { w.Split(labels, sizes, body, side) },
				"Place":        func() { w.Place(labels, body, side) },
				"Tally":        func() { Tally(labels, counts) },
				"RankByLabel":  func() { w.RankByLabel(labels, 5, ranks) },
				"Deal":         func() { w.Deal(labels, 5, 3, []uint32{0, 1, 0, 2}) },
				"Deal far":     func() { w.Deal(labels, 5, 3, far) },
				"Exact":        func() { w.Exact(labels, fewer, marks) },
				"Destinations": func() { w.Destinations(labels, cells, marks) },
			} {
				extremes(r, 2)
				run() // so that scratch has its size
				var want []string
				for kind := range 5 {
					extremes(r, kind)
					got := traceOf(run, workers > 1)
					if kind > 0 && !slices.Equal(got, want) {
						t.Errorf("seed %d: %s on %d records with %d workers: the trace depends on secrets", seed, name, n, workers)
					}
					want = got
				}
				if n >= 2 && len(want) == 0 {
					t.Errorf("%s leaves no trace", name)
				}
			}
		}
	}
}
