//go:build linux && amd64

// Package timing has one test only, which runs on demand: statistics of the
// times of all primitives, as compiled for release, on two classes of secrets.
//
//	go test ./internal/proof/timing -run Dudect -samples 1000000 -v
//
// A shared or noisy machine makes it fail without cause; equal times on one
// machine prove nothing about another. The other checks are the ones to rely on.
package timing

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/teems-go/teems/internal/proof/prooftest"
	"github.com/teems-go/teems/internal/proof/rewrite"
)

var (
	samples = flag.Int("samples", 0, "measurements of each function; 0: just see that the test works")
	only    = flag.String("case", "", "measure this case alone")
	size    = flag.Int("n", 64, "size of the cases")
	kernels = flag.String("kernels", "", "measure these kernels alone: portable, AVX2 or AVX-512")
)

func TestDudect(t *testing.T) {
	d := prooftest.Build(t, rewrite.Options{})
	bodies := []string{"portable", "AVX2", "AVX-512"}
	if *kernels != "" {
		bodies = []string{*kernels}
	}
	for _, b := range bodies {
		if exec.Command(d.Path, "list", "--kernels", b).Run() != nil {
			t.Logf("this machine has no %s kernels", b)
			continue
		}
		cmd := exec.Command(d.Path, "time", "--kernels", b, "--samples", strconv.Itoa(max(*samples, 100)), "--case", *only, "--n", strconv.Itoa(*size))
		cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1")
		out, err := cmd.CombinedOutput()
		t.Logf("%s kernels\n%s", b, out)
		if err != nil && *samples > 0 {
			t.Errorf("with %s kernels times differ", b)
		}
	}
}
