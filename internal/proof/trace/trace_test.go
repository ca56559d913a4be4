//go:build linux && amd64

// Package trace has tests only: for pairs of secrets of one public shape,
// everything that a primitive or a role touches - every block of code, index,
// offset and length, and every kernel call with its addresses - is the same.
// The sources that run are rewritten to tell of it.
package trace

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/teems-go/teems/internal/proof/prooftest"
	"github.com/teems-go/teems/internal/proof/rewrite"
)

var pairs = flag.Int("pairs", 1000, "pairs of secrets for every case")

// drive runs the driver; its output is the test's.
func drive(t *testing.T, d *rewrite.Driver, args ...string) bool {
	t.Helper()
	cmd := exec.Command(d.Path, append([]string{"trace", "--sites", d.SitesFile}, args...)...)
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	return err == nil
}

func build(t *testing.T, o rewrite.Options) *rewrite.Driver {
	t.Helper()
	o.Trace, o.Tags = true, append(o.Tags, "trace")
	return prooftest.Build(t, o)
}

// TestTraces: with the flag -pairs as many as one likes.
func TestTraces(t *testing.T) {
	t.Parallel()
	d := build(t, rewrite.Options{})
	if !drive(t, d, "--pairs", strconv.Itoa(*pairs), "--kernels", "portable") {
		t.Error("traces depend on secrets, portable kernels")
	}
	// The Go code around vector kernels is other code.
	if !drive(t, d, "--pairs", strconv.Itoa(*pairs)) {
		t.Error("traces depend on secrets, this machine's best kernels")
	}
}

// TestPlanted: every leak that is planted in Go code is seen, and its function
// named. Leaks in assembly are package step's.
func TestPlanted(t *testing.T) {
	t.Parallel()
	d := build(t, rewrite.Options{Mutants: true})
	if !drive(t, d, "--mutants", d.MutantsFile) {
		t.Error("a planted leak was not caught")
	}
}
