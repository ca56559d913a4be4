package attesttest

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/sgx"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/attest/snp"
	"github.com/teems-go/teems/attest/tdx"
)

// Vendors are a fake Intel and a fake AMD, for clusters of mixed TEEs. The
// simulated TEE is the real one.
type Vendors struct {
	Intel *Intel
	AMD   *AMD
}

// NewVendors returns vendors whose platforms are up to date at now.
func NewVendors(now time.Time) *Vendors { return &Vendors{NewIntel(now), NewAMD(now)} }

// Verifiers verify the evidence of all their platforms.
func (v *Vendors) Verifiers() attest.Verifiers {
	return attest.Verifiers{
		attest.SGX:          sgx.NewTestVerifier(v.Intel.Root(), bundle.Bundle{}),
		attest.TDX:          tdx.NewTestVerifier(v.Intel.Root(), bundle.Bundle{}),
		attest.SNP:          snp.NewTestVerifier(v.AMD.Roots(), bundle.Bundle{}),
		attest.SimulatedTEE: simulated.NewVerifier(),
	}
}

// Platform is a TEE that runs the program of a number; it seals if that kind
// does.
func (v *Vendors) Platform(tee string, program byte) attest.Platform {
	switch tee {
	case attest.SGX:
		return v.Intel.SGX(NewEnclave([32]byte{program}))
	case attest.TDX:
		return v.Intel.TDX(NewTD([48]byte{program}))
	case attest.SNP:
		return v.AMD.SNP(NewGuest([48]byte{program}))
	}
	return simulated.NewIssuer([32]byte{program})
}

// Policy accepts programs on the TEEs, which may be named more than once, and of
// those the platforms of these vendors only.
func (v *Vendors) Policy(tees []string, programs ...byte) attest.Policy {
	p := attest.Policy{Measurements: map[string][]attest.Measurement{}}
	signer := sha256.Sum256([]byte("signer"))
	rules := attest.IntelRules{
		Platforms: []string{hex.EncodeToString(v.Intel.PPID)}, TCBStatuses: []attest.TCBStatus{attest.UpToDate},
		MinTCBEvaluation: v.Intel.Evaluation, MinTCBDate: v.Intel.LevelDate[:10],
	}
	for _, tee := range tees {
		if p.Measurements[tee] != nil {
			continue
		}
		for _, n := range programs {
			p.Measurements[tee] = append(p.Measurements[tee], v.Platform(tee, n).Measurement())
		}
		switch tee {
		case attest.SGX:
			p.SGX = &attest.SGXRules{Signers: []string{hex.EncodeToString(signer[:])}, IntelRules: rules}
		case attest.TDX:
			p.TDX = &attest.TDXRules{IntelRules: rules}
		case attest.SNP:
			p.SNP = &attest.SNPRules{Signers: []string{attest.None}, Platforms: []string{hex.EncodeToString(v.AMD.Chip[:])}, MinTCB: v.AMD.TCB}
		case attest.SimulatedTEE:
			p.AllowSimulatedTEEThatProtectsNothing = true
		}
	}
	return p
}
