package probe

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/teems-go/teems/attest/probe"
)

// TEE is what there is of one kind of TEE.
type TEE struct {
	Kind      string   `json:"kind"`
	Available bool     `json:"available"` // a server could run in it here, now
	Features  []string `json:"features,omitempty"`
	Devices   []string `json:"devices,omitempty"`
	EPC       []uint64 `json:"epc,omitempty"` // bytes, SGX only

	// Usable: a program that runs where this one does could make evidence; Why
	// says what was found or is missing, Hint what could be done about it.
	Usable bool   `json:"usable"`
	Why    string `json:"why"`
	Hint   string `json:"hint,omitempty"`
}

func (t TEE) String() string {
	state := "not available"
	if t.Available {
		state = "available"
	}
	parts := append([]string{state}, t.Features...)
	if len(t.EPC) > 0 {
		var sum uint64
		for _, n := range t.EPC {
			sum += n
		}
		parts = append(parts, fmt.Sprintf("EPC %s in %d sections", size(sum), len(t.EPC)))
	}
	return t.Kind + ": " + strings.Join(append(parts, t.Devices...), ", ")
}

// tees looks for every kind of TEE.
func (h Host) tees() []TEE {
	tsm := h.exists("sys/kernel/config/tsm/report")
	sgx := TEE{Kind: "SGX", EPC: h.CPU.EPC, Devices: h.devices("dev/sgx_enclave", "dev/sgx/enclave", "dev/sgx_provision", "dev/sgx/provision")}
	sgx.feature(h.CPU.SGX1, "SGX1")
	sgx.feature(h.CPU.SGX2, "SGX2")
	sgx.feature(h.CPU.FLC, "FLC")
	sgx.Available = h.CPU.SGX1 && len(h.CPU.EPC) > 0 && (h.exists("dev/sgx_enclave") || h.exists("dev/sgx/enclave"))

	tdx := TEE{Kind: "TDX", Devices: h.devices("dev/tdx_guest", "dev/tdx-guest", "dev/tdx_attest")}
	tdx.feature(h.CPU.TDXGuest, "this is a guest")
	tdx.feature(h.on("sys/module/kvm_intel/parameters/tdx"), "KVM can host guests")
	tdx.feature(tsm, "configfs-tsm")
	tdx.Available = h.CPU.TDXGuest && (tsm || len(tdx.Devices) > 0)

	snp := TEE{Kind: "SEV-SNP", Devices: h.devices("dev/sev-guest", "dev/sev")}
	snp.feature(h.CPU.SEVSNP, "the processor has it")
	snp.feature(h.on("sys/module/kvm_amd/parameters/sev_snp"), "KVM can host guests")
	snp.feature(tsm, "configfs-tsm")
	snp.Available = h.exists("dev/sev-guest")
	all := []TEE{sgx, tdx, snp, {Kind: "simulated", Available: true, Features: []string{"for development and experiments, protects nothing"}}}
	for i, b := range probe.Machine(h.Files) { // in the same order
		all[i].Usable, all[i].Why, all[i].Hint = b.Usable, b.Why, b.Hint
	}
	return all
}

// reason is why a TEE can be used from here or not, and what to do.
func (t TEE) reason() string {
	if t.Hint == "" {
		return t.Why
	}
	return t.Why + "; " + t.Hint
}

func (t *TEE) feature(there bool, name string) {
	if there {
		t.Features = append(t.Features, name)
	}
}

// on tells whether a module's parameter is switched on.
func (h Host) on(path string) bool {
	v := h.line(path)
	return v == "Y" || v == "1"
}

func (h Host) devices(paths ...string) []string {
	var out []string
	for _, p := range paths {
		if info, err := fs.Stat(h.Files, p); err == nil && !info.IsDir() {
			out = append(out, "/"+p)
		}
	}
	return out
}
