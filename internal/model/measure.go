package model

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/oblivious"
)

// Measure measures the steps on this machine, with one worker, for 2^low to
// 2^high rows in steps of four; the median of some repetitions. Parallel, LinkNS
// and the residuals stay as in from: those need whole runs.
func Measure(from Calibration, machine string, low, high int, say func(string)) Calibration {
	c := from
	c.Machine = machine
	c.Steps = map[string]Curve{}
	for log := low; log <= high; log += 2 {
		n := 1 << log
		for name, ns := range measureAt(n) {
			c.Steps[name] = append(c.Steps[name], Knot{float64(log), ns})
		}
		say("measured the steps on 2^" + strconv.Itoa(log) + " rows")
	}
	return c
}

// sections is how many the step StepExact is measured with.
const sections = 16

// measureAt returns nanoseconds a row of every step on n rows.
func measureAt(n int) map[string]float64 {
	w, rng := oblivious.NewWorkers(1), rand.New(rand.NewPCG(1, uint64(n)))
	g, err := geometry.New(System{experiment.Token, 1, 1, 1, experiment.CellBytes}.params())
	if err != nil {
		panic(err) // the parameters are fixed
	}
	heads, bodies := oblivious.MakeRows(n, geometry.HeadBytes), oblivious.MakeRows(n, g.Stride())
	for i := 0; i < len(bodies.Data); i += 1 << 12 { // so that every page is there
		bodies.Data[i] = 1
	}
	marks, kept := make([]byte, n), make([]byte, n)
	labels, secret := make([]uint32, n), make([]uint32, n)
	headers, secretHeaders := make([]oblivious.Header, n), make([]oblivious.Header, n)
	sizes := make([]int, sections)
	for i := range n {
		marks[i] = byte(rng.Uint32() & 1)
		secretHeaders[i] = oblivious.Header{rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64()}
	}
	for i, p := range rng.Perm(n) {
		secret[i] = uint32(p)
	}
	for l := range sizes {
		sizes[l] = n / sections
	}
	per := func(prepare, do func()) float64 {
		var times []float64
		for range max(3, min(31, (1<<19)/n)) {
			prepare()
			start := time.Now()
			do()
			times = append(times, float64(time.Since(start).Nanoseconds())/float64(n))
		}
		slices.Sort(times)
		return times[len(times)/2]
	}
	restore := func() { copy(labels, secret) }
	return map[string]float64{
		StepCompact:      per(func() {}, func() { w.Compact(marks, heads, bodies) }),
		StepPlace:        per(restore, func() { w.Place(labels, heads, bodies) }),
		StepDestinations: per(restore, func() { w.Destinations(labels, n, kept) }),
		StepHeaders:      per(func() { copy(headers, secretHeaders) }, func() { w.SortHeaders(headers) }),
		StepExact:        per(restore, func() { w.Exact(labels, sizes, kept) }) / sections,
	}
}
