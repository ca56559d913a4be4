package client

import (
	"crypto/ed25519"
	"fmt"

	"github.com/teems-go/teems/internal/manifest"
)

// Signers are the operators whom a client trusts to describe the cluster.
type Signers struct {
	Keys      []ed25519.PublicKey
	Threshold int // of them that must have signed a manifest
	// MinSequence is the lowest sequence number that is accepted: that of the
	// newest manifest that the client has seen, so that nobody can hand it an
	// older one.
	MinSequence uint64
}

// ParseManifestSigned reads a signed manifest file and trusts it if enough of
// the signers, whom its user learnt of from someone trusted, have signed it.
// Error: ErrManifest.
func ParseManifestSigned(file []byte, trusted Signers) (*Manifest, error) {
	s, err := manifest.Parse(file)
	if err == nil {
		err = s.Verify(trusted.operators())
	}
	if err == nil && s.Manifest.Sequence < trusted.MinSequence {
		err = fmt.Errorf("it is manifest %d, and manifest %d was in force already: somebody gave an old one", s.Manifest.Sequence, trusted.MinSequence)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return FromSigned(s)
}

func (s Signers) operators() manifest.Operators {
	o := manifest.Operators{Threshold: s.Threshold}
	for _, k := range s.Keys {
		o.Keys = append(o.Keys, manifest.Hex(k))
	}
	return o
}

// Signers are the operators whom the manifest names, who sign what follows it:
// what a client pins once it trusts the manifest.
func (m *Manifest) Signers() Signers {
	o := m.signed.Manifest.Operators
	s := Signers{Threshold: o.Threshold, MinSequence: m.signed.Manifest.Sequence}
	for _, k := range o.Keys {
		s.Keys = append(s.Keys, ed25519.PublicKey(k))
	}
	return s
}
