// Package atls is attested TLS: TLS 1.3 over any net.Conn in which a server
// proves what code it runs in which TEE, under which manifest, and, where
// needed, that it belongs to the cluster. Either side or both may be attested.
//
// # The handshake
//
//  1. TLS 1.3 with X25519MLKEM768 only, no resumption, ALPN "teems/1". An
//     attested side has a new Ed25519 certificate, signed by itself, that
//     carries evidence as a CMW (RFC 9999). The evidence is bound to the
//     certificate's key and the manifest's hash. For SGX the interoperable
//     form of Gramine is accepted in its place, which binds the key only.
//  2. The client sends its proof, or says that it has none.
//  3. The server checks it, and sends its own proof.
//  4. The client checks that, and says that it accepted.
//
// A proof is fresh evidence bound to the TLS exporter (label "teems/1
// attest"), the side's certificate key, the manifest's hash, the side's
// direction, its server index and its boot ID; and, from a member, an Ed25519
// signature by the cluster key over the same. The exporter is known only to
// the two ends of one connection, so neither a proof nor the evidence in it
// is of use on another one, whoever sits in the middle.
//
// In place of any message a side may send a refusal with a code. Messages are
// bounded, and the whole takes no longer than the context allows.
//
// It guarantees that a [Conn] is what [Config].RequirePeer asked for, and that
// what [Conn.Peer] says was proved on this very connection. It does not say
// which server the peer must be: callers that want a certain one compare
// PeerInfo.Server. It does not hide sizes and times, and an unattested client
// stays unknown.
package atls

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/internal/manifest"
)

// Kinds of errors. What package attest says of evidence is wrapped as well.
var (
	ErrConfig     = errors.New("atls: unusable configuration")
	ErrHandshake  = errors.New("atls: TLS handshake failed")
	ErrUnattested = errors.New("atls: the peer is not attested")
	ErrManifest   = errors.New("atls: the peer runs under another manifest")
	ErrCert       = errors.New("atls: the peer's certificate is refused")
	ErrProof      = errors.New("atls: the peer's proof is refused")
	ErrServer     = errors.New("atls: the peer's server index is refused")
	ErrMember     = errors.New("atls: the peer is not a member of the cluster")
	ErrRefused    = errors.New("atls: the peer refused this side")
	ErrIssue      = errors.New("atls: no evidence could be made for this side")
)

// PeerError is why a peer was refused that said which server it is.
type PeerError struct {
	Server int // as it says; nothing vouches for that
	Err    error
}

func (e *PeerError) Error() string {
	return fmt.Sprintf("server %d, as it calls itself: %v", e.Server, e.Err)
}

// Unwrap returns why.
func (e *PeerError) Unwrap() error { return e.Err }

// DefaultTimeout bounds a handshake whose context has no deadline.
const DefaultTimeout = 30 * time.Second

const (
	alpn          = "teems/1"
	exporterLabel = "teems/1 attest"
	exporterBytes = 32
)

// Requirement is what one side asks of the other. Its zero value is an error.
type Requirement int

// The requirements.
const (
	// None lets in a peer without evidence; evidence that it has must be
	// right all the same. Only the accepting side may ask for so little.
	None Requirement = iota + 1
	// Attested asks for a server of the manifest in a TEE that the manifest
	// accepts.
	Attested
	// Member asks, beyond Attested, for a proof of holding the cluster key.
	Member
)

// Identity is what an attested side proves about itself.
type Identity struct {
	Issuer  attest.Issuer
	Server  int                // its index in the manifest
	Boot    [16]byte           // drawn when it started
	Cluster ed25519.PrivateKey // nil while it joins
}

// Config configures one side. It may be used for many connections, at the
// same time.
type Config struct {
	Manifest    *manifest.Signed // verified by the caller; not to be changed
	Verifiers   attest.Verifiers
	Now         func() time.Time // for certificates and evidence, not for deadlines
	Rand        io.Reader        // cryptographically secure, safe for concurrent use
	Identity    *Identity        // nil: this side is not attested
	RequirePeer Requirement
}

