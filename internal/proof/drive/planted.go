//go:build linux && amd64

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/teems-go/teems/internal/proof/cases"
	"github.com/teems-go/teems/internal/proof/memcheck"
	"github.com/teems-go/teems/internal/proof/probe"
)

// mutant is a line of the file of planted leaks: the function, the kernels that
// must be in use, or any, and the language.
type mutant struct {
	site                        int
	function, kernels, language string
}

func readMutants(o options) []mutant {
	b, err := os.ReadFile(o.mutants)
	if err != nil {
		fmt.Fprintln(os.Stderr, "drive:", err)
		os.Exit(2)
	}
	var out []mutant
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		f := strings.Fields(line)
		out = append(out, mutant{i + 1, f[0], f[1], f[2]})
	}
	return out
}

// tries are the cases that may pass a planted leak, the likeliest first.
func tries(p mutant) []cases.Case {
	all := cases.All()
	name := strings.ToLower(p.function)
	pkg, _, _ := strings.Cut(name, ".")
	rank := func(c cases.Case) int {
		switch f := strings.ToLower(c.Name); {
		case slices.Contains(c.Functions(), p.function):
			return 0
		case strings.HasPrefix(name, f):
			return 1
		case strings.HasPrefix(f, pkg+"."):
			return 2
		}
		return 3
	}
	slices.SortStableFunc(all, func(a, b cases.Case) int { return rank(a) - rank(b) })
	return all
}

// kernelsOf are the kernels to try a planted leak with.
func kernelsOf(p mutant) []string {
	if p.kernels != "any" {
		return []string{p.kernels}
	}
	return []string{"portable", "AVX2"}
}

// planted wakes every leak in turn, and runs the cases until one passes it.
// What memcheck says of it stands between two lines of its log.
func planted(o options) bool {
	for _, p := range readMutants(o) {
		if p.kernels == "AVX-512" {
			continue // valgrind does not know them: the stepper's
		}
		for kind := probe.Branch; kind <= probe.Kinds; kind++ {
			if (o.site != 0 && p.site != o.site) || (o.kind != 0 && int(kind) != o.kind) {
				continue
			}
			memcheck.Print(fmt.Sprintf("** mutant %d %d %s: %v", p.site, kind, p.function, kind))
			wake(p, kind)
			memcheck.Print("** end")
		}
	}
	return true
}

// The leaks in assembly have a switch of their own, which rewritten builds have.
var (
	wakeAssembly = func(site, kind int) {}
	assemblyHits = func() int { return 0 }
)

// awake wakes a leak, or puts all to sleep.
func awake(site int, kind probe.Kind) {
	probe.Site, probe.Wake, probe.Hits = site, kind, 0
	wakeAssembly(site, int(kind))
}

func hits() int { return probe.Hits + assemblyHits() }

// wake wakes a leak in the first case that passes it, with undefined secrets.
func wake(p mutant, kind probe.Kind) {
	if pass(p, kind, kernelsOf(p)) == "" {
		fmt.Println("never passed:", p.function)
	}
}

// pass runs cases with a leak awake until one passes it. It returns the name of
// the kernels in use, or nothing.
func pass(p mutant, kind probe.Kind, bodies []string) string {
	defer awake(0, probe.Asleep)
	for _, c := range tries(p) {
		for _, k := range bodies {
			if !choose(k) {
				continue
			}
			for _, workers := range []int{1, 3} {
				for _, n := range []int{16, 100} {
					awake(0, probe.Asleep)
					x := c.Setup(n, workers)
					x.Fill(random(1))
					for _, s := range x.Secrets {
						memcheck.Undefined(s)
					}
					awake(p.site, kind)
					run(x)
					if hits() > 0 {
						return k
					}
				}
			}
		}
	}
	return ""
}

// reach prints the planted leaks again, each with the kernels that pass it: any,
// if portable or AVX2 ones do, so that the cases run anywhere.
func reach(o options) bool {
	for _, p := range readMutants(o) {
		if p.kernels == "any" && pass(p, probe.Asleep, []string{"portable", "AVX2"}) == "" {
			if !choose("AVX-512") || pass(p, probe.Asleep, []string{"AVX-512"}) != "" {
				p.kernels = "AVX-512"
			}
		}
		fmt.Println(p.function, p.kernels, p.language)
	}
	return true
}

// run does a case; a planted early exit may make it panic.
func run(x *cases.Ready) {
	defer func() { _ = recover() }()
	x.Do()
}
