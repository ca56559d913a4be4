//go:build !teems_sgx && !teems_tdx && !teems_snp

package platform

import (
	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/simulated"
)

// TEE is the name of the TEE that the program was built for.
const TEE = attest.SimulatedTEE

func open(bundle.Source) (attest.Platform, error) {
	m, err := simulated.MeasureSelf()
	if err != nil {
		return nil, err
	}
	return simulated.NewIssuer(m), nil
}
