// Package platform opens the TEE that the program was built for. A build tag
// chooses it, so that a measured binary links the issuer of one TEE and cannot
// be talked into another one:
//
//	go build -tags teems_sgx ./cmd/teems-server   SGX through Gramine
//	go build -tags teems_tdx ./cmd/teems-server   TDX through configfs-tsm
//	go build -tags teems_snp ./cmd/teems-server   SEV-SNP through configfs-tsm
//	go build ./cmd/teems-server                   the simulated TEE, which protects nothing
//
// [TEE] is the one chosen. [Open] fails where it is not there: nothing falls
// back to another TEE. Two of the tags together do not compile.
package platform

import (
	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
)

// Open returns the TEE that this program runs in. The collateral goes with
// each piece of evidence; nil gives none. On a real TEE a first report is made
// to learn the measurement.
func Open(collateral bundle.Source) (attest.Platform, error) { return open(collateral) }
