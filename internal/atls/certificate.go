package atls

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/teems-go/teems/attest"
)

const (
	// certLifetime is how long a certificate is valid; each connection has a
	// certificate of its own, so it need only outlast a handshake.
	certLifetime = time.Hour
	// certSkew is how far apart the clocks of two sides may be.
	certSkew = 15 * time.Minute
	// maxCertBytes bounds a certificate with evidence in it.
	maxCertBytes = maxCMWBytes + 4096
)

// makeCertificate draws a key and makes the certificate of this side. The
// subject names the manifest, so that a peer under another one can say so.
func (s *side) makeCertificate() (*tls.Certificate, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(s.cfg.Rand, seed); err != nil {
		return nil, fmt.Errorf("%w: cannot draw a certificate key: %v", ErrIssue, err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrIssue, err)
	}
	s.spki = spkiHash(&x509.Certificate{RawSubjectPublicKeyInfo: spki})
	evidence, err := s.cfg.Identity.Issuer.Issue(certificateData(s.spki, s.manifest))
	if err != nil {
		return nil, fmt.Errorf("%w: for the certificate: %w", ErrIssue, err)
	}
	extension, err := encodeExtension(evidence)
	if err != nil {
		return nil, fmt.Errorf("%w: for the certificate: %w", ErrIssue, err)
	}
	template := &x509.Certificate{
		SerialNumber:    big.NewInt(1),
		Subject:         pkix.Name{CommonName: hex.EncodeToString(s.manifest[:])},
		NotBefore:       s.now.Add(-certSkew),
		NotAfter:        s.now.Add(certLifetime),
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: oidCMW, Value: extension}},
	}
	der, err := x509.CreateCertificate(s.cfg.Rand, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("%w: cannot make a certificate: %v", ErrIssue, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// checkCertificate checks the peer's certificate and the evidence in it. It
// returns the hash of its key.
func (s *side) checkCertificate(chain []*x509.Certificate) (spki [32]byte, err error) {
	refuse := func(format string, args ...any) ([32]byte, error) {
		return [32]byte{}, fmt.Errorf("%w: "+format, append([]any{ErrCert}, args...)...)
	}
	if len(chain) != 1 {
		return refuse("%d certificates were sent, must be one", len(chain))
	}
	c := chain[0]
	if len(c.Raw) > maxCertBytes {
		return refuse("it has %d bytes, more than the %d allowed", len(c.Raw), maxCertBytes)
	}
	if _, ok := c.PublicKey.(ed25519.PublicKey); !ok || c.SignatureAlgorithm != x509.PureEd25519 {
		return refuse("its key is not Ed25519")
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return refuse("it is not signed by its own key")
	}
	if s.now.Before(c.NotBefore) || s.now.After(c.NotAfter) {
		return refuse("it is valid from %v to %v, and here it is %v: compare the clocks", c.NotBefore.UTC(), c.NotAfter.UTC(), s.now.UTC())
	}
	if c.NotAfter.Sub(c.NotBefore) > certLifetime+2*certSkew {
		return refuse("it is valid for %v, longer than allowed", c.NotAfter.Sub(c.NotBefore))
	}
	if len(c.UnhandledCriticalExtensions) != 0 {
		return refuse("it has an unknown critical extension")
	}
	if want := hex.EncodeToString(s.manifest[:]); c.Subject.CommonName != want {
		return [32]byte{}, fmt.Errorf("%w: it names %.64q, here it is %s: bring both up to date", ErrManifest, c.Subject.CommonName, want)
	}
	evidence, want, err := s.carried(c)
	if err != nil {
		return refuse("%w", err)
	}
	if _, err := attest.Appraise(s.cfg.Verifiers, s.policy, evidence, want, s.now); err != nil {
		return refuse("%w", err)
	}
	return spkiHash(c), nil
}

// carried takes the evidence out of a certificate, in either form, and says
// what it must be bound to. The interoperable form of Gramine binds the key
// and not the manifest; the proof that follows binds both.
func (s *side) carried(c *x509.Certificate) (attest.Evidence, attest.ReportData, error) {
	value, err := extension(c.Extensions, oidGramine)
	if err != nil {
		return attest.Evidence{}, attest.ReportData{}, err
	}
	if value == nil {
		e, err := findEvidence(c.Extensions)
		return e, certificateData(spkiHash(c), s.manifest), err
	}
	if other, err := extension(c.Extensions, oidCMW); err != nil || other != nil {
		return attest.Evidence{}, attest.ReportData{}, fmt.Errorf("%w: there is evidence in two forms", errCMW)
	}
	return parseGramine(value, c.RawSubjectPublicKeyInfo)
}

// findEvidence takes the evidence out of the one CMW that has it.
func findEvidence(extensions []pkix.Extension) (attest.Evidence, error) {
	value, err := extension(extensions, oidCMW)
	if err != nil {
		return attest.Evidence{}, err
	}
	if value == nil {
		return attest.Evidence{}, fmt.Errorf("%w: there is no extension with evidence", errCMW)
	}
	return parseExtension(value)
}

// extension returns the value of the one extension of that name, nil if there
// is none.
func extension(extensions []pkix.Extension, id asn1.ObjectIdentifier) (value []byte, err error) {
	for _, e := range extensions {
		if !e.Id.Equal(id) {
			continue
		}
		if value != nil {
			return nil, fmt.Errorf("%w: there are two extensions with evidence", errCMW)
		}
		value = append([]byte{}, e.Value...)
	}
	return value, nil
}

var oidCMW = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 35}
