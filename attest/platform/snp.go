//go:build teems_snp

package platform

import (
	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/tsm"
)

// TEE is the name of the TEE that the program was built for.
const TEE = attest.SNP

func open(collateral bundle.Source) (attest.Platform, error) {
	c, err := tsm.Kernel()
	if err != nil {
		return nil, err
	}
	i, err := tsm.NewSNP(c, collateral, tsm.Device(tsm.DefaultDevice))
	if err != nil {
		return nil, err
	}
	return i, nil
}
