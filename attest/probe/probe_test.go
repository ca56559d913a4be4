package probe_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/probe"
)

func TestMachine(t *testing.T) {
	const cpu = "processor : 0\nflags\t\t: fpu "
	for name, x := range map[string]struct {
		files  map[string]string
		usable string
		says   map[string]string
	}{
		"nothing":                     {nil, "simulated", map[string]string{"sgx": "no SGX", "tdx": "does not run in a TDX guest", "snp": "does not run in a SEV-SNP guest", "simulated": "PROTECTS NOTHING"}},
		"Gramine":                     {map[string]string{"dev/attestation/attestation_type": "dcap", "dev/attestation/quote": "", "dev/attestation/user_report_data": ""}, "sgx simulated", map[string]string{"sgx": "Gramine"}},
		"Gramine without attestation": {map[string]string{"dev/attestation/attestation_type": "none"}, "simulated", map[string]string{"sgx": "without attestation"}},
		"SGX machine":                 {map[string]string{"dev/sgx_enclave": "", "dev/sgx_provision": ""}, "simulated", map[string]string{"sgx": "does not run in an enclave"}},
		"SGX, no provisioning":        {map[string]string{"dev/sgx_enclave": ""}, "simulated", map[string]string{"sgx": "sgx_provision"}},
		"SGX processor":               {map[string]string{"proc/cpuinfo": cpu + "sgx\n"}, "simulated", map[string]string{"sgx": "no device"}},
		"TDX guest":                   {map[string]string{"dev/tdx_guest": "", "sys/kernel/config/tsm/report/x": ""}, "tdx simulated", map[string]string{"tdx": "configfs-tsm"}},
		"TDX guest by flag":           {map[string]string{"proc/cpuinfo": cpu + "hypervisor tdx_guest\n", "sys/kernel/config/tsm/report/x": ""}, "tdx simulated", nil},
		"TDX guest, old kernel":       {map[string]string{"dev/tdx_guest": ""}, "simulated", map[string]string{"tdx": "no configfs-tsm"}},
		"TDX host":                    {map[string]string{"sys/module/kvm_intel/parameters/tdx": "Y\n"}, "simulated", map[string]string{"tdx": "can host TDX guests"}},
		"SNP guest":                   {map[string]string{"dev/sev-guest": "", "sys/kernel/config/tsm/report/x": ""}, "snp simulated", map[string]string{"snp": "ciphertext hiding"}},
		"SNP host":                    {map[string]string{"sys/module/kvm_amd/parameters/sev_snp": "Y\n", "proc/cpuinfo": cpu + "sev_snp\n"}, "simulated", map[string]string{"snp": "knows no ciphertext hiding"}},
		"SNP off":                     {map[string]string{"sys/module/kvm_amd/parameters/sev_snp": "N\n"}, "simulated", map[string]string{"snp": "hosts none"}},
	} {
		root := fstest.MapFS{}
		for n, s := range x.files {
			root[n] = &fstest.MapFile{Data: []byte(s)}
		}
		var usable []string
		for i, b := range probe.Machine(root) {
			if b.Usable {
				usable = append(usable, b.TEE)
			}
			if b.TEE != []string{attest.SGX, attest.TDX, attest.SNP, attest.SimulatedTEE}[i] || b.Why == "" {
				t.Errorf("%s: %+v", name, b)
			}
			if want := x.says[b.TEE]; !strings.Contains(b.Why+" "+b.Hint, want) {
				t.Errorf("%s: %+v does not say %q", name, b, want)
			}
		}
		if got := strings.Join(usable, " "); got != x.usable {
			t.Errorf("%s: usable are %s", name, got)
		}
	}
	for _, b := range probe.Machine(os.DirFS("/")) {
		t.Logf("%s: %v: %s (%s)", b.TEE, b.Usable, b.Why, b.Hint)
	}
}
