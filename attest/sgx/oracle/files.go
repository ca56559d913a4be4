package oracle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/teems-go/teems/attest/bundle"
)

const module = "github.com/oasisprotocol/oasis-core/go"

// folder returns the folder of the recorded files in Oasis Core's module.
func folder() (string, error) {
	b, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("where is the module %s: %w", module, err)
	}
	return filepath.Join(strings.TrimSpace(string(b)), "common", "sgx", "pcs", "testdata"), nil
}

// File returns one of Oasis Core's recorded files.
func File(name string) ([]byte, error) {
	dir, err := folder()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, name))
}

func load(report, tcb, qe string) (b bundle.Bundle, err error) {
	for _, f := range []struct {
		into *[]byte
		name string
	}{{&b.Report, report}, {&b.TCBInfo, tcb}, {&b.QEIdentity, qe}, {&b.TCBChain, "tcb_info_v3_fmspc_00606A000000_certs.pem"}} {
		if *f.into, err = File(f.name); err != nil {
			return b, err
		}
	}
	return b, nil
}

// SGX returns the recorded SGX quote with its collateral.
func SGX() (bundle.Bundle, error) {
	return load("quote_v3_ecdsa_p256_pck_chain.bin", "tcb_info_v3_fmspc_00606A000000.json", "qe_identity_v2.json")
}

// TDX returns the recorded TDX quote with its collateral.
func TDX() (bundle.Bundle, error) {
	return load("quote_v4_tdx_ecdsa_p256.bin", "tcb_info_v3_tdx_fmspc_C0806F000000.json", "qe_identity_v2_tdx2.json")
}

// OldTDX returns a recorded TDX quote whose platform is below every level of
// its collateral.
func OldTDX() (bundle.Bundle, error) {
	return load("quote_v4_tdx_ecdsa_p256_out_of_date.bin", "tcb_info_v3_tdx_fmspc_50806F000000.json", "qe_identity_v2_tdx.json")
}
