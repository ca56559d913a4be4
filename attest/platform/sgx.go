//go:build teems_sgx

package platform

import (
	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/sgx"
)

// TEE is the name of the TEE that the program was built for.
const TEE = attest.SGX

func open(collateral bundle.Source) (attest.Platform, error) {
	i, err := sgx.NewIssuer(sgx.DefaultFolder, collateral)
	if err != nil {
		return nil, err
	}
	return i, nil
}
