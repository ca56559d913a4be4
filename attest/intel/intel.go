// Package intel verifies what SGX and TDX quotes have in common: an ECDSA
// quote whose attestation key a quoting enclave vouches for, which a platform
// certifies, which Intel's root certifies; and what Intel publishes of such
// platforms: revocation lists, TCB levels and the identity of the quoting
// enclave. It uses the standard library only.
//
// It guarantees that a [Result] rests on signatures under one root, all of
// them valid at the time given, and that each byte of the certificate chains
// and of the collateral counts: there is one spelling of each. It does not
// judge: a TCB that is out of date is a result, not an error. Without
// revocation lists it says that revocation was not checked.
//
// The sources are Intel's "SGX Data Center Attestation Primitives: ECDSA Quote
// Library API", "SGX PCK Certificate and Certificate Revocation List Profile"
// and the documentation of version 4 of the provisioning certification
// service.
package intel

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
)

//go:embed root.pem
var rootPEM []byte

// Root returns Intel's root certificate, valid from 2018 to 2049.
func Root() *x509.Certificate {
	block, _ := pem.Decode(rootPEM)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic("intel: the embedded root does not parse: " + err.Error()) // impossible
	}
	return c
}

// Quote is what SGX and TDX quotes have in common.
type Quote struct {
	Signed         []byte         // what the attestation key signs
	Signature      []byte         // 64 bytes, r and s
	AttestationKey []byte         // 64 bytes, x and y
	QEReport       *EnclaveReport // of the quoting enclave
	QESignature    []byte         // 64 bytes, by the platform's certified key
	QEAuth         []byte         // what else the quoting enclave's report data covers
	Chain          []byte         // PEM: platform, its issuer, root
	Module         *Module        // on TDX only
}

// Result is what verification says.
type Result struct {
	TCB               attest.IntelTCB
	PPID              string // the platform, 16 bytes in hexadecimal
	RevocationChecked bool
	Until             time.Time // when the first of the things that it rests on ends
	Checked           []string
}

// Claim writes the result into claims.
func (r Result) Claim(c *attest.Claims) {
	c.Intel, c.Platform, c.RevocationChecked, c.Until, c.Checked = &r.TCB, r.PPID, r.RevocationChecked, r.Until, r.Checked
}

// Verify checks the quote's chain of signatures up to the root and evaluates
// the collateral, all at the time now.
func Verify(root *x509.Certificate, q *Quote, collateral bundle.Bundle, now time.Time) (Result, error) {
	if root == nil {
		return Result{}, fmt.Errorf("%w: no root of Intel's", attest.ErrNoVerifier)
	}
	if now.IsZero() {
		return Result{}, fmt.Errorf("%w: certificates and collateral cannot be checked without", attest.ErrNoClock)
	}
	v := &verification{root: root, now: now}
	for _, step := range []func() error{
		func() error { return v.chain(q.Chain) },
		func() error { return v.quote(q) },
		func() error { return v.signer(collateral.TCBChain) },
		func() error { return v.revocation(collateral) },
		func() error { return v.tcbInfo(collateral.TCBInfo, q.Module) },
		func() error { return v.qeIdentity(collateral.QEIdentity, q) },
	} {
		if err := step(); err != nil {
			return Result{}, err
		}
	}
	return v.result, nil
}

// verification holds what is known so far.
type verification struct {
	root   *x509.Certificate
	now    time.Time
	leaf   *x509.Certificate // the platform's
	issuer *x509.Certificate // the leaf's
	pck    *pck
	tcb    *x509.Certificate // signer of the collateral
	result Result
}

func (v *verification) checked(what string) { v.result.Checked = append(v.result.Checked, what) }

func notGenuine(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{attest.ErrNotGenuine}, args...)...)
}

// during checks that now is in a period and takes note of its end.
func (v *verification) during(what string, from, to time.Time) error {
	if v.now.Before(from) || v.now.After(to) {
		return fmt.Errorf("%w: %w: %s is valid from %v to %v, and it is %v", attest.ErrNotGenuine, attest.ErrExpired, what, from.UTC(), to.UTC(), v.now.UTC())
	}
	if v.result.Until.IsZero() || to.Before(v.result.Until) {
		v.result.Until = to
	}
	return nil
}

