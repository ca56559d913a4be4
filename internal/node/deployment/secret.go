package deployment

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/node"
)

// sealLabel says what is sealed in SecretFile, and under which chain of
// manifests. Without the chain a host could unseal the secret under manifests
// of its own making, which name the same cluster key, and have it released to a
// program of its own.
func (f *Dir) sealLabel() string { return "cluster secret of " + hex.EncodeToString(f.First[:]) }

// ErrNoSecret says that the folder holds no secret that this TEE can open.
var ErrNoSecret = errors.New("there is no secret of this cluster here")

// ErrOldManifest says that the secret was in use under a newer manifest than the
// one in the folder.
var ErrOldManifest = errors.New("the manifest was put back to an older one")

// What is sealed: sequence u64 | next era u32 | next master 32 | secret.
// Sequence is that of the newest manifest under which the secret was in use; the
// next era is 0, and its master zero, but while an era turns.
const keptBytes = 8 + 4 + 32 + node.SecretBytes

// Seal keeps the cluster's secret in the folder, sealed by the TEE, in place of
// what is there, and says under which manifest it is in use. While an era turns
// next is kept beside it.
func (f *Dir) Seal(platform attest.Sealer, random io.Reader, held, next *node.Secret) error {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, keptBytes), f.Manifest.Manifest.Sequence)
	if next == nil {
		next = new(node.Secret)
	}
	b = append(binary.LittleEndian.AppendUint32(b, next.Era), next.Master[:]...)
	return f.seal(platform, random, append(b, held.Encode()...))
}

func (f *Dir) seal(platform attest.Sealer, random io.Reader, kept []byte) error {
	key, err := platform.SealingKey()
	if err != nil {
		return fmt.Errorf("the TEE gives no sealing key: %w", err)
	}
	blob, err := keys.SealSecret(random, key[:], f.sealLabel(), kept)
	if err != nil {
		return err
	}
	return f.write(SecretFile, blob)
}

// Unseal returns the folder's secret. It is ErrNoSecret, with the reason, if
// there is none, if another program or machine sealed it, under another
// manifest 1, or if it is of another cluster than the manifest's; and
// ErrOldManifest if it was in use under a newer manifest. From now on it is in
// use under this one, and the file says so. A next secret that is beside it
// stays: another server may have begun to use it, and gives it to this one.
func (f *Dir) Unseal(platform attest.Sealer, random io.Reader) (*node.Secret, error) {
	kept, s, err := f.unseal(platform)
	if err != nil {
		return nil, err
	}
	m := &f.Manifest.Manifest
	if public := m.PublicKey(); public != nil && !public.Equal(s.Cluster.Public()) {
		return nil, fmt.Errorf("%w: %s is of another cluster than the manifest's", ErrNoSecret, SecretFile)
	}
	used := binary.LittleEndian.Uint64(kept)
	if used > m.Sequence || s.Era > uint32(m.Era) {
		return nil, fmt.Errorf("%w: %s is manifest %d of era %d, and this server was started under manifest %d with a secret of era %d; put the newest manifest into the folder",
			ErrOldManifest, ManifestFile, m.Sequence, m.Era, used, s.Era)
	}
	if used < m.Sequence {
		binary.LittleEndian.PutUint64(kept, m.Sequence)
		err = f.seal(platform, random, kept)
	}
	return s, err
}

// unseal returns all that is sealed, and the secret that is in use.
func (f *Dir) unseal(platform attest.Sealer) ([]byte, *node.Secret, error) {
	blob, err := f.read(SecretFile, maxSecretBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: there is no %s", ErrNoSecret, SecretFile)
	}
	if err != nil {
		return nil, nil, err
	}
	key, err := platform.SealingKey()
	if errors.Is(err, attest.ErrNoSealing) {
		return nil, nil, fmt.Errorf("%w: another TEE sealed %s, this one has no sealing key", ErrNoSecret, SecretFile)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the TEE gives no sealing key: %w", err)
	}
	kept, err := keys.OpenSecret(key[:], f.sealLabel(), blob)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: another program, another machine or another manifest 1 sealed %s: %w", ErrNoSecret, SecretFile, err)
	}
	if len(kept) != keptBytes {
		return nil, nil, wrong("%s holds %d bytes, it must be %d: another version of this program sealed it", SecretFile, len(kept), keptBytes)
	}
	s, err := node.DecodeSecret(kept[keptBytes-node.SecretBytes:])
	return kept, s, err
}

