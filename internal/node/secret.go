package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/mesh"
	"github.com/teems-go/teems/internal/wire"
)

// SecretBytes is the length of an encoded secret: master 32, cluster seed 32.
const SecretBytes = 64

// Encode returns the secret's bytes, to be sealed or released.
func (s *Secret) Encode() []byte {
	return append(append(make([]byte, 0, SecretBytes), s.Master[:]...), s.Cluster.Seed()...)
}

// DecodeSecret reads what Encode made.
func DecodeSecret(b []byte) (*Secret, error) {
	if len(b) != SecretBytes {
		return nil, fmt.Errorf("node: a secret of %d bytes, it must have %d", len(b), SecretBytes)
	}
	return &Secret{Master: keys.Master(b[:32]), Cluster: ed25519.NewKeyFromSeed(b[32:])}, nil
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
	if !s.fits(&n.cfg.Manifest.Manifest) {
		return nil, errors.New("node: a member gave a secret of another cluster: that server must be looked at")
	}
	if n.cfg.Joined != nil {
		if err := n.cfg.Joined(s); err != nil {
			return nil, err
		}
	}
	n.cfg.Log("node: it has the cluster's secret")
	return s, nil
}

func (n *Node) meshConfig(secret *Secret, h mesh.Handler) mesh.Config {
	c := mesh.Config{
		Self: n.cfg.Self, Servers: n.g.Servers(), Limits: wire.PeerLimitsOf(n.g),
		Attester: mesh.Attested(n.attestation(secret)),
		Listener: n.cfg.Mesh, Dial: n.cfg.Dial, Handler: h,
		Log: n.cfg.Log, AfterFunc: n.cfg.AfterFunc,
	}
	if secret != nil {
		c.Secret = secret.Encode()
	}
	return c
}