// quote checks the three signatures between the platform's key and the
// report.
func (v *verification) quote(q *Quote) error {
	key, ok := v.leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return notGenuine("the platform's key is not on P-256")
	}
	if !verifyRaw(key, q.QEReport.Raw, q.QESignature) {
		return notGenuine("the platform's key did not sign the quoting enclave's report")
	}
	h := sha256.New()
	h.Write(q.AttestationKey)
	h.Write(q.QEAuth)
	var want [64]byte
	h.Sum(want[:0])
	if q.QEReport.ReportData != want {
		return notGenuine("the quoting enclave does not vouch for the attestation key")
	}
	attestation, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, q.AttestationKey...))
	if err != nil {
		return notGenuine("the attestation key is not a point on P-256")
	}
	if !verifyRaw(attestation, q.Signed, q.Signature) {
		return notGenuine("the quote's signature is wrong")
	}
	v.checked("the quote is signed by an attestation key, for which a quoting enclave vouches, whose report the platform signed")
	return nil
}

// verifyRaw checks a signature that is r and s, 32 bytes each.
func verifyRaw(key *ecdsa.PublicKey, message, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	h := sha256.Sum256(message)
	return ecdsa.Verify(key, h[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// chain checks the platform's certificate, its issuer and the root.
func (v *verification) chain(pemChain []byte) error {
	certs, err := parseChain(pemChain, 3)
	if err != nil {
		return err
	}
	v.leaf, v.issuer = certs[0], certs[1]
	if _, err := authority(v.issuer); err != nil {
		return err
	}
	if cn := v.leaf.Subject.CommonName; cn != "Intel SGX PCK Certificate" {
		return notGenuine("the certificate of %.80q is not that of a platform", cn)
	}
	if err := v.path(certs); err != nil {
		return err
	}
	if v.pck, err = parsePCK(v.leaf); err != nil {
		return err
	}
	v.result.PPID = v.pck.ppid
	v.result.TCB.FMSPC = v.pck.fmspc
	v.checked("the platform's certificate chain ends in Intel's root")
	return nil
}

// signer checks the certificate that signs collateral.
func (v *verification) signer(pemChain []byte) error {
	if len(pemChain) == 0 {
		return fmt.Errorf("%w: there is no collateral with it: no certificate of its signer", attest.ErrEvidence)
	}
	certs, err := parseChain(pemChain, 2)
	if err != nil {
		return err
	}
	if cn := certs[0].Subject.CommonName; cn != "Intel SGX TCB Signing" {
		return notGenuine("the certificate of %.80q is not for signing collateral", cn)
	}
	if err := v.path(certs); err != nil {
		return err
	}
	v.tcb = certs[0]
	return nil
}

// path checks that certificates, the last of them the root, form a path that
// is valid now.
func (v *verification) path(certs []*x509.Certificate) error {
	last := len(certs) - 1
	if !bytes.Equal(certs[last].Raw, v.root.Raw) {
		return notGenuine("the chain ends in %.80q, which is not Intel's root", certs[last].Subject.CommonName)
	}
	for _, c := range certs {
		if err := v.during(fmt.Sprintf("the certificate of %q", c.Subject.CommonName), c.NotBefore, c.NotAfter); err != nil {
			return err
		}
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(v.root)
	for _, c := range certs[1:last] {
		intermediates.AddCert(c)
	}
	paths, err := certs[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: v.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return notGenuine("the certificate of %.80q: %v", certs[0].Subject.CommonName, err)
	}
	for _, p := range paths {
		if len(p) == len(certs) {
			return nil
		}
	}
	return notGenuine("the certificate of %.80q is not issued by the one that follows it", certs[0].Subject.CommonName)
}

// parseChain reads n certificates in PEM, spelt the one way that Intel does:
// a final newline may be missing, and a zero byte may follow.
func parseChain(b []byte, n int) ([]*x509.Certificate, error) {
	bad := func(format string, args ...any) ([]*x509.Certificate, error) {
		return nil, fmt.Errorf("%w: certificate chain: "+format, append([]any{attest.ErrEvidence}, args...)...)
	}
	var certs []*x509.Certificate
	var spelt []byte
	for rest := b; len(certs) < n; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return bad("it ends after %d certificates of %d", len(certs), n)
		}
		if block.Type != "CERTIFICATE" || len(block.Headers) != 0 {
			return bad("something else than a certificate is in it")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return bad("%v", err)
		}
		certs = append(certs, c)
		spelt = append(spelt, pem.EncodeToMemory(block)...)
	}
	b = bytes.TrimSuffix(b, []byte{0})
	if !bytes.Equal(b, spelt) && !bytes.Equal(b, bytes.TrimSuffix(spelt, []byte("\n"))) {
		return bad("there is something between or behind the %d certificates", n)
	}
	return certs, nil
}
