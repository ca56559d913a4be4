package intel

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
)

// The authorities that issue platforms' certificates, as the service calls them.
const (
	CAPlatform  = "platform"
	CAProcessor = "processor"
)

// Family is what Intel's service asks of a platform: collateral is the same for
// all of a family.
type Family struct {
	FMSPC string // 6 bytes in lower-case hexadecimal
	CA    string // that issued the platform's certificate
}

// FamilyOf reads the family, and the certificate of the authority, from a
// quote's chain of certificates. It verifies nothing.
func FamilyOf(q *Quote) (Family, *x509.Certificate, error) {
	certs, err := parseChain(q.Chain, 3)
	if err != nil {
		return Family{}, nil, err
	}
	p, err := parsePCK(certs[0])
	if err != nil {
		return Family{}, nil, err
	}
	ca, err := authority(certs[1])
	return Family{FMSPC: p.fmspc, CA: ca}, certs[1], err
}

// authority names the one that has the certificate.
func authority(c *x509.Certificate) (string, error) {
	switch c.Subject.CommonName {
	case "Intel SGX PCK Platform CA":
		return CAPlatform, nil
	case "Intel SGX PCK Processor CA":
		return CAProcessor, nil
	}
	return "", notGenuine("the platform's certificate is issued by %.80q, which is not for platforms", c.Subject.CommonName)
}

// Respell spells a chain of certificates in PEM the way that verification asks
// for. It verifies nothing.
func Respell(chain []byte) []byte {
	var out []byte
	for {
		block, rest := pem.Decode(chain)
		if block == nil {
			return out
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})...)
		chain = rest
	}
}

// CheckCollateral checks each part of the collateral for a family's quotes of
// the TEE by itself: that it is signed under the root, valid at the time now,
// and of the family. The platforms' list is signed by the authority with the
// certificate issuer; with none its signature is not checked, and the part says
// so. A quote may still be refused with it: for what it says of the platform.
func CheckCollateral(root *x509.Certificate, tee string, f Family, issuer *x509.Certificate, b bundle.Bundle, now time.Time) []bundle.Part {
	v := &verification{root: root, now: now}
	var chain error
	signed := func(p *bundle.Part, check func(p *bundle.Part) error) error {
		if chain != nil {
			return fmt.Errorf("its signer: %w", chain)
		}
		return check(p)
	}
	return []bundle.Part{
		bundle.Part{Name: "certificate of the signer"}.Current(func(p *bundle.Part) error {
			if chain = v.signer(b.TCBChain); chain == nil {
				p.Issued, p.Until = v.tcb.NotBefore, v.tcb.NotAfter
			}
			return chain
		}),
		bundle.Part{Name: "TCB info"}.Current(func(p *bundle.Part) error {
			return signed(p, func(p *bundle.Part) error { return v.checkTCBInfo(tee, f, b.TCBInfo, p) })
		}),
		bundle.Part{Name: "identity of the quoting enclave"}.Current(func(p *bundle.Part) error {
			return signed(p, func(p *bundle.Part) error { return v.checkIdentity(tee, b.QEIdentity, p) })
		}),
		bundle.Part{Name: "the root's revocation list"}.Current(func(p *bundle.Part) error {
			return v.checkList(p, b.RootCRL, root, v.tcb)
		}),
		bundle.Part{Name: "the platforms' revocation list"}.Current(func(p *bundle.Part) error {
			return v.checkPlatforms(p, f, issuer, b.PCKCRL)
		}),
	}
}

func (v *verification) checkTCBInfo(tee string, f Family, b []byte, p *bundle.Part) error {
	var info tcbInfo
	if err := v.open("the TCB info", "tcbInfo", b, &info); err != nil {
		return err
	}
	p.Issued, p.Until = info.Issued, info.NextUpdate
	p.Says = fmt.Sprintf("of the platforms %s, evaluation %d", strings.ToLower(info.FMSPC), info.Evaluation)
	if f.FMSPC != "" && !strings.EqualFold(info.FMSPC, f.FMSPC) {
		return notGenuine("the TCB info is of the platforms %.20q, and this one is of %s", info.FMSPC, f.FMSPC)
	}
	return v.header("the TCB info", info.header, strings.ToUpper(tee), 3)
}

func (v *verification) checkIdentity(tee string, b []byte, p *bundle.Part) error {
	var id enclaveIdentity
	if err := v.open("the quoting enclave's identity", "enclaveIdentity", b, &id); err != nil {
		return err
	}
	p.Issued, p.Until, p.Says = id.Issued, id.NextUpdate, fmt.Sprintf("evaluation %d", id.Evaluation)
	name := "QE"
	if tee == attest.TDX {
		name = "TD_QE"
	}
	return v.header("the quoting enclave's identity", id.header, name, 2)
}

// checkList checks a list that the issuer signs; certs may have nil in it.
func (v *verification) checkList(p *bundle.Part, der []byte, issuer *x509.Certificate, certs ...*x509.Certificate) error {
	if len(der) == 0 {
		return fmt.Errorf("%w: there is none", attest.ErrEvidence)
	}
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("%w: %s: %v", attest.ErrEvidence, p.Name, err)
	}
	p.Issued, p.Until, p.Says = l.ThisUpdate, l.NextUpdate, fmt.Sprintf("number %v, names %d certificates", l.Number, len(l.RevokedCertificateEntries))
	if certs = without(certs); issuer != nil {
		err := v.list(p.Name, der, issuer, certs...)
		if errors.Is(err, attest.ErrRevoked) {
			p.Revoked, err = err.Error(), nil
		}
		return err
	}
	p.Says += "; its signature was not checked: the certificate for that comes with the evidence"
	return v.during(p.Name, l.ThisUpdate, l.NextUpdate)
}

// without leaves out what is nil.
func without(certs []*x509.Certificate) (all []*x509.Certificate) {
	for _, c := range certs {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

func (v *verification) checkPlatforms(p *bundle.Part, f Family, issuer *x509.Certificate, der []byte) error {
	if issuer != nil {
		if ca, err := authority(issuer); err != nil || f.CA != "" && ca != f.CA {
			return notGenuine("%s is by %.80q, not by the authority %q", p.Name, issuer.Subject.CommonName, f.CA)
		}
		if err := v.path([]*x509.Certificate{issuer, v.root}); err != nil {
			return err
		}
	} else if l, err := x509.ParseRevocationList(der); err == nil && f.CA != "" && !strings.EqualFold(l.Issuer.CommonName, "Intel SGX PCK "+f.CA+" CA") {
		return notGenuine("%s is by %.80q, not by the authority %q", p.Name, l.Issuer.CommonName, f.CA)
	}
	return v.checkList(p, der, issuer)
}

// Issuer reads a chain of an authority's certificate and the root, as the
// service sends it with the platforms' list, and checks that it ends in the
// root.
func Issuer(root *x509.Certificate, chain []byte) (*x509.Certificate, error) {
	certs, err := parseChain(chain, 2)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(certs[1].Raw, root.Raw) {
		return nil, notGenuine("the chain ends in %.80q, which is not Intel's root", certs[1].Subject.CommonName)
	}
	if _, err := authority(certs[0]); err != nil {
		return nil, err
	}
	return certs[0], nil
}
