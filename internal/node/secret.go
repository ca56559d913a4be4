package node

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/mesh"
	"github.com/teems-go/teems/internal/wire"
)

// SecretBytes is the length of an encoded secret: era u32 | master 32 | seed of
// the cluster key 32.
const SecretBytes = 68

// Encode returns the secret's bytes, to be sealed or released.
func (s *Secret) Encode() []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, SecretBytes), s.Era)
	return append(append(b, s.Master[:]...), s.Cluster.Seed()...)
}

// DecodeSecret reads what Encode made.
func DecodeSecret(b []byte) (*Secret, error) {
	if len(b) != SecretBytes {
		return nil, fmt.Errorf("node: a secret of %d bytes, it must have %d", len(b), SecretBytes)
	}
	return &Secret{Era: binary.LittleEndian.Uint32(b), Master: keys.Master(b[4:]), Cluster: ed25519.NewKeyFromSeed(b[36:])}, nil
}

// check says whether the secret can be used under the manifest.
func (s *Secret) check(m *manifest.Manifest) error {
	switch {
	case len(s.Cluster) != ed25519.PrivateKeySize || !m.PublicKey().Equal(s.Cluster.Public()):
		return fmt.Errorf("the secret's cluster key is not the one that manifest %d names", m.Sequence)
	case s.Era < 1 || s.Era > uint32(m.Era):
		return fmt.Errorf("the secret is of era %d, and manifest %d of era %d: the manifest is older than the secret", s.Era, m.Sequence, m.Era)
	}
	return nil
}

// keep makes secrets durable, if the caller wants to.
func (n *Node) keep(held, next *Secret) error {
	if n.cfg.Keep == nil {
		return nil
	}
	return n.cfg.Keep(held, next)
}

// secret returns the cluster's secret, from the other servers if need be.
func (n *Node) secret(ctx context.Context) (*Secret, error) {
	if n.cfg.Secret != nil {
		return n.cfg.Secret, nil
	}
	n.cfg.Log("node: this server does not hold the cluster's secret; it asks the other servers for it")
	b, err := mesh.Join(ctx, n.meshConfig(nil, nil))
	if err != nil {
		return nil, err
	}
	s, err := DecodeSecret(b)
	if err != nil {
		return nil, err
	}
	if err := s.check(&n.cfg.Manifest.Manifest); err != nil {
		return nil, fmt.Errorf("node: what a member gave is of no use, that server must be looked at: %w", err)
	}
	if err := n.keep(s, nil); err != nil {
		return nil, err
	}
	n.cfg.Log("node: it has the cluster's secret")
	return s, nil
}

// meshConfig is for a server that joins, or, with a secret, for a member.
func (n *Node) meshConfig(secret *Secret, t *eraGate) mesh.Config {
	c := mesh.Config{
		Self: n.cfg.Self, Servers: n.g.Servers(), Limits: wire.PeerLimitsOf(n.g),
		Attester: mesh.Attested(n.attestation(secret)),
		Listener: n.cfg.Mesh, Dial: n.cfg.Dial,
		Log: n.cfg.Log, AfterFunc: n.cfg.AfterFunc,
	}
	if secret != nil {
		c.Handler, c.Secret = t, func() []byte { return t.secret().Encode() }
	}
	return c
}
