package intel

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/big"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
)

// revocation checks both revocation lists, if they are there, and that they
// name none of the certificates used.
func (v *verification) revocation(c bundle.Bundle) error {
	if len(c.RootCRL) == 0 && len(c.PCKCRL) == 0 {
		return nil
	}
	if len(c.RootCRL) == 0 || len(c.PCKCRL) == 0 {
		return fmt.Errorf("%w: there is one revocation list: send the root's and the platforms', or none", attest.ErrEvidence)
	}
	if err := v.list("the root's revocation list", c.RootCRL, v.root, v.issuer, v.tcb); err != nil {
		return err
	}
	if err := v.list("the platforms' revocation list", c.PCKCRL, v.issuer, v.leaf); err != nil {
		return err
	}
	v.result.RevocationChecked = true
	v.checked("Intel's revocation lists are current and name none of the certificates")
	return nil
}

func (v *verification) list(what string, der []byte, issuer *x509.Certificate, certs ...*x509.Certificate) error {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("%w: %s: %v", attest.ErrEvidence, what, err)
	}
	if !bytes.Equal(l.RawIssuer, issuer.RawSubject) {
		return notGenuine("%s is not of %.80q", what, issuer.Subject.CommonName)
	}
	if err := l.CheckSignatureFrom(issuer); err != nil {
		return notGenuine("%s: %v", what, err)
	}
	if err := v.during(what, l.ThisUpdate, l.NextUpdate); err != nil {
		return err
	}
	for _, c := range certs {
		if Revokes(l, c.SerialNumber) {
			return fmt.Errorf("%w: %w: %s names the certificate of %.80q", attest.ErrNotGenuine, attest.ErrRevoked, what, c.Subject.CommonName)
		}
	}
	return nil
}

// Revokes reports whether the list names the serial number.
func Revokes(l *x509.RevocationList, serial *big.Int) bool {
	for _, e := range l.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(serial) == 0 {
			return true
		}
	}
	return false
}
