// Package verifiers puts together the verifiers of all TEEs that there are, so
// that no program forgets one. What is accepted is for a policy to say.
package verifiers

import (
	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/sgx"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/attest/snp"
	"github.com/teems-go/teems/attest/tdx"
)

// All returns the verifiers of SGX, TDX, SEV-SNP and the simulated TEE, under
// the vendors' roots and the published simulated one. Collateral that
// evidence lacks is taken from intel or amd, which may be empty.
func All(intel, amd bundle.Bundle) attest.Verifiers {
	return attest.Verifiers{
		attest.SGX:          sgx.NewVerifier(intel),
		attest.TDX:          tdx.NewVerifier(intel),
		attest.SNP:          snp.NewVerifier(amd),
		attest.SimulatedTEE: simulated.NewVerifier(),
	}
}
