package platform

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/teems-go/teems/attest"
)

func TestOpen(t *testing.T) {
	p, err := Open(nil)
	if TEE != attest.SimulatedTEE {
		if err == nil {
			t.Skip("runs in ", TEE)
		}
		return // built for a TEE that is not here
	}
	if err != nil || len(p.Measurement()) != 32 {
		t.Fatal(p, err)
	}
	if e, err := p.Issue(attest.ReportData{1}); err != nil || e.TEE != TEE {
		t.Error(e.TEE, err)
	}
}

// Each build links its own issuer and no other.
func TestBuilds(t *testing.T) {
	const path = "github.com/teems-go/teems/attest/"
	for tags, want := range map[string]string{
		"": path + "simulated", "teems_sgx": path + "sgx", "teems_tdx": path + "tsm", "teems_snp": path + "tsm",
	} {
		out, err := exec.Command("go", "list", "-tags", tags, "-f", `{{join .Imports "\n"}}`, ".").CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", tags, err, out)
		}
		imports := strings.Fields(string(out))
		if !slices.Contains(imports, want) {
			t.Errorf("built with %q it does not import %s", tags, want)
		}
		for _, other := range []string{"simulated", "sgx", "tsm"} {
			if path+other != want && slices.Contains(imports, path+other) {
				t.Errorf("built with %q it imports %s", tags, other)
			}
		}
		if out, err := exec.Command("go", "build", "-tags", tags, ".").CombinedOutput(); err != nil {
			t.Errorf("built with %q: %s", tags, out)
		}
	}
	if err := exec.Command("go", "build", "-tags", "teems_sgx,teems_tdx", ".").Run(); err == nil {
		t.Error("two TEEs at once compile")
	}
}
