// Package collateral fetches what Intel and AMD publish of platforms, for
// servers that never open a connection for it: TCB info, identities of quoting
// enclaves, certificates of platforms' keys, revocation lists.
//
// It is the untrusted helper of package bundle, and runs outside of TEEs. What
// it stores it has verified as far as that goes without a fresh report: signed
// under the vendor's root, current, and of the platform. A mirror can therefore
// do no more than refuse service, or give what is older; and what is older than
// what is there already is not taken.
//
// A file that it renews is replaced whole or not at all. What cannot be fetched
// stays as it was for as long as that is good, and the report says how long that
// is. It does not judge: whether a platform's TCB is acceptable is for a policy.
package collateral

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
	"github.com/teems-go/teems/attest/sgx"
	"github.com/teems-go/teems/attest/snp"
	"github.com/teems-go/teems/attest/tdx"
)

// Kinds of errors, for errors.Is.
var (
	ErrPlatform = errors.New("collateral: which platform is it")
	ErrFetch    = errors.New("collateral: it cannot be fetched")
	ErrWrong    = errors.New("collateral: what came is not what was asked for")
	ErrExpired  = errors.New("collateral: there is none that is good now")
	// ErrRefused is of evidence that is not genuine with collateral that is good:
	// the platform, or its evidence, has to be looked at.
	ErrRefused = errors.New("collateral: the vendor's word is against this platform")
)

// Platform says of which platform collateral is wanted.
type Platform struct {
	TEE   string // attest.SGX, TDX or SNP
	Intel intel.Family
	AMD   snp.Key
	// Endorsement is the certificate of the platform's key, if the evidence, or
	// whoever runs the host, gave it. AMD's service gives no VLEK.
	Endorsement []byte

	issuer   *x509.Certificate // of the platform's certificate, on SGX and TDX
	evidence attest.Evidence   // empty: none was given
}

// String names the platform the way that the services do.
func (p Platform) String() string {
	if p.TEE != attest.SNP {
		return fmt.Sprintf("%s, FMSPC %s, CA %s", p.TEE, p.Intel.FMSPC, p.Intel.CA)
	}
	kind := "VCEK of chip " + hex.EncodeToString(p.AMD.HardwareID())
	if p.AMD.VLEK {
		kind = "VLEK"
	}
	return fmt.Sprintf("snp, %s, %s, firmware %+v", p.AMD.Product, kind, p.AMD.TCB)
}

// Of reads the platform from evidence, which it does not verify. The product is
// needed for SEV-SNP reports that do not name it; else it may be "".
func Of(e attest.Evidence, product string) (Platform, error) {
	b, err := bundle.Parse(e.Raw)
	if e.TEE == attest.SimulatedTEE {
		return Platform{}, fmt.Errorf("%w: simulated evidence needs no collateral, and protects nothing", ErrPlatform)
	}
	if err != nil {
		return Platform{}, fmt.Errorf("%w: %w", ErrPlatform, err)
	}
	p := Platform{TEE: e.TEE, evidence: e}
	var q *intel.Quote
	switch e.TEE {
	case attest.SGX:
		q, _, err = sgx.ParseQuote(b.Report)
	case attest.TDX:
		q, _, err = tdx.ParseQuote(b.Report)
	case attest.SNP:
		var r *snp.Report
		if r, err = snp.ParseReport(b.Report); err == nil {
			p.AMD, err = snp.KeyOf(r, product)
		}
		p.Endorsement = b.Endorsement
	default:
		err = fmt.Errorf("%w: evidence of %q", attest.ErrUnknownTEE, e.TEE)
	}
	if err == nil && q != nil {
		p.Intel, p.issuer, err = intel.FamilyOf(q)
	}
	if err != nil {
		return Platform{}, fmt.Errorf("%w: %w", ErrPlatform, err)
	}
	return p, nil
}

