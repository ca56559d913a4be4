//go:build linux && amd64

package main

import (
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strings"

	"github.com/teems-go/teems/internal/proof/cases"
	"github.com/teems-go/teems/internal/proof/probe"
)

// event is one entry of a trace: what happened at a place in the source, or a
// call of a kernel with an address or a public argument.
type event struct {
	site  int // kernel calls have negative sites
	value uint64
}

// recorder takes traces. By default it keeps a digest; addresses are numbered
// in the order of their first use, so that fresh memory does not count as a
// difference.
type recorder struct {
	digest  uint64
	count   int
	keep    bool
	events  []event
	numbers map[uintptr]uint64
	names   map[string]int
	kernels []string
}

var taking = &recorder{numbers: map[uintptr]uint64{}, names: map[string]int{}}

func (t *recorder) told(site int, value uint64) {
	t.digest = bits.RotateLeft64(t.digest^uint64(site), 23) * 0x9e3779b97f4a7c15
	t.digest = bits.RotateLeft64(t.digest^value, 29) * 0xbf58476d1ce4e5b9
	t.count++
	if t.keep {
		t.events = append(t.events, event{site, value})
	}
}

// called records a kernel call. A rewritten build with the tag trace hears them.
func (t *recorder) called(name string, a, b uintptr, public ...int) {
	if t.names[name] == 0 {
		t.kernels = append(t.kernels, name)
		t.names[name] = len(t.kernels)
	}
	site := -t.names[name]
	for _, p := range []uintptr{a, b} {
		n, ok := t.numbers[p]
		if !ok {
			n = uint64(len(t.numbers))
			t.numbers[p] = n
		}
		t.told(site, n)
	}
	for _, p := range public {
		t.told(site, uint64(p))
	}
}

// passed counts the hits of the planted leak that is awake, before it was last
// put to sleep.
var passed int

// hear turns the hook of kernel calls on or off.
var hear = func(func(string, uintptr, uintptr, ...int)) {}

// take runs a case under a seed and returns its trace's digest.
func (t *recorder) take(x *cases.Ready, seed uint64, keep bool) (uint64, []event) {
	if site, kind := probe.Site, probe.Wake; site != 0 {
		// A planted early exit may have left a machine's work undone.
		passed += hits()
		awake(0, probe.Asleep)
		x.Fill(random(seed))
		run(x)
		awake(site, kind)
	}
	x.Fill(random(seed))
	t.digest, t.count, t.keep, t.events = 1, 0, keep, t.events[:0]
	clear(t.numbers)
	probe.Told = t.told
	hear(t.called)
	run(x)
	probe.Told = nil
	hear(nil)
	return t.digest, slices.Clone(t.events)
}

// tracedSizes and tracedWorkers are what pairs are shared out among.
var (
	tracedSizes   = []int{1, 2, 7, 16, 33, 100}
	tracedWorkers = []int{1, 3}
)

// compare takes traces of so many pairs of secrets at one size. Where two
// differ it returns their seeds.
func compare(x *cases.Ready, seed uint64, pairs int) (a, b uint64, differ bool) {
	x.Fill(random(seed))
	run(x) // so that scratch has its size
	last, _ := taking.take(x, seed, false)
	for i := range uint64(pairs) {
		now, _ := taking.take(x, seed+i+1, false)
		if now != last {
			return seed + i, seed + i + 1, true
		}
	}
	return 0, 0, false
}

// trace compares the traces of pairs of secrets, case by case; with a file of
// planted leaks it wakes each and wants a difference that names the function.
func trace(o options) bool {
	sites := strings.Split(readFile(o.sites), "\n")
	if o.mutants != "" {
		return tracePlanted(o, sites)
	}
	ok, pairs, all := true, 0, 0
	for _, c := range chosen(o) {
		here, events := 0, 0
		shares := len(tracedSizes) * len(tracedWorkers)
		for _, workers := range tracedWorkers {
			for _, n := range tracedSizes {
				x := c.Setup(n, workers)
				share := (o.pairs + shares - 1) / shares
				if a, b, differ := compare(x, o.seed+uint64(here)*1000, share); differ {
					fmt.Printf("%s at n=%d with %d workers: traces differ: %s\n", c.Name, n, workers, difference(x, a, b, sites))
					ok = false
				}
				here += share
				events += taking.count
			}
		}
		if events == 0 {
			fmt.Printf("%s leaves no trace\n", c.Name)
			ok = false
		}
		pairs += here
		all += events
	}
	fmt.Printf("%d cases, %d pairs of secrets, %d events in the last traces of each\n", len(chosen(o)), pairs, all)
	return ok
}

// difference says where the traces of two seeds part.
func difference(x *cases.Ready, a, b uint64, sites []string) string {
	_, p := taking.take(x, a, true)
	_, q := taking.take(x, b, true)
	i := 0
	for i < len(p) && i < len(q) && p[i] == q[i] {
		i++
	}
	at := func(t []event) string {
		if i >= len(t) {
			return "the end"
		}
		if t[i].site < 0 {
			return fmt.Sprintf("kernel.%s, %d", taking.kernels[-t[i].site-1], t[i].value)
		}
		return fmt.Sprintf("%s, %d", sites[t[i].site], t[i].value)
	}
	return fmt.Sprintf("after %d equal events: %s; against %s", i, at(p), at(q))
}

func readFile(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "drive:", err)
		os.Exit(2)
	}
	return string(b)
}

// tracePlanted wakes every leak in Go code.
func tracePlanted(o options, sites []string) bool {
	planted, caught := 0, 0
	for _, p := range readMutants(o) {
		if p.language != "go" || (o.site != 0 && p.site != o.site) {
			continue // assembly is the stepper's
		}
		for kind := probe.Branch; kind <= probe.Kinds; kind++ {
			planted++
			if said := traceWake(p, kind, sites); strings.Contains(said, p.function+": ") {
				caught++
			} else {
				fmt.Printf("not caught: %s: %v: %s\n", p.function, kind, said)
			}
		}
	}
	fmt.Printf("planted %d, caught %d\n", planted, caught)
	return planted == caught && planted > 0
}

// traceWake wakes one leak in the cases that may pass it, until traces differ.
func traceWake(p mutant, kind probe.Kind, sites []string) (said string) {
	defer awake(0, probe.Asleep)
	said = "never passed"
	for _, c := range tries(p) {
		for _, k := range kernelsOf(p) {
			if !choose(k) {
				continue
			}
			for _, workers := range tracedWorkers {
				awake(0, probe.Asleep)
				x := c.Setup(33, workers)
				passed = 0
				awake(p.site, kind)
				a, b, differ := compare(x, 1, 30)
				if differ {
					return difference(x, a, b, sites)
				}
				if passed+hits() > 0 {
					said = "equal traces in " + c.Name
				}
			}
		}
	}
	return said
}