// PeerInfo is what the peer proved.
type PeerInfo struct {
	Attested bool
	Server   int // index in the manifest; -1 if not attested
	Boot     [16]byte
	Claims   attest.Claims // of the fresh evidence
	Member   bool          // it holds the cluster key
}

// Conn is an attested connection.
type Conn struct {
	*tls.Conn
	peer PeerInfo
}

// Peer returns what the peer proved.
func (c *Conn) Peer() PeerInfo { return c.peer }

// Exporter returns n bytes that only the two ends of this connection can
// know, the same at both, other ones for each label (RFC 8446, section 7.5).
func (c *Conn) Exporter(label string, n int) ([]byte, error) {
	if label == "" || label == exporterLabel {
		return nil, fmt.Errorf("%w: the exporter label %q is not free for use", ErrConfig, label)
	}
	if n < 1 || n > 1<<10 {
		return nil, fmt.Errorf("%w: an exporter of %d bytes: choose 1 to 1024", ErrConfig, n)
	}
	s := c.ConnectionState()
	return s.ExportKeyingMaterial(label, nil, n)
}

// Client makes the connection attested from the side that dialled. On an
// error the connection is closed. Cancelling ctx afterwards has no effect.
func Client(ctx context.Context, conn net.Conn, cfg *Config) (*Conn, error) {
	return start(ctx, conn, cfg, directionClient)
}

// Server makes the connection attested from the side that accepted. On an
// error the connection is closed. Cancelling ctx afterwards has no effect.
func Server(ctx context.Context, conn net.Conn, cfg *Config) (*Conn, error) {
	return start(ctx, conn, cfg, directionServer)
}

func start(ctx context.Context, conn net.Conn, cfg *Config, d direction) (*Conn, error) {
	s, err := newSide(cfg, d)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, DefaultTimeout)
		defer cancel()
	}
	c, err := s.run(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// run does the whole handshake. A cancelled context wakes whatever waits on
// the connection by a deadline that has passed.
func (s *side) run(ctx context.Context, conn net.Conn) (*Conn, error) {
	past := time.Unix(1, 0)
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		conn.SetDeadline(past)
		close(woken)
	})
	c, err := s.handshake(conn)
	if !stop() {
		<-woken
		return nil, fmt.Errorf("%w: the peer did not finish in time: %w", ErrHandshake, context.Cause(ctx))
	}
	return c, err
}

func (s *side) handshake(conn net.Conn) (*Conn, error) {
	config, err := s.tlsConfig()
	if err != nil {
		return nil, err
	}
	var t *tls.Conn
	if s.direction == directionClient {
		t = tls.Client(conn, config)
	} else {
		t = tls.Server(conn, config)
	}
	if err := t.Handshake(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	state := t.ConnectionState()
	if err := checkState(&state); err != nil {
		return nil, err
	}
	if s.exporter, err = state.ExportKeyingMaterial(exporterLabel, nil, exporterBytes); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	peer, err := s.exchange(t, state.PeerCertificates)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: t, peer: peer}, nil
}

// checkState makes sure that TLS did what it was configured to do.
func checkState(s *tls.ConnectionState) error {
	switch {
	case s.Version != tls.VersionTLS13:
		return fmt.Errorf("%w: the version is %#04x, not TLS 1.3", ErrHandshake, s.Version)
	case s.CurveID != tls.X25519MLKEM768:
		return fmt.Errorf("%w: the key exchange is %v, not X25519MLKEM768", ErrHandshake, s.CurveID)
	case s.DidResume:
		return fmt.Errorf("%w: the session was resumed", ErrHandshake)
	case s.NegotiatedProtocol != alpn:
		return fmt.Errorf("%w: the peer does not speak %q", ErrHandshake, alpn)
	}
	return nil
}
