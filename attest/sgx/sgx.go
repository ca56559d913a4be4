// Package sgx is SGX: an issuer of evidence through the files that Gramine
// gives an enclave, and a verifier of version 3 ECDSA quotes on the standard
// library alone.
//
// The verifier guarantees what package intel does, and that the enclave is an
// initialised 64-bit one. What it finds in the enclave's attributes it claims:
// the debug bit as Debug, and access to provisioning or launch keys, or
// configuration that is not part of the measurement, as Unsafe.
//
// It does not know Gramine: which manifest and files an enclave has is in
// MRENCLAVE, because Gramine hashes them into it.
package sgx

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
)

const quoteVersion = 3

// Verifier verifies SGX evidence. Its zero value has no root and refuses all.
type Verifier struct {
	root     *x509.Certificate
	fallback bundle.Bundle
}

var _ attest.Verifier = (*Verifier)(nil)

// NewVerifier returns the verifier under Intel's root. Collateral that the
// evidence does not bring along is taken from fallback, which may be empty
// and is trusted no more than what the evidence brings.
func NewVerifier(fallback bundle.Bundle) *Verifier {
	return NewTestVerifier(intel.Root(), fallback)
}

// NewTestVerifier is like NewVerifier with another root, for tests. Whoever
// holds that root's key can make evidence for anything.
func NewTestVerifier(root *x509.Certificate, fallback bundle.Bundle) *Verifier {
	return &Verifier{root: root, fallback: fallback}
}

// ParseQuote reads a quote without verifying anything.
func ParseQuote(raw []byte) (*intel.Quote, *intel.EnclaveReport, error) {
	q, body, err := intel.ParseQuote(raw, quoteVersion, intel.TypeSGX, intel.ReportBytes)
	if err != nil {
		return nil, nil, err
	}
	r, err := intel.ParseEnclaveReport(body)
	return q, r, err
}

// Verify implements [attest.Verifier].
func (v *Verifier) Verify(e attest.Evidence, now time.Time) (attest.Claims, error) {
	if v == nil || v.root == nil {
		return attest.Claims{}, fmt.Errorf("%w: the SGX verifier has no root: make it with NewVerifier", attest.ErrNoVerifier)
	}
	if e.TEE != attest.SGX {
		return attest.Claims{}, fmt.Errorf("%w: evidence of %q given to the verifier of SGX", attest.ErrUnknownTEE, e.TEE)
	}
	b, err := bundle.Parse(e.Raw)
	if err == nil {
		err = b.Only(true)
	}
	if err != nil {
		return attest.Claims{}, err
	}
	q, r, err := ParseQuote(b.Report)
	if err != nil {
		return attest.Claims{}, err
	}
	result, err := intel.Verify(v.root, q, b.Or(v.fallback), now)
	if err != nil {
		return attest.Claims{}, err
	}
	if r.Flags&intel.FlagInit == 0 || r.Flags&intel.FlagMode64 == 0 {
		return attest.Claims{}, fmt.Errorf("%w: the enclave is not an initialised 64-bit one", attest.ErrNotGenuine)
	}
	c := claims(r)
	result.Claim(&c)
	return c, nil
}

func claims(r *intel.EnclaveReport) attest.Claims {
	c := attest.Claims{
		TEE:         attest.SGX,
		Measurement: append(attest.Measurement(nil), r.MREnclave[:]...),
		Signer:      append(attest.Measurement(nil), r.MRSigner[:]...),
		ReportData:  r.ReportData,
		Debug:       r.Flags&intel.FlagDebug != 0,
		Product:     r.ProdID,
		SVN:         uint32(r.SVN),
		Details: []attest.Detail{
			{Name: "CPU SVN", Value: hex.EncodeToString(r.CPUSVN[:])},
			{Name: "attributes", Value: fmt.Sprintf("%#x, XFRM %#x, MISCSELECT %#x", r.Flags, r.XFRM, r.MiscSelect)},
		},
	}
	if r.Flags&(intel.FlagProvisionKey|intel.FlagLaunchKey) != 0 {
		c.Unsafe = append(c.Unsafe, "the enclave has access to provisioning or launch keys, which no server needs")
	}
	if r.ConfigID != [64]byte{} || r.ConfigSVN != 0 {
		c.Unsafe = append(c.Unsafe, "the enclave was given a configuration that is not part of its measurement")
	}
	return c
}
