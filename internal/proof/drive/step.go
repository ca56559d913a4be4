//go:build linux && amd64

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/teems-go/teems/internal/proof/cases"
	"github.com/teems-go/teems/internal/proof/memcheck"
	"github.com/teems-go/teems/internal/proof/probe"
)

// stepped are the cases that the stepper runs: primitives, whose memory stays
// where it is from one run to the next.
func stepped(o options) []cases.Case {
	return slices.DeleteFunc(chosen(o), unsteady)
}

func unsteady(c cases.Case) bool {
	pkg, _, _ := strings.Cut(c.Name, ".")
	// What idchannel.Sender draws from a PRF comes from code that allocates.
	return !slices.Contains([]string{"choice", "kernel", "oblivious"}, pkg) && c.Name != "idchannel.Ranker.Rank"
}

// step runs cases between marks, each under --pairs secrets, and prints the name
// of each before. The stepper listens.
func step(o options) bool {
	if o.mutants != "" {
		return stepPlanted(o)
	}
	for _, c := range stepped(o) {
		fmt.Fprintln(os.Stdout, "case", c.Name)
		between(c.Setup(o.n, 1), o, nil)
	}
	return true
}

// between runs a case between marks.
func between(x *cases.Ready, o options, before func()) {
	x.Fill(random(o.seed))
	run(x) // so that scratch and stack have their size
	for i := range uint64(o.pairs) {
		x.Fill(random(o.seed + i))
		if before != nil {
			before()
		}
		// A wish of the runtime's to preempt this goroutine would be heeded between
		// the marks: it has its way now.
		runtime.Gosched()
		memcheck.Mark()
		run(x)
		memcheck.Mark()
		awake(0, probe.Asleep)
	}
}

// stepPlanted does so for every planted leak that only the stepper can see: in
// assembly, and in what AVX-512 kernels alone run.
func stepPlanted(o options) bool {
	for _, p := range readMutants(o) {
		if p.language == "go" && p.kernels == "any" {
			continue
		}
		for kind := probe.Branch; kind <= probe.Kinds; kind++ {
			stepWake(p, kind, o)
		}
	}
	return true
}

func stepWake(p mutant, kind probe.Kind, o options) {
	choose(p.kernels)
	for _, c := range slices.DeleteFunc(tries(p), unsteady) {
		for _, n := range []int{16, 100, 600} {
			x := c.Setup(n, 1)
			x.Fill(random(1))
			awake(p.site, probe.Asleep)
			run(x)
			reached := hits() > 0
			awake(0, probe.Asleep)
			if reached {
				fmt.Println("mutant", p.function, kind)
				between(x, o, func() { awake(p.site, kind) })
				return
			}
		}
	}
	fmt.Println("never passed:", p.function)
}
