// Package tdx is TDX: a verifier of version 4 ECDSA quotes on the standard
// library, and an issuer through Linux configfs-tsm.
//
// # Measurement
//
// A TD's initial measurement, MRTD, covers its firmware only; the kernel, its
// command line and the programs are in the run-time registers, and what the
// host chose at launch in further fields. [Measure] hashes all of them into
// the one measurement that a policy lists, so that nothing which changes what
// runs is left out.
//
// The verifier guarantees what package intel does, the TDX module's identity
// included. The debug bits become Debug; a TD that may be migrated, or which
// leaves faults on its memory to its host, is Unsafe.
package tdx

import (
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
)

const (
	quoteVersion = 4
	bodyBytes    = 584

	attributeDebug      = 0xff    // TUD, the bits of a TD under debug
	attributeSeptVE     = 1 << 28 // faults on private memory do not reach the TD
	attributeMigratable = 1 << 29
)

// Body is the part of a quote that the TDX module reports.
type Body struct {
	TCBSVN         [16]byte
	MRSEAM         [48]byte
	MRSignerSEAM   [48]byte
	SEAMAttributes [8]byte
	Attributes     uint64
	XFAM           uint64
	MRTD           [48]byte
	MRConfigID     [48]byte
	MROwner        [48]byte
	MROwnerConfig  [48]byte
	RTMR           [4][48]byte
	ReportData     [64]byte
}

func parseBody(b []byte) *Body {
	t := &Body{
		TCBSVN: [16]byte(b[0:]), MRSEAM: [48]byte(b[16:]), MRSignerSEAM: [48]byte(b[64:]), SEAMAttributes: [8]byte(b[112:]),
		Attributes: binary.LittleEndian.Uint64(b[120:]), XFAM: binary.LittleEndian.Uint64(b[128:]),
		MRTD: [48]byte(b[136:]), MRConfigID: [48]byte(b[184:]), MROwner: [48]byte(b[232:]), MROwnerConfig: [48]byte(b[280:]),
		ReportData: [64]byte(b[520:]),
	}
	for i := range t.RTMR {
		t.RTMR[i] = [48]byte(b[328+48*i:])
	}
	return t
}

// Parse reads a quote without verifying anything.
func Parse(raw []byte) (*Body, error) {
	_, body, err := ParseQuote(raw)
	return body, err
}

// ParseQuote is like Parse, and returns as well what the quote has in common
// with one of SGX.
func ParseQuote(raw []byte) (*intel.Quote, *Body, error) {
	q, b, err := intel.ParseQuote(raw, quoteVersion, intel.TypeTDX, bodyBytes)
	if err != nil {
		return nil, nil, err
	}
	body := parseBody(b)
	q.Module = &intel.Module{TCBSVN: body.TCBSVN, MRSigner: body.MRSignerSEAM, Attributes: body.SEAMAttributes}
	return q, body, nil
}

// Measure returns the measurement of a TD: SHA-384 over a label and, in this
// order, MRTD, the run-time registers 0 to 3, MRCONFIGID, MROWNER and
// MROWNERCONFIG, each 48 bytes, and the TD's attributes and XFAM, 8 bytes
// each, little-endian.
func Measure(b *Body) attest.Measurement {
	h := sha512.New384()
	h.Write([]byte("teems/1 tdx measurement\x00"))
	h.Write(b.MRTD[:])
	for _, r := range b.RTMR {
		h.Write(r[:])
	}
	h.Write(b.MRConfigID[:])
	h.Write(b.MROwner[:])
	h.Write(b.MROwnerConfig[:])
	var n [16]byte
	binary.LittleEndian.PutUint64(n[:], b.Attributes)
	binary.LittleEndian.PutUint64(n[8:], b.XFAM)
	h.Write(n[:])
	return h.Sum(nil)
}

// Verifier verifies TDX evidence. Its zero value has no root and refuses all.
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

// Verify implements [attest.Verifier].
func (v *Verifier) Verify(e attest.Evidence, now time.Time) (attest.Claims, error) {
	if v == nil || v.root == nil {
		return attest.Claims{}, fmt.Errorf("%w: the TDX verifier has no root: make it with NewVerifier", attest.ErrNoVerifier)
	}
	if e.TEE != attest.TDX {
		return attest.Claims{}, fmt.Errorf("%w: evidence of %q given to the verifier of TDX", attest.ErrUnknownTEE, e.TEE)
	}
	b, err := bundle.Parse(e.Raw)
	if err == nil {
		err = b.Only(true)
	}
	if err != nil {
		return attest.Claims{}, err
	}
	q, body, err := ParseQuote(b.Report)
	if err != nil {
		return attest.Claims{}, err
	}
	result, err := intel.Verify(v.root, q, b.Or(v.fallback), now)
	if err != nil {
		return attest.Claims{}, err
	}
	c := claims(body)
	result.Claim(&c)
	return c, nil
}

func claims(b *Body) attest.Claims {
	c := attest.Claims{
		TEE:         attest.TDX,
		Measurement: Measure(b),
		Signer:      append(attest.Measurement(nil), b.MRSignerSEAM[:]...),
		ReportData:  b.ReportData,
		Debug:       b.Attributes&attributeDebug != 0,
		Details: []attest.Detail{
			{Name: "MRTD", Value: hex.EncodeToString(b.MRTD[:])},
			{Name: "RTMR 0", Value: hex.EncodeToString(b.RTMR[0][:])},
			{Name: "RTMR 1", Value: hex.EncodeToString(b.RTMR[1][:])},
			{Name: "RTMR 2", Value: hex.EncodeToString(b.RTMR[2][:])},
			{Name: "RTMR 3", Value: hex.EncodeToString(b.RTMR[3][:])},
			{Name: "TDX module", Value: hex.EncodeToString(b.MRSEAM[:])},
			{Name: "TEE TCB SVN", Value: hex.EncodeToString(b.TCBSVN[:])},
			{Name: "attributes", Value: fmt.Sprintf("%#x, XFAM %#x", b.Attributes, b.XFAM)},
		},
	}
	if b.Attributes&attributeMigratable != 0 {
		c.Unsafe = append(c.Unsafe, "the TD may be migrated, so that what runs on another platform speaks for it")
	}
	if b.Attributes&attributeSeptVE == 0 {
		c.Unsafe = append(c.Unsafe, "the TD does not disable exceptions for its private memory, so that its host can inject them")
	}
	return c
}
