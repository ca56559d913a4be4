// Package snp is SEV-SNP: a verifier of attestation reports of versions 2 to 5
// on the standard library, and an issuer through Linux configfs-tsm.
//
// The verifier guarantees that the report is signed by a VCEK or VLEK under
// AMD's root for the product line, that the key belongs to the chip and the
// firmware versions which the report names, and that all is valid at the time
// given. It knows Milan, Genoa and Turin. AMD's revocation list, if it is
// there, must be current and name none of the certificates.
//
// It claims debug mode as Debug, and as Unsafe a migration agent, a report
// that was asked for from less than the highest privilege, and data that the
// host handed in outside the measurement. Ciphertext hiding counts when it is
// both on in the platform and demanded by the guest's policy.
package snp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
)

// Verifier verifies SEV-SNP evidence. Its zero value has no roots and refuses
// all.
type Verifier struct {
	roots    []Root
	fallback bundle.Bundle
}

var _ attest.Verifier = (*Verifier)(nil)

// NewVerifier returns the verifier under AMD's roots. Collateral that the
// evidence does not bring along is taken from fallback, which may be empty
// and is trusted no more than what the evidence brings.
func NewVerifier(fallback bundle.Bundle) *Verifier { return NewTestVerifier(Roots(), fallback) }

// NewTestVerifier is like NewVerifier with other roots, for tests. Whoever
// holds their keys can make evidence for anything.
func NewTestVerifier(roots []Root, fallback bundle.Bundle) *Verifier {
	return &Verifier{roots: roots, fallback: fallback}
}

func notGenuine(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{attest.ErrNotGenuine}, args...)...)
}

// Verify implements [attest.Verifier].
func (v *Verifier) Verify(e attest.Evidence, now time.Time) (attest.Claims, error) {
	if v == nil || len(v.roots) == 0 {
		return attest.Claims{}, fmt.Errorf("%w: the SEV-SNP verifier has no roots: make it with NewVerifier", attest.ErrNoVerifier)
	}
	if e.TEE != attest.SNP {
		return attest.Claims{}, fmt.Errorf("%w: evidence of %q given to the verifier of SEV-SNP", attest.ErrUnknownTEE, e.TEE)
	}
	if now.IsZero() {
		return attest.Claims{}, fmt.Errorf("%w: certificates cannot be checked without", attest.ErrNoClock)
	}
	b, err := bundle.Parse(e.Raw)
	if err == nil {
		err = b.Only(false)
	}
	if err != nil {
		return attest.Claims{}, err
	}
	r, err := ParseReport(b.Report)
	if err != nil {
		return attest.Claims{}, err
	}
	x := &verification{now: now, claims: r.claims()}
	if err := x.verify(v.roots, r, b.Or(v.fallback)); err != nil {
		return attest.Claims{}, err
	}
	return x.claims, nil
}

// verification holds what is known so far.
type verification struct {
	now    time.Time
	claims attest.Claims
}

func (x *verification) checked(what string) { x.claims.Checked = append(x.claims.Checked, what) }

func (x *verification) verify(roots []Root, r *Report, b bundle.Bundle) error {
	if len(b.Endorsement) == 0 {
		return fmt.Errorf("%w: there is no certificate of the platform's key with it", attest.ErrEvidence)
	}
	c, err := x509.ParseCertificate(b.Endorsement)
	if err != nil {
		return fmt.Errorf("%w: the certificate of the platform's key: %v", attest.ErrEvidence, err)
	}
	root, err := find(roots, c, r.VLEK)
	if err != nil {
		return err
	}
	if err := x.chain(root, c); err != nil {
		return err
	}
	if err := x.belongs(root, c, r); err != nil {
		return err
	}
	if err := signature(c, r); err != nil {
		return err
	}
	x.checked("the report is signed by the platform's key, which belongs to the chip and the firmware that it names")
	return x.revocation(root, c, b.AMDCRL)
}

// find returns the root whose intermediate's name is the certificate's
// issuer.
func find(roots []Root, c *x509.Certificate, vlek bool) (Root, error) {
	for _, r := range roots {
		if r.VLEK == vlek && bytes.Equal(r.Intermediate.RawSubject, c.RawIssuer) {
			return r, nil
		}
	}
	return Root{}, notGenuine("the certificate of the platform's key is issued by %.80q, which is none of AMD's for such keys", c.Issuer.CommonName)
}

