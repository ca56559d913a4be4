//go:build linux && amd64

package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/teems-go/teems/internal/proof/cases"
)

// moments are the running mean and variance of a class (Welford).
type moments struct{ n, mean, m2 float64 }

func (m *moments) add(x float64) {
	m.n++
	d := x - m.mean
	m.mean += d / m.n
	m.m2 += d * (x - m.mean)
}

// welch is the t statistic of two classes.
func welch(a, b *moments) float64 {
	if a.n < 2 || b.n < 2 {
		return 0
	}
	v := a.m2/(a.n-1)/a.n + b.m2/(b.n-1)/b.n
	if v == 0 {
		return 0
	}
	return (a.mean - b.mean) / math.Sqrt(v)
}

// times measures every primitive on two classes of secrets, fixed and random,
// in random order (Reparaz, Balasch and Verbauwhede, "Dude, is my code constant
// time?", DATE 2017). Secrets are written the same way for both: a draw into a
// pool ahead, then a copy. Times above the given quantile of a first batch count
// as interruptions and are dropped, for both classes alike.
func times(o options) bool {
	ok := true
	fmt.Printf("| %-36s | %9s | %8s | %10s |\n", "function", "ns", "t", "samples")
	for _, c := range slices.DeleteFunc(chosen(o), unsteady) {
		// Two machines of the same code never give |t| < 4.5 for ever by chance
		// alone: one of a hundred functions passes it once in some thousand runs.
		t, ns, n := timed(c, o)
		verdict := ""
		if math.Abs(t) >= 4.5 {
			verdict, ok = " differs", false
		}
		fmt.Printf("| %-36s | %9.0f | %8.2f | %10d |%s\n", c.Name, ns, t, n, verdict)
	}
	return ok
}

// pool is how many draws of random secrets there are.
const pool = 64

func timed(c cases.Case, o options) (t, ns float64, n int) {
	x := c.Setup(o.n, 1)
	r := random(o.seed)
	draws := make([][]byte, 2*pool)
	for i := range draws {
		x.Fill(random(o.seed + uint64(max(i, pool))*uint64(min(i/pool, 1)))) // the first half are all one draw
		for _, s := range x.Secrets {
			draws[i] = append(draws[i], s...)
		}
	}
	once := func(i int) float64 {
		d := draws[i]
		for _, s := range x.Secrets {
			d = d[copy(s, d):]
		}
		start := time.Now()
		x.Do()
		return float64(time.Since(start).Nanoseconds())
	}
	var first []float64
	for range 1000 {
		first = append(first, once(r.IntN(2*pool)))
	}
	slices.Sort(first)
	limit := first[900]
	var classes [2]moments
	for range o.samples {
		i := r.IntN(2 * pool)
		if x := once(i); x <= limit {
			classes[i/pool].add(x)
			n++
		}
	}
	return welch(&classes[0], &classes[1]), first[500], n
}