// Genesis is what the first server says of the cluster that it made: the key
// to put into manifest 2, and evidence over it and manifest 1.
type Genesis struct {
	Manifest   manifest.Hex `json:"manifest"`    // hash of manifest 1
	ClusterKey manifest.Hex `json:"cluster_key"` // Ed25519
	Evidence   manifest.Hex `json:"evidence"`    // attest.Evidence, encoded
}

// MakeGenesis makes and seals the secret of a new cluster under manifest 1, and
// writes GenesisFile. Made a second time it finds its secret and says the same:
// a folder is the origin of one cluster only. It returns the secret too, for
// TEEs that have no sealing key: there it is kept nowhere else.
func (f *Dir) MakeGenesis(platform attest.Platform, random io.Reader) (*Genesis, *node.Secret, error) {
	m := &f.Manifest.Manifest
	if m.HasCluster() {
		return nil, nil, wrong("manifest %d names a cluster key: its cluster exists already", m.Sequence)
	}
	_, s, err := f.unseal(platform)
	if errors.Is(err, ErrNoSecret) && !errors.Is(err, keys.ErrSealed) {
		s, err = f.newSecret(platform, random)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w; to begin another cluster remove %s", err, filepath.Join(f.Path, SecretFile))
	}
	hash, public := f.Manifest.Hash(), s.Cluster.Public().(ed25519.PublicKey)
	evidence, err := platform.Issue(attest.Bind(attest.PurposeClusterKey, public, hash[:]))
	if err != nil {
		return nil, nil, err
	}
	raw, err := evidence.Encode()
	if err != nil {
		return nil, nil, err
	}
	g := &Genesis{Manifest: hash[:], ClusterKey: manifest.Hex(public), Evidence: raw}
	b, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return nil, nil, err
	}
	return g, s, f.write(GenesisFile, append(b, '\n'))
}

func (f *Dir) newSecret(platform attest.Platform, random io.Reader) (*node.Secret, error) {
	master, err := keys.NewMaster(random)
	if err != nil {
		return nil, err
	}
	key, err := keys.NewClusterKey(random)
	if err != nil {
		return nil, err
	}
	s := &node.Secret{Era: 1, Master: master, Cluster: key}
	if err := f.Seal(platform, random, s, nil); !errors.Is(err, attest.ErrNoSealing) {
		return s, err
	}
	return s, nil
}

// ParseGenesis reads a GenesisFile.
func ParseGenesis(b []byte) (*Genesis, error) {
	if len(b) > maxGenesisBytes {
		return nil, wrong("%s has %d bytes, more than %d", GenesisFile, len(b), maxGenesisBytes)
	}
	g := new(Genesis)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(g); err != nil {
		return nil, wrong("%s: %w", GenesisFile, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, wrong("%s: something follows its end", GenesisFile)
	}
	if len(g.ClusterKey) != ed25519.PublicKeySize {
		return nil, wrong("%s: a cluster key of %d bytes, it must have %d", GenesisFile, len(g.ClusterKey), ed25519.PublicKeySize)
	}
	return g, nil
}

// Verify checks that the cluster key was made under manifest 1, first, by a
// program and in a TEE that it accepts.
func (g *Genesis) Verify(first *manifest.Signed, v attest.Verifiers, now time.Time) error {
	hash := first.Hash()
	if !bytes.Equal(g.Manifest, hash[:]) {
		return wrong("%s is of the manifest %v, not of %x", GenesisFile, g.Manifest, hash)
	}
	evidence, err := attest.ParseEvidence(g.Evidence)
	if err != nil {
		return wrong("%s: %w", GenesisFile, err)
	}
	_, err = attest.Appraise(v, first.Manifest.Policy(), evidence,
		attest.Bind(attest.PurposeClusterKey, g.ClusterKey, hash[:]), now)
	if err != nil {
		return wrong("%s: %w", GenesisFile, err)
	}
	return nil
}
