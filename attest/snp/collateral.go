package snp

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
)

// Key says which platform's key signs reports: what AMD's service asks for.
type Key struct {
	Product string // Milan, Genoa or Turin
	VLEK    bool   // a cloud provider's key, which the service gives to nobody else
	Chip    [64]byte
	TCB     attest.AMDTCB
}

// HardwareID is the chip's ID as the service takes it: from Turin on only the 8
// bytes that are used.
func (k Key) HardwareID() []byte {
	if k.Product == Turin {
		return k.Chip[:8]
	}
	return k.Chip[:]
}

// KeyOf reads from a report which key signed it. Reports before version 3 do not
// name the product, so that it has to be given; else it may be "". It verifies
// nothing.
func KeyOf(r *Report, product string) (Key, error) {
	named := r.product()
	switch {
	case named == "" && product == "":
		return Key{}, fmt.Errorf("%w: a report of version %d does not say on which product it was made: name %s, %s or %s", attest.ErrEvidence, r.Version, Milan, Genoa, Turin)
	case named == "":
		named = product
	case product != "" && product != named:
		return Key{}, fmt.Errorf("%w: the report is of the product %q, not of %q", attest.ErrEvidence, named, product)
	}
	tcb, reserved := r.tcb(named, r.ReportedTCB)
	if reserved {
		return Key{}, fmt.Errorf("%w: reserved parts of the firmware version are set in the report: it is of another product than %s", attest.ErrEvidence, named)
	}
	return Key{Product: named, VLEK: r.VLEK, Chip: r.ChipID, TCB: tcb}, nil
}

// CertifiedKey reads from a certificate which platform's key it is for, but for
// the chip, and VLEK from who issued it. It verifies nothing.
func CertifiedKey(roots []Root, der []byte) (Key, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Key{}, fmt.Errorf("%w: the certificate of the platform's key: %v", attest.ErrEvidence, err)
	}
	k, err := parseKey(c)
	if err != nil {
		return Key{}, err
	}
	_, err = find(roots, c, true)
	return Key{Product: k.product, VLEK: err == nil, TCB: k.tcb}, nil
}

// CheckCollateral checks each part of the collateral for the reports of a key by
// itself: that it is signed under one of the roots, valid at the time now, and
// of the key. A chip that is all zero is not compared.
func CheckCollateral(roots []Root, want Key, b bundle.Bundle, now time.Time) []bundle.Part {
	x := &verification{now: now, claims: attest.Claims{AMD: &attest.AMDState{}}}
	var root Root
	var c *x509.Certificate
	return []bundle.Part{
		bundle.Part{Name: "certificate of the platform's key"}.Current(func(p *bundle.Part) (err error) {
			if len(b.Endorsement) == 0 {
				return fmt.Errorf("%w: there is no certificate of the platform's key", attest.ErrEvidence)
			}
			if c, err = x509.ParseCertificate(b.Endorsement); err != nil {
				return fmt.Errorf("%w: the certificate of the platform's key: %v", attest.ErrEvidence, err)
			}
			p.Issued, p.Until = c.NotBefore, c.NotAfter
			k, err := parseKey(c)
			if err != nil {
				return err
			}
			p.Says = fmt.Sprintf("%s, for the firmware %+v", k.product, k.tcb)
			if root, err = find(roots, c, want.VLEK); err != nil {
				return err
			}
			if err := x.chain(root, c); err != nil {
				return err
			}
			switch {
			case k.product != root.Product || k.product != want.Product:
				return notGenuine("the certificate is for %.20q, its issuer for %s, the platform is %s", k.product, root.Product, want.Product)
			case k.tcb != want.TCB:
				return notGenuine("the certificate is for the firmware %+v, the platform reports %+v", k.tcb, want.TCB)
			case !want.VLEK && want.Chip != [64]byte{} && !k.chip(want.Chip):
				return notGenuine("the certificate is for the key of another chip")
			}
			return nil
		}),
		bundle.Part{Name: "AMD's revocation list"}.Current(func(p *bundle.Part) error {
			if len(b.AMDCRL) == 0 {
				return fmt.Errorf("%w: there is none", attest.ErrEvidence)
			}
			l, err := x509.ParseRevocationList(b.AMDCRL)
			if err != nil {
				return fmt.Errorf("%w: AMD's revocation list: %v", attest.ErrEvidence, err)
			}
			p.Issued, p.Until, p.Says = l.ThisUpdate, l.NextUpdate, fmt.Sprintf("number %v, names %d certificates", l.Number, len(l.RevokedCertificateEntries))
			for _, r := range roots {
				if r.VLEK == want.VLEK && r.Product == want.Product {
					root = r
				}
			}
			if root.Certificate == nil {
				return notGenuine("there is no root of AMD's for %.20q", want.Product)
			}
			err = x.revocation(root, c, b.AMDCRL)
			if errors.Is(err, attest.ErrRevoked) {
				p.Revoked, err = err.Error(), nil
			}
			return err
		}),
	}
}

// Chain checks that a chain of the intermediate and the root, in PEM or DER as
// the service sends it, is the one that this program has for the key's product.
func Chain(roots []Root, k Key, certs []*x509.Certificate) error {
	for _, r := range roots {
		if r.VLEK == k.VLEK && r.Product == k.Product {
			if len(certs) == 2 && bytes.Equal(certs[0].Raw, r.Intermediate.Raw) && bytes.Equal(certs[1].Raw, r.Certificate.Raw) {
				return nil
			}
			return notGenuine("AMD's service gives another chain of certificates for %s than the one in this program: if AMD announced new ones, use a newer version", k.Product)
		}
	}
	return notGenuine("there is no root of AMD's for %.20q: this program knows %s, %s and %s", k.Product, Milan, Genoa, Turin)
}