func (x *verification) during(what string, from, to time.Time) error {
	if x.now.Before(from) || x.now.After(to) {
		return fmt.Errorf("%w: %w: %s is valid from %v to %v, and it is %v", attest.ErrNotGenuine, attest.ErrExpired, what, from.UTC(), to.UTC(), x.now.UTC())
	}
	if x.claims.Until.IsZero() || to.Before(x.claims.Until) {
		x.claims.Until = to
	}
	return nil
}

// chain checks the path from the platform's certificate to the root.
func (x *verification) chain(root Root, c *x509.Certificate) error {
	for _, c := range []*x509.Certificate{c, root.Intermediate, root.Certificate} {
		if err := x.during(fmt.Sprintf("the certificate of %q", c.Subject.CommonName), c.NotBefore, c.NotAfter); err != nil {
			return err
		}
	}
	want := "SEV-VCEK"
	if root.VLEK {
		want = "SEV-VLEK"
	}
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() || c.Subject.CommonName != want || c.IsCA {
		return notGenuine("the certificate of %.80q is not that of a %s", c.Subject.CommonName, want)
	}
	pool, intermediates := x509.NewCertPool(), x509.NewCertPool()
	pool.AddCert(root.Certificate)
	intermediates.AddCert(root.Intermediate)
	paths, err := c.Verify(x509.VerifyOptions{Roots: pool, Intermediates: intermediates, CurrentTime: x.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil || len(paths) == 0 || len(paths[0]) != 3 {
		return notGenuine("the certificate of the platform's key: %v", err)
	}
	x.checked(fmt.Sprintf("the certificate chain of the platform's key ends in AMD's root for %s", root.Product))
	return nil
}

// belongs checks that the key is that of the chip and firmware in the report.
func (x *verification) belongs(root Root, c *x509.Certificate, r *Report) error {
	k, err := parseKey(c)
	if err != nil {
		return err
	}
	if k.product != root.Product {
		return notGenuine("the certificate is for %.20q, its issuer for %s", k.product, root.Product)
	}
	if p := r.product(); p != "" && p != root.Product {
		return notGenuine("the report is of %s, the certificate of %s", p, root.Product)
	}
	tcb, reserved := r.tcb(root.Product, r.ReportedTCB)
	if reserved {
		return notGenuine("reserved parts of the firmware version are set in the report")
	}
	if k.tcb != tcb {
		return notGenuine("the platform's key is for the firmware %+v, the report is of %+v", k.tcb, tcb)
	}
	if !root.VLEK && !k.chip(r.ChipID) {
		return notGenuine("the platform's key belongs to another chip")
	}
	x.claims.AMD.TCB, x.claims.AMD.Family = tcb, root.Product
	return nil
}

func signature(c *x509.Certificate, r *Report) error {
	h := sha512.Sum384(r.signed)
	if !ecdsa.Verify(c.PublicKey.(*ecdsa.PublicKey), h[:], littleEndian(r.r), littleEndian(r.s)) {
		return notGenuine("the signature of the report is wrong")
	}
	return nil
}

func littleEndian(b []byte) *big.Int {
	e := make([]byte, len(b))
	for i := range b {
		e[len(b)-1-i] = b[i]
	}
	return new(big.Int).SetBytes(e)
}

func (x *verification) revocation(root Root, c *x509.Certificate, der []byte) error {
	if len(der) == 0 {
		return nil
	}
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("%w: AMD's revocation list: %v", attest.ErrEvidence, err)
	}
	if !bytes.Equal(l.RawIssuer, root.Certificate.RawSubject) {
		return notGenuine("the revocation list is not AMD's for %s", root.Product)
	}
	if err := l.CheckSignatureFrom(root.Certificate); err != nil {
		return notGenuine("AMD's revocation list: %v", err)
	}
	if err := x.during("AMD's revocation list", l.ThisUpdate, l.NextUpdate); err != nil {
		return err
	}
	for _, c := range []*x509.Certificate{root.Intermediate, c} {
		if c != nil && intel.Revokes(l, c.SerialNumber) {
			return fmt.Errorf("%w: %w: AMD's list names the certificate of %.80q", attest.ErrNotGenuine, attest.ErrRevoked, c.Subject.CommonName)
		}
	}
	x.claims.RevocationChecked = true
	x.checked("AMD's revocation list is current and names none of the certificates")
	return nil
}
