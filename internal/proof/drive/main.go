//go:build linux && amd64

// Command drive runs the cases of package cases, and the whole epoch in memory,
// in the way that a check asks for. The checks build it, from the sources as
// they are or from rewritten ones, and run it under their tools; there is no
// use in running it by hand.
//
//	drive secrets --n 512 --channel both   all secrets undefined, for memcheck
//	drive planted                          the same, once for every planted leak
//	drive trace --pairs 1000               equal traces, in a traced build
//	drive step --case kernel.SortWords     between two traps, for the stepper
//	drive time --samples 1000000           statistics of times
//
// Exit codes: 0 done, 1 a check failed, 2 wrong use.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/teems-go/teems/internal/kernel"
	"github.com/teems-go/teems/internal/proof/cases"
	"github.com/teems-go/teems/internal/proof/memcheck"
)

// options are the flags of all modes.
type options struct {
	n       int
	channel string
	only    string
	bodies  string
	pairs   int
	samples int
	site    int
	kind    int
	seed    uint64
	mutants string
	sites   string
}

// The main goroutine stays on the process's first thread, which the stepper
// follows.
func init() { runtime.LockOSThread() }

func main() {
	var o options
	flags := flag.NewFlagSet("drive", flag.ExitOnError)
	flags.IntVar(&o.n, "n", 64, "size of the cases, or clients of the epoch")
	flags.StringVar(&o.channel, "channel", "", "channel of the epoch: id, token or both; none by default")
	flags.StringVar(&o.only, "case", "", "run this case alone")
	flags.StringVar(&o.bodies, "kernels", "", "use the kernels of this name: portable, AVX2 or AVX-512")
	flags.IntVar(&o.pairs, "pairs", 100, "pairs of secrets a case")
	flags.IntVar(&o.samples, "samples", 10000, "measurements a case")
	flags.IntVar(&o.site, "site", 0, "the planted leak that is awake")
	flags.IntVar(&o.kind, "kind", 0, "how it leaks")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the secrets")
	flags.StringVar(&o.mutants, "mutants", "", "file that lists the planted leaks")
	flags.StringVar(&o.sites, "sites", "", "file that lists the places that traces tell of")
	if len(os.Args) < 2 || flags.Parse(os.Args[2:]) != nil {
		flags.Usage()
		os.Exit(2)
	}
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	if o.bodies != "" && !choose(o.bodies) {
		fmt.Fprintln(os.Stderr, "drive: no such kernels here:", o.bodies)
		os.Exit(2)
	}
	modes := map[string]func(options) bool{"secrets": secrets, "planted": planted, "reach": reach, "trace": trace, "step": step, "time": times, "list": list}
	cases.Mark = cases.Marker{Secret: memcheck.Undefined, Public: memcheck.Defined}
	mode := modes[os.Args[1]]
	if mode == nil {
		flags.Usage()
		os.Exit(2)
	}
	if !mode(o) {
		os.Exit(1)
	}
}

// choose takes other kernels into use. Rewritten builds can.
var choose = func(name string) bool { return name == kernel.Implementation() }

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 23)) }

// chosen are the cases that the options ask for.
func chosen(o options) []cases.Case {
	all := cases.All()
	if o.only == "" {
		return all
	}
	return slices.DeleteFunc(all, func(c cases.Case) bool { return !slices.Contains(c.Functions(), o.only) && c.Name != o.only })
}

// list prints the cases.
func list(o options) bool {
	for _, c := range chosen(o) {
		fmt.Println(c.Name)
	}
	return true
}

// sizes are those at which a case runs: where cuts and blocks go wrong, and n.
func caseSizes(n int) []int {
	return slices.Compact(slices.Sorted(slices.Values([]int{1, 7, 64, 100, n})))
}

// undefined runs a case with its secrets undefined, and makes them defined again.
func undefined(x *cases.Ready, r *rand.Rand) {
	x.Fill(r)
	for _, s := range x.Secrets {
		memcheck.Undefined(s)
	}
	x.Do()
	for _, s := range x.Secrets {
		memcheck.Defined(s)
	}
}

// secrets runs everything with secrets undefined and counts what it checked. A
// function with several kernels behind it counts once for each.
func secrets(o options) bool {
	if !memcheck.Running() {
		fmt.Fprintln(os.Stderr, "drive: not under valgrind")
		return false
	}
	checked := map[string]bool{}
	for _, bodies := range []string{"portable", "AVX2"} {
		if !choose(bodies) {
			fmt.Fprintln(os.Stderr, "drive: no kernels of the name", bodies)
			return false
		}
		for _, c := range chosen(o) {
			before := memcheck.Errors()
			memcheck.Print("** " + c.Name + " with " + bodies + " kernels")
			for _, workers := range []int{1, 3} {
				for _, n := range caseSizes(o.n) {
					if n > 100 && workers > 1 {
						continue
					}
					x := c.Setup(n, workers)
					undefined(x, random(o.seed))
				}
			}
			for _, f := range c.Functions() {
				checked[f+" "+under(f, bodies)] = true
			}
			if found := memcheck.Errors() - before; found > 0 {
				fmt.Printf("%s with %s kernels: %d errors\n", c.Name, bodies, found)
			}
		}
	}
	if o.channel != "" {
		for _, channel := range map[string][]string{"both": {"id", "token", "both"}}[o.channel] {
			epochs(channel, o.n)
			checked["an epoch of channel "+channel] = true
		}
		if o.channel != "both" {
			epochs(o.channel, o.n)
			checked["an epoch of channel "+o.channel] = true
		}
	}
	fmt.Printf("checked %d functions, %d errors\n", len(checked), memcheck.Errors())
	return memcheck.Errors() == 0
}

// under is the kernels' name for functions that use them.
func under(function, bodies string) string {
	if p, _, _ := strings.Cut(function, "."); p == "choice" || p == "keys" || p == "session" || p == "epoch" {
		return ""
	}
	return bodies
}

// epochs plays two epochs with the cluster's keys, and so all that comes of
// them, undefined.
func epochs(channel string, n int) {
	before := memcheck.Errors()
	memcheck.Print("** epochs of channel " + channel)
	c := cases.NewCluster(channel, n, 2, cases.Mark)
	c.Run()
	c.Run()
	if found := memcheck.Errors() - before; found > 0 {
		fmt.Printf("epochs of channel %s: %d errors\n", channel, found)
	}
}
