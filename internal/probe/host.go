package probe

import (
	"os"
	"runtime"

	"github.com/klauspost/cpuid/v2"
)

// ThisHost is the machine that the program runs on.
func ThisHost() Host {
	c := cpuid.CPU
	h := Host{
		Files: os.DirFS("/"), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Limit: limit, Tracked: Tracked,
		CPU: CPU{
			Name: c.BrandName, SGX1: c.SGX.SGX1Supported, SGX2: c.SGX.SGX2Supported, FLC: c.SGX.LaunchControl,
			TDXGuest: c.Has(cpuid.TDX_GUEST), SEVSNP: c.Has(cpuid.SEV_SNP),
		},
	}
	for _, s := range c.SGX.EPCSections {
		h.CPU.EPC = append(h.CPU.EPC, s.EPCSize)
	}
	return h
}
