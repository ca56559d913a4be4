// Package probe says which TEEs this machine can use, and why not the others:
// from device files, configfs and what the kernel says of the processor. It
// starts nothing and asks no firmware, so that a TEE which it calls usable may
// still fail to make evidence.
package probe

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/sgx"
)

// Backend is what there is to say of one TEE.
type Backend struct {
	TEE    string `json:"tee"`
	Usable bool   `json:"usable"`
	Why    string `json:"why"`            // what was found, or what is missing
	Hint   string `json:"hint,omitempty"` // what could be done about it
}

// The files that tell, below the root.
const (
	gramine     = "dev/attestation"
	configfsTSM = "sys/kernel/config/tsm/report"
	cpuInfo     = "proc/cpuinfo"
)

// Machine examines the file system of a machine, os.DirFS("/") but for tests.
// The order is fixed: SGX, TDX, SEV-SNP, simulated.
func Machine(root fs.FS) []Backend {
	m := machine{root: root, flags: flags(root)}
	return []Backend{
		m.sgx(),
		m.guest(attest.TDX, "TDX", "dev/tdx_guest", "tdx_guest", "sys/module/kvm_intel/parameters/tdx"),
		m.guest(attest.SNP, "SEV-SNP", "dev/sev-guest", "sev_snp", "sys/module/kvm_amd/parameters/sev_snp"),
		{TEE: attest.SimulatedTEE, Usable: true, Why: "needs nothing, and PROTECTS NOTHING: for development only"},
	}
}

type machine struct {
	root  fs.FS
	flags []string
}

func (m machine) exists(names ...string) bool {
	for _, n := range names {
		if _, err := fs.Stat(m.root, n); err == nil {
			return true
		}
	}
	return false
}

// on reports whether a module's parameter is on.
func (m machine) on(name string) bool {
	b, err := fs.ReadFile(m.root, name)
	s := strings.TrimSpace(string(b))
	return err == nil && (s == "Y" || s == "1")
}

func (m machine) sgx() Backend {
	b := Backend{TEE: attest.SGX}
	if sub, err := fs.Sub(m.root, gramine); err == nil && m.exists(gramine) {
		if err := sgx.Available(sub); err != nil {
			b.Why, b.Hint = err.Error(), "build the enclave with DCAP attestation; see docs/tees.md"
			return b
		}
		b.Usable, b.Why = true, "runs in a Gramine enclave with DCAP attestation (/"+gramine+")"
		return b
	}
	switch {
	case m.exists("dev/sgx_enclave", "dev/sgx/enclave"):
		b.Why = "the machine has SGX (/dev/sgx_enclave), but this program does not run in an enclave: there is no /" + gramine
		b.Hint = "start it with gramine-sgx"
		if !m.exists("dev/sgx_provision", "dev/sgx/provision") {
			b.Hint = "start it with gramine-sgx; /dev/sgx_provision is missing as well, without which there are no quotes"
		}
	case slices.Contains(m.flags, "sgx"):
		b.Why = "the processor has SGX, but the kernel gives no device for it (/dev/sgx_enclave)"
		b.Hint = "enable SGX in the firmware's setup, and flexible launch control; use Linux 5.11 or newer"
	default:
		b.Why = "the processor has no SGX, or the firmware's setup or a hypervisor hides it (no flag sgx in /" + cpuInfo + ")"
	}
	return b
}

// guest examines one of the two TEEs that are virtual machines.
func (m machine) guest(tee, name, device, flag, host string) Backend {
	b := Backend{TEE: tee}
	inside := m.exists(device) || slices.Contains(m.flags, flag) && slices.Contains(m.flags, "hypervisor")
	switch {
	case inside && m.exists(configfsTSM):
		b.Usable, b.Why = true, "runs in a "+name+" guest, and the kernel has configfs-tsm (/"+configfsTSM+")"
		if tee == attest.SNP {
			b.Hint = "policies accept it only with ciphertext hiding, which its first evidence will show"
		}
	case inside:
		b.Why = "runs in a " + name + " guest, but there is no configfs-tsm (/" + configfsTSM + ")"
		b.Hint = "use Linux 6.7 or newer, load the module of /" + device + ", mount configfs on /sys/kernel/config"
	case m.on(host):
		b.Why = "the machine can host " + name + " guests (/" + host + "), but this program does not run in one"
		b.Hint = "start it in such a guest; see docs/tees.md"
		if tee == attest.SNP && !m.exists("sys/module/kvm_amd/parameters/ciphertext_hiding_asids") {
			b.Hint += "; the kernel knows no ciphertext hiding, without which no policy accepts the guest"
		}
	default:
		b.Why = "does not run in a " + name + " guest (no /" + device + "), and the machine hosts none (/" + host + " is not on)"
	}
	return b
}

// flags returns what the kernel says that the first processor can do.
func flags(root fs.FS) []string {
	b, err := fs.ReadFile(root, cpuInfo)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "flags" {
			return strings.Fields(value)
		}
	}
	return nil
}
