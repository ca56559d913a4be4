//go:build linux && amd64

package step

import (
	"bufio"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/proof/disasm"
	"github.com/teems-go/teems/internal/proof/prooftest"
	"github.com/teems-go/teems/internal/proof/rewrite"
)

var (
	size  = flag.Int("n", 16, "size of the cases")
	limit = flag.Int("limit", 10000, "most steps of a run")
)

// patience is how long one case may take.
const patience = 2 * time.Minute

// all wants the code of every function.
func all(string) bool { return true }

// runs steps through everything that the driver runs between marks, and gives
// the differences between the first run of a case and each of the others.
func runs(t *testing.T, d *rewrite.Driver, p *disasm.Program, secrets int, args []string, judge func(name, difference string, steps int)) {
	t.Helper()
	args = append([]string{"step", "--pairs", strconv.Itoa(secrets)}, args...)
	cmd := exec.Command(d.Path, args...)
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(p, cmd)
	if err != nil {
		t.Fatal(err)
	}
	// Better a failure than a test that hangs.
	watchdog := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	names := make(chan string, 100000)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			names <- lines.Text()
		}
		close(names)
	}()
	for {
		more, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		watchdog.Reset(patience)
		name := <-names
		for strings.HasPrefix(name, "never") {
			t.Errorf("%s", name)
			name = <-names
		}
		var first []Step
		difference := ""
		for i := range secrets {
			if i > 0 {
				if more, err := s.Next(); err != nil || !more {
					t.Fatal(name, more, err)
				}
			}
			if difference != "" { // found: no need to look on
				err = s.Skip()
			} else {
				first, difference, err = compare(s, name, first)
			}
			if err == nil {
				err = s.Resume()
			}
			if err != nil {
				t.Fatal(name, err)
			}
		}
		judge(name, difference, len(first))
	}
	for name := range names {
		if strings.HasPrefix(name, "never") {
			t.Errorf("%s", name)
		}
	}
}

// compare takes the next sequence and compares it with the first, if there is
// one. Of a planted leak it takes what comes after the function's entry.
func compare(s *Stepper, name string, first []Step) ([]Step, string, error) {
	most := *limit
	if f := strings.Fields(name); f[0] == "mutant" {
		most = 1000
		if ok, err := s.Reach(f[1]); err != nil || !ok {
			return first, "", err
		}
	}
	steps, err := s.Take(most)
	if first == nil || err != nil {
		return steps, "", err
	}
	return first, s.Difference(first, steps), nil
}

// TestSteps: under two secrets every primitive does the same instructions on
// the same addresses, with all kernels that the machine has.
func TestSteps(t *testing.T) {
	d, p := prooftest.Load(t, rewrite.Options{}, all)
	for _, kernels := range []string{"portable", "AVX2", "AVX-512"} {
		cases, total, cut := 0, 0, 0
		if exec.Command(d.Path, "list", "--kernels", kernels).Run() != nil {
			t.Logf("this machine has no %s kernels", kernels)
			continue
		}
		runs(t, d, p, 2, []string{"--kernels", kernels, "--n", strconv.Itoa(*size)}, func(name, difference string, steps int) {
			if difference != "" {
				t.Errorf("%s kernels: %s: %s", kernels, name, difference)
			}
			cases++
			total += steps
			if steps == *limit {
				cut++
			}
		})
		t.Logf("%s kernels: %d cases, %d steps; %d cases cut at %d steps", kernels, cases, total, cut, *limit)
	}
}

// TestPlanted: leaks in assembly, and in what only AVX-512 kernels run, are seen
// and their function is named.
func TestPlanted(t *testing.T) {
	d, p := prooftest.Load(t, rewrite.Options{Mutants: true}, all)
	// From this seed on draws are of full range, so that the words looked at differ.
	args := []string{"--mutants", d.MutantsFile, "--seed", "10"}
	planted, caught := 0, 0
	runs(t, d, p, 4, args, func(name, difference string, steps int) {
		planted++
		function := strings.Fields(name)[1]
		if strings.Contains(difference, " "+function+" ") {
			caught++
		} else {
			t.Errorf("not caught: %s: %s (%d steps)", name, difference, steps)
		}
	})
	t.Logf("planted %d, caught %d", planted, caught)
	if planted == 0 {
		t.Error("no leak was planted")
	}
}
