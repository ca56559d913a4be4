//go:build linux && amd64

package main

import (
	"bytes"
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
// time?", DATE 2017). Times above the given quantile of a first batch count
// as interruptions and are dropped, for both classes alike.
func times(o options) bool {
	ok := true
	fmt.Printf("| %-36s | %9s | %8s | %10s |\n", "function", "ns", "t", "samples")
	for _, c := range slices.DeleteFunc(chosen(o), unsteady) {
		// By chance alone one measurement in some 100,000 passes 4.5.
		t, ns, n := timed(c, o)
		verdict := ""
		if math.Abs(t) >= 4.5 {
			verdict, ok = " differs", false
		}
		fmt.Printf("| %-36s | %9.0f | %8.2f | %10d |%s\n", c.Name, ns, t, n, verdict)
	}
	return ok
}

func timed(c cases.Case, o options) (t, ns float64, n int) {
	x := c.Setup(o.n, 1)
	r, draws := random(o.seed), random(o.seed+1)
	var fixed [][]byte
	x.Fill(draws)
	for _, s := range x.Secrets {
		fixed = append(fixed, bytes.Clone(s))
	}
	// Both classes draw, and both read the fixed secrets, at the same places: the
	// caches are left alike.
	once := func(class int) float64 {
		x.Fill(draws)
		m := -byte(class)
		for i, s := range x.Secrets {
			for k, b := range fixed[i][:len(s)] {
				s[k] = b ^ (b^s[k])&m
			}
		}
		start := time.Now()
		x.Do()
		return float64(time.Since(start).Nanoseconds())
	}
	var first []float64
	for range 1000 {
		first = append(first, once(r.IntN(2)))
	}
	slices.Sort(first)
	limit := first[900]
	var classes [2]moments
	for range o.samples {
		class := r.IntN(2)
		if x := once(class); x <= limit {
			classes[class].add(x)
			n++
		}
	}
	return welch(&classes[0], &classes[1]), first[500], n
}
