package atls

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/teems-go/teems/attest"
)

// direction tells the two sides of a connection apart.
type direction byte

const (
	directionClient direction = 0
	directionServer direction = 1
)

func (d direction) other() direction { return 1 - d }

// side is one side's state during a handshake.
type side struct {
	cfg       *Config
	direction direction
	manifest  [32]byte // its hash
	policy    attest.Policy
	now       time.Time
	spki      [32]byte // hash of this side's certificate key, if attested
	exporter  []byte
}

func newSide(cfg *Config, d direction) (*side, error) {
	bad := func(format string, args ...any) (*side, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...)
	}
	switch {
	case cfg == nil || cfg.Manifest == nil:
		return bad("it has no manifest")
	case cfg.Now == nil:
		return bad("it has no clock")
	case cfg.Rand == nil:
		return bad("it has no source of randomness")
	case cfg.RequirePeer < None || cfg.RequirePeer > Member:
		return bad("it does not say what is required of the peer")
	case d == directionClient && cfg.RequirePeer == None:
		return bad("a client must require an attested server")
	}
	m := &cfg.Manifest.Manifest
	if err := m.Validate(); err != nil {
		return bad("%w", err)
	}
	if cfg.RequirePeer == Member && !m.HasCluster() {
		return bad("it requires a member, but manifest %d names no cluster key", m.Sequence)
	}
	for tee, v := range cfg.Verifiers {
		if v == nil {
			return bad("the verifier of %q is nil: %w", tee, attest.ErrNoVerifier)
		}
	}
	for _, tee := range m.Policy().TEEs() {
		if _, ok := cfg.Verifiers[tee]; !ok {
			return bad("it has no verifier for %q, which the manifest accepts: %w", tee, attest.ErrNoVerifier)
		}
	}
	if id := cfg.Identity; id != nil {
		if id.Issuer == nil {
			return bad("its identity has no issuer")
		}
		if id.Server < 0 || id.Server >= len(m.Servers) {
			return bad("its server index is %d, the manifest has %d servers", id.Server, len(m.Servers))
		}
		if id.Cluster != nil {
			if len(id.Cluster) != ed25519.PrivateKeySize {
				return bad("its cluster key has %d bytes, must have %d", len(id.Cluster), ed25519.PrivateKeySize)
			}
			if !m.HasCluster() || !bytes.Equal(id.Cluster.Public().(ed25519.PublicKey), m.ClusterKey) {
				return bad("its cluster key is not the one that manifest %d names", m.Sequence)
			}
		}
	}
	return &side{cfg: cfg, direction: d, manifest: cfg.Manifest.Hash(), policy: m.Policy(), now: cfg.Now()}, nil
}

func (s *side) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{
		Rand:                   s.cfg.Rand,
		Time:                   func() time.Time { return s.now },
		MinVersion:             tls.VersionTLS13,
		MaxVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768},
		NextProtos:             []string{alpn},
		SessionTicketsDisabled: true,
		// Nobody vouches for the certificates; the evidence in them is checked
		// once TLS is done, by checkCertificate, and by both sides, so that a
		// refusal can be told to the peer.
		InsecureSkipVerify: true,
		ClientAuth:         tls.RequestClientCert,
	}
	if s.cfg.Identity == nil {
		if s.direction == directionServer {
			return nil, fmt.Errorf("%w: the accepting side must have an identity", ErrConfig)
		}
		return config, nil
	}
	cert, err := s.makeCertificate()
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{*cert}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	return config, nil
}

// binding is what a proof is about.
type binding struct {
	exporter  []byte
	spki      [32]byte
	manifest  [32]byte
	direction direction
	server    uint32
	boot      [16]byte
}

// reportData binds fresh evidence.
func (b *binding) reportData() attest.ReportData {
	return b.bind(attest.PurposeConnection)
}

// memberMessage is what the cluster key signs.
func (b *binding) memberMessage() []byte {
	r := b.bind("teems/1 member")
	return append([]byte("teems/1 member\x00"), r[:]...)
}

func (b *binding) bind(purpose string) attest.ReportData {
	return attest.Bind(purpose, b.exporter, b.spki[:], b.manifest[:], []byte{byte(b.direction)},
		binary.LittleEndian.AppendUint32(nil, b.server), b.boot[:])
}

// certificateData binds the evidence in a certificate.
func certificateData(spki, manifest [32]byte) attest.ReportData {
	return attest.Bind(attest.PurposeCertificate, spki[:], manifest[:])
}

func spkiHash(c *x509.Certificate) [32]byte { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }
