package atls

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/teems-go/teems/attest"
)

// Messages inside TLS: length u32 (of what follows it) | kind u8 | payload.
//
//	1 proof     server u32 | boot 16 | member u8 (0 or 1) | signature 64 | evidence
//	2 none      nothing: the side is not attested
//	3 accepted  nothing
//	4 refused   code u8
const (
	kindProof    = 1
	kindNone     = 2
	kindAccepted = 3
	kindRefused  = 4

	proofFixed      = 4 + 16 + 1 + ed25519.SignatureSize
	maxMessageBytes = 1 + proofFixed + attest.MaxEvidenceBytes
)

// The codes of a refusal: which check failed, and no more.
var refusals = []struct {
	code byte
	kind error
	text string
}{
	{1, ErrUnattested, "it requires evidence, and there was none"},
	{2, ErrManifest, "it runs under another manifest"},
	{3, ErrCert, "it does not accept the certificate or the evidence in it"},
	{4, ErrServer, "it does not accept the server index"},
	{5, ErrMember, "it requires a member of the cluster, and membership was not proved"},
	{6, ErrProof, "it does not accept the proof"},
}

// exchange sends and checks the messages that follow the TLS handshake, in
// an order in which one side speaks at a time.
func (s *side) exchange(t *tls.Conn, chain []*x509.Certificate) (PeerInfo, error) {
	if s.direction == directionClient {
		return s.exchangeClient(t, chain)
	}
	first, err := readMessage(t)
	if err != nil {
		return PeerInfo{}, err
	}
	peer, err := s.checkPeer(chain, first)
	if err != nil {
		return PeerInfo{}, s.refuse(t, s.naming(first, err))
	}
	if err := s.sendProof(t); err != nil {
		return PeerInfo{}, err
	}
	last, err := readMessage(t)
	if err != nil {
		return PeerInfo{}, err
	}
	if last.kind != kindAccepted || len(last.payload) != 0 {
		return PeerInfo{}, s.refuse(t, fmt.Errorf("%w: a message of kind %d came in place of the acceptance", ErrProof, last.kind))
	}
	return peer, nil
}

func (s *side) exchangeClient(t *tls.Conn, chain []*x509.Certificate) (PeerInfo, error) {
	// The certificate is checked before anything is proved to its holder.
	if len(chain) == 0 {
		return PeerInfo{}, s.refuse(t, fmt.Errorf("%w: it has no certificate", ErrUnattested))
	}
	if _, err := s.checkCertificate(chain); err != nil {
		return PeerInfo{}, s.refuse(t, err)
	}
	if err := s.sendProof(t); err != nil {
		return PeerInfo{}, err
	}
	m, err := readMessage(t)
	if err != nil {
		return PeerInfo{}, err
	}
	peer, err := s.checkProof(spkiHash(chain[0]), m)
	if err != nil {
		return PeerInfo{}, s.refuse(t, err)
	}
	return peer, writeMessage(t, kindAccepted, nil)
}

// checkPeer is the server's check of a client, which need not be attested.
func (s *side) checkPeer(chain []*x509.Certificate, m message) (PeerInfo, error) {
	if len(chain) == 0 {
		if s.cfg.RequirePeer != None {
			return PeerInfo{}, fmt.Errorf("%w: it has no certificate", ErrUnattested)
		}
		if m.kind != kindNone || len(m.payload) != 0 {
			return PeerInfo{}, fmt.Errorf("%w: a message of kind %d came from a peer without a certificate", ErrProof, m.kind)
		}
		return PeerInfo{Server: -1}, nil
	}
	spki, err := s.checkCertificate(chain)
	if err != nil {
		return PeerInfo{}, err
	}
	return s.checkProof(spki, m)
}

// naming adds to why a client was refused which server it says that it is, if it
// says so in a proof, for those who have to find it. Nothing vouches for that.
func (s *side) naming(m message, err error) error {
	if m.kind != kindProof || len(m.payload) < 4 {
		return err
	}
	if n := binary.LittleEndian.Uint32(m.payload); uint64(n) < uint64(len(s.cfg.Manifest.Manifest.Servers)) {
		return &PeerError{Server: int(n), Err: err}
	}
	return err
}

// sendProof makes and sends the proof of this side, or says that there is
// none.
func (s *side) sendProof(w io.Writer) error {
	id := s.cfg.Identity
	if id == nil {
		return writeMessage(w, kindNone, nil)
	}
	b := s.bindingOf(s.direction, s.spki, uint32(id.Server), id.Boot)
	evidence, err := id.Issuer.Issue(b.reportData())
	if err != nil {
		return fmt.Errorf("%w: for the connection: %w", ErrIssue, err)
	}
	raw, err := evidence.Encode()
	if err != nil {
		return fmt.Errorf("%w: for the connection: %w", ErrIssue, err)
	}
	p := make([]byte, 0, proofFixed+len(raw))
	p = binary.LittleEndian.AppendUint32(p, b.server)
	p = append(p, b.boot[:]...)
	if id.Cluster != nil {
		p = append(p, 1)
		p = append(p, ed25519.Sign(id.Cluster, b.memberMessage())...)
	} else {
		p = append(p, make([]byte, 1+ed25519.SignatureSize)...)
	}
	return writeMessage(w, kindProof, append(p, raw...))
}

