//go:build linux && amd64

package gate

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/proof/prooftest"
	"github.com/teems-go/teems/internal/proof/rewrite"
)

var update = flag.Bool("update", false, "write allowed.txt anew, keeping reasons; give the new ones yourself")

const head = `# Conditional jumps and divisions in the compiled code that handles secrets, by
# the function and source line that they are written in, and why each is public.
# go test ./internal/proof/gate -update writes it anew and puts ? for reasons
# that are missing, with which the test fails.
`

func TestGate(t *testing.T) {
	_, p := prooftest.Load(t, rewrite.Options{}, Wanted)
	findings, bad := Find(p)
	for _, b := range bad {
		t.Error(b)
	}
	b, err := os.ReadFile("allowed.txt")
	if err != nil && !*update {
		t.Fatal(err)
	}
	if *update {
		// A list with reasons missing must still be read.
		l, err := Parse([]byte(strings.ReplaceAll(string(b), ": ?\n", ": missing\n")))
		if err != nil {
			t.Fatal(err)
		}
		for f, why := range l.Reasons {
			if why == "missing" {
				delete(l.Reasons, f)
			}
		}
		if err := os.WriteFile("allowed.txt", l.Format(findings, head), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	l, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	fresh, gone := l.Check(findings)
	for _, f := range fresh {
		t.Errorf("%s (%s) has a %s that is not on the list: %s", f.Function, f.Place, f.Op, f.Line)
	}
	for _, g := range gone {
		t.Logf("on the list and not in the code (-update removes it): %s", g)
	}
	places := map[string]bool{}
	for _, f := range findings {
		places[f.Key()] = true
	}
	t.Logf("%d functions, %d conditional jumps and divisions on %d lines of source", len(p.Funcs), len(findings), len(places))
}

// TestPlanted: the gate names every function that has leaks planted.
func TestPlanted(t *testing.T) {
	d, p := prooftest.Load(t, rewrite.Options{Mutants: true}, Wanted)
	findings, _ := Find(p)
	b, err := os.ReadFile("allowed.txt")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	fresh, _ := l.Check(findings)
	named := map[string]bool{}
	for _, f := range fresh {
		named[f.Function] = true
	}
	planted, caught := 0, 0
	for _, x := range d.Mutants {
		pkg, _, _ := strings.Cut(x.Function, ".")
		if !Wanted(rewrite.Module + "/internal/" + pkg + ".x") {
			continue
		}
		planted++
		if named[x.Function] {
			caught++
		} else {
			t.Errorf("%s has leaks planted and is not named", x.Function)
		}
	}
	t.Logf("planted into %d functions, caught %d", planted, caught)
}