// Check says what is wrong with a platform that somebody typed.
func (p Platform) Check() error {
	bad := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrPlatform}, a...)...)
	}
	switch p.TEE {
	case attest.SGX, attest.TDX:
		if b, err := hex.DecodeString(p.Intel.FMSPC); err != nil || len(b) != 6 || strings.ToLower(p.Intel.FMSPC) != p.Intel.FMSPC {
			return bad("the FMSPC %.40q is not 6 bytes in lower-case hexadecimal", p.Intel.FMSPC)
		}
		if p.Intel.CA != intel.CAPlatform && p.Intel.CA != intel.CAProcessor {
			return bad("the authority %.40q is neither %q (servers with several sockets, and all newer ones) nor %q", p.Intel.CA, intel.CAPlatform, intel.CAProcessor)
		}
	case attest.SNP:
		if p.AMD.Product != snp.Milan && p.AMD.Product != snp.Genoa && p.AMD.Product != snp.Turin {
			return bad("the product %.40q is none of %s, %s, %s", p.AMD.Product, snp.Milan, snp.Genoa, snp.Turin)
		}
		if p.AMD.VLEK && len(p.Endorsement) == 0 {
			return bad("AMD gives VLEK certificates to cloud providers only: get this host's from the provider (it is in the host's certificate table), and give the file")
		}
		if !p.AMD.VLEK && p.AMD.Chip == [64]byte{} && len(p.Endorsement) == 0 {
			return bad("there is no chip ID: it is in the evidence, or the host masks it")
		}
	default:
		return bad("%.40q needs no collateral: choose sgx, tdx or snp", p.TEE)
	}
	return nil
}

// Roots are what everything is verified under: the vendors', but in tests.
type Roots struct {
	Intel *x509.Certificate
	AMD   []snp.Root
}

// VendorRoots are those of Intel and AMD.
func VendorRoots() Roots { return Roots{Intel: intel.Root(), AMD: snp.Roots()} }

// verify appraises the evidence that the platform was read from with collateral.
func (r Roots) verify(e attest.Evidence, b bundle.Bundle, now time.Time) (attest.Claims, error) {
	own, err := bundle.Parse(e.Raw)
	if err != nil {
		return attest.Claims{}, err
	}
	e.Raw = bundle.Bundle{Report: own.Report}.Or(b).Encode()
	return attest.Verifiers{
		attest.SGX: sgx.NewTestVerifier(r.Intel, bundle.Bundle{}),
		attest.TDX: tdx.NewTestVerifier(r.Intel, bundle.Bundle{}),
		attest.SNP: snp.NewTestVerifier(r.AMD, bundle.Bundle{}),
	}.Verify(e, now)
}

// parts checks each part by itself.
func (r Roots) parts(p Platform, b bundle.Bundle, now time.Time) []bundle.Part {
	if p.TEE == attest.SNP {
		return snp.CheckCollateral(r.AMD, p.AMD, b, now)
	}
	return intel.CheckCollateral(r.Intel, p.TEE, p.Intel, p.issuer, b, now)
}

// About guesses, for people, of which platform collateral is; whatever is wrong
// with it, examining it says.
func About(b bundle.Bundle) (Platform, error) {
	if len(b.Endorsement) > 0 {
		return Endorsed(VendorRoots(), b.Endorsement, [64]byte{})
	}
	var info struct {
		TCBInfo struct {
			ID    string `json:"id"`
			FMSPC string `json:"fmspc"`
		} `json:"tcbInfo"`
	}
	l, err := x509.ParseRevocationList(b.PCKCRL)
	if e := json.Unmarshal(b.TCBInfo, &info); err != nil || e != nil {
		return Platform{}, fmt.Errorf("%w: there is neither TCB info with a platforms' list nor the certificate of a platform's key", ErrPlatform)
	}
	p := Platform{TEE: strings.ToLower(info.TCBInfo.ID), Intel: intel.Family{FMSPC: strings.ToLower(info.TCBInfo.FMSPC), CA: intel.CAPlatform}}
	if strings.Contains(l.Issuer.CommonName, "Processor") {
		p.Intel.CA = intel.CAProcessor
	}
	return p, p.Check()
}
