package client

import (
	"errors"
	"fmt"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/manifest"
)

// Manifest describes a cluster: its servers, what code they may run, its sizes.
// Immutable, safe for concurrent use.
type Manifest struct {
	signed  *manifest.Signed
	g       *geometry.Geometry
	cluster [32]byte
}

// ParseManifest reads a signed manifest file and trusts it if its hash is pin,
// which its user learnt from someone trusted, and its operators signed it.
// Error: ErrManifest.
func ParseManifest(file []byte, pin [32]byte) (*Manifest, error) {
	s, err := manifest.Parse(file)
	if err == nil {
		err = s.VerifyPinned(pin)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return FromSigned(s)
}

// ParseManifestWithoutPin reads a manifest file that nobody vouches for but
// those who sign it: whoever can replace the file can name servers of his own.
// It is for files that only their user can write. Error: ErrManifest.
func ParseManifestWithoutPin(file []byte) (*Manifest, error) {
	s, err := manifest.Parse(file)
	if err == nil {
		err = s.Verify(s.Manifest.Operators)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return FromSigned(s)
}

// FromSigned wraps a manifest that the caller has verified, and does not change
// any more. It is for this module's own programs. Error: ErrManifest.
func FromSigned(s *manifest.Signed) (*Manifest, error) {
	if s == nil || !s.Manifest.HasCluster() {
		return nil, fmt.Errorf("%w: it names no cluster key yet: take the one that follows the genesis", ErrManifest)
	}
	g, err := s.Manifest.Geometry()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return &Manifest{signed: s, g: g, cluster: s.Manifest.ClusterID()}, nil
}

// Hash is the manifest's hash, to be pinned.
func (m *Manifest) Hash() [32]byte { return m.signed.Hash() }

// Cluster is the id of the cluster: the hash of its public key.
func (m *Manifest) Cluster() [32]byte { return m.cluster }

// Era is the era of the cluster's keys under the manifest.
func (m *Manifest) Era() uint32 { return uint32(m.signed.Manifest.Era) }

// MaxBody is the length of the longest message, in bytes.
func (m *Manifest) MaxBody() int { return m.g.Params().CellBytes - bodyHeader }

// TokenEpochs is the most epochs that a token can span.
func (m *Manifest) TokenEpochs() int { return m.g.Params().TokenEpochs }

// TokenSlots is how many tokens a client can have valid in one epoch.
func (m *Manifest) TokenSlots() int { return m.g.Params().Token.In }

// Capacity is how many IDs the cluster can give.
func (m *Manifest) Capacity() int { return m.g.Params().Capacity }

// ProtectsNothing says that the manifest accepts simulated TEEs, in which
// nothing is protected from whoever runs the servers.
func (m *Manifest) ProtectsNothing() bool {
	return m.signed.Manifest.TEEs.AllowSimulatedTEEThatProtectsNothing
}

// Address is the address of the client with an ID.
func (m *Manifest) Address(id uint32) Address {
	return Address{Cluster: m.fingerprint(), ID: id}
}

func (m *Manifest) fingerprint() cell.Fingerprint { return cell.FingerprintOf(&m.cluster) }

// owns says whether an address is of this cluster and can exist.
func (m *Manifest) owns(a Address) error {
	if a.Cluster != m.fingerprint() {
		return ErrWrongCluster
	}
	if int64(a.ID) >= int64(m.Capacity()) {
		return fmt.Errorf("%w: the cluster's IDs end at %d", ErrUnknownRecipient, m.Capacity()-1)
	}
	return nil
}

// textError makes an error of package cell one of this package.
func textError(err error) error {
	if errors.Is(err, cell.ErrCluster) {
		return fmt.Errorf("%w: %w", ErrWrongCluster, err)
	}
	return fmt.Errorf("%w: %w", ErrText, err)
}