func (s *side) bindingOf(d direction, spki [32]byte, server uint32, boot [16]byte) *binding {
	return &binding{exporter: s.exporter, spki: spki, manifest: s.manifest, direction: d, server: server, boot: boot}
}

// checkProof checks the proof of a peer whose certificate, with the key of
// that hash, was accepted.
func (s *side) checkProof(spki [32]byte, m message) (PeerInfo, error) {
	if m.kind != kindProof {
		return PeerInfo{}, fmt.Errorf("%w: a message of kind %d came in its place", ErrProof, m.kind)
	}
	if len(m.payload) < proofFixed {
		return PeerInfo{}, fmt.Errorf("%w: it has %d bytes, too few", ErrProof, len(m.payload))
	}
	server, p := binary.LittleEndian.Uint32(m.payload), m.payload[4:]
	boot, p := [16]byte(p), p[16:]
	member, p := p[0], p[1:]
	signature, p := [ed25519.SignatureSize]byte(p), p[ed25519.SignatureSize:]
	evidence, err := attest.ParseEvidence(p)
	if err != nil {
		return PeerInfo{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if n := len(s.cfg.Manifest.Manifest.Servers); uint64(server) >= uint64(n) {
		return PeerInfo{}, fmt.Errorf("%w: it is %d, the manifest has %d servers", ErrServer, server, n)
	}
	if id := s.cfg.Identity; id != nil && uint32(id.Server) == server {
		return PeerInfo{}, fmt.Errorf("%w: it is %d, which is this server's own: two servers run with one identity", ErrServer, server)
	}
	b := s.bindingOf(s.direction.other(), spki, server, boot)
	claims, err := attest.Appraise(s.cfg.Verifiers, s.policy, evidence, b.reportData(), s.now)
	if err != nil {
		return PeerInfo{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if err := s.checkMember(b, member, signature); err != nil {
		return PeerInfo{}, err
	}
	return PeerInfo{Attested: true, Server: int(server), Boot: boot, Claims: claims, Member: member == 1}, nil
}

func (s *side) checkMember(b *binding, member byte, signature [ed25519.SignatureSize]byte) error {
	key := s.cfg.Manifest.Manifest.PublicKey()
	switch {
	case member == 0 && signature != [ed25519.SignatureSize]byte{}:
		return fmt.Errorf("%w: there is a signature where there must be none", ErrProof)
	case member == 0 && s.cfg.RequirePeer == Member:
		return fmt.Errorf("%w: it did not prove that it holds the cluster key", ErrMember)
	case member == 0:
		return nil
	case member != 1:
		return fmt.Errorf("%w: the field for membership is %d, must be 0 or 1", ErrProof, member)
	case key == nil:
		return fmt.Errorf("%w: it claims membership, but the manifest names no cluster key", ErrMember)
	case !ed25519.Verify(key, b.memberMessage(), signature[:]):
		return fmt.Errorf("%w: its proof of holding the cluster key is wrong", ErrMember)
	}
	return nil
}

// refuse tells the peer which check failed, and returns the error.
func (s *side) refuse(w io.Writer, err error) error {
	for _, r := range refusals {
		if errors.Is(err, r.kind) {
			// The refusal stands whether the peer hears of it or not.
			_ = writeMessage(w, kindRefused, []byte{r.code})
			break
		}
	}
	return err
}

// message is one message of the exchange.
type message struct {
	kind    byte
	payload []byte
}

func writeMessage(w io.Writer, kind byte, payload []byte) error {
	b := make([]byte, 0, 5+len(payload))
	b = binary.LittleEndian.AppendUint32(b, uint32(1+len(payload)))
	b = append(append(b, kind), payload...)
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("%w: the connection broke: %w", ErrHandshake, err)
	}
	return nil
}

// readMessage reads one message, of at most maxMessageBytes. A refusal is
// returned as an error of kind ErrRefused.
func readMessage(r io.Reader) (message, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, fmt.Errorf("%w: the connection broke: %w", ErrHandshake, err)
	}
	n := binary.LittleEndian.Uint32(head[:4])
	if n < 1 || n > maxMessageBytes {
		return message{}, fmt.Errorf("%w: a message of %d bytes, must have 1 to %d", ErrProof, n, maxMessageBytes)
	}
	m := message{kind: head[4], payload: make([]byte, n-1)}
	if _, err := io.ReadFull(r, m.payload); err != nil {
		return message{}, fmt.Errorf("%w: the connection broke: %w", ErrHandshake, err)
	}
	if m.kind != kindRefused {
		return m, nil
	}
	for _, x := range refusals {
		if len(m.payload) == 1 && m.payload[0] == x.code {
			return message{}, fmt.Errorf("%w: %s", ErrRefused, x.text)
		}
	}
	return message{}, fmt.Errorf("%w: for a reason that this program does not know", ErrRefused)
}
