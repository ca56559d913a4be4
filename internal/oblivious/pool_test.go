package oblivious

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// TestCrew: every part is done once before each returns, whoever is late, and
// whether those who wait look long, sleep at once, or outnumber the processors.
func TestCrew(t *testing.T) {
	for _, helpers := range []int{0, 1, 7} {
		for _, rounds := range []int{0, 30, 1 << 10} {
			c := newPool(1)
			c.helpers, c.spinRounds = helpers, rounds
			r := random(uint64(helpers + rounds))
			done := make([]int, 70)
			var sum atomic.Int64
			for run := range 100 {
				parts, slow := 1+r.IntN(len(done)), r.IntN(len(done))
				clear(done)
				want := sum.Load() + int64(parts)
				c.each(parts, func(part int) {
					for i := range 100 * (part / max(1, slow)) {
						sum.Add(int64(i & 1))
						sum.Add(-int64(i & 1))
					}
					done[part]++
					sum.Add(1)
				})
				if got := sum.Load(); got != want {
					t.Fatalf("%d helpers, rounds %d, run %d: %d parts are not done", helpers, rounds, run, want-got)
				}
				for part, times := range done {
					if times != map[bool]int{true: 1}[part < parts] {
						t.Fatalf("%d helpers, rounds %d, run %d: part %d of %d was done %d times", helpers, rounds, run, part, parts, times)
					}
				}
			}
		}
	}
}

// TestCrewEnds: helpers that have nothing to do end, and the next call has some
// again.
func TestCrewEnds(t *testing.T) {
	c := newPool(1)
	c.helpers = 2
	for range 3 {
		both := make(chan int)
		c.each(2, func(part int) { // each waits for the other
			select {
			case both <- part:
			case <-both:
			}
		})
		for c.awake.Load() != 0 {
			runtime.Gosched()
		}
	}
}

// TestCrewOfOneProcessor: helpers that could only take turns with the caller are
// none.
func TestCrewOfOneProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	w := NewWorkers(3)
	var order []int
	w.Each(5, func(part int) { order = append(order, part) })
	if len(order) != 5 || w.pool.awake.Load() != 0 {
		t.Fatalf("parts %v were done, with %d helpers", order, w.pool.awake.Load())
	}
}
