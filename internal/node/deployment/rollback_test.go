package deployment

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/node"
)

// follow puts the successor of m in force.
func (f *fixture) follow(m *manifest.Signed, change func(m *manifest.Manifest)) *manifest.Signed {
	f.t.Helper()
	s, err := m.Successor()
	must(f.t, err)
	if change != nil {
		change(&s.Manifest)
	}
	must(f.t, s.Sign(f.operator))
	f.manifest(PredecessorFile(m.Manifest.Sequence), m)
	f.manifest(ManifestFile, s)
	return s
}

// TestRollbackOfTheManifest: a secret that was in use under a manifest is not
// given out under an older one of the same chain, and says so.
func TestRollbackOfTheManifest(t *testing.T) {
	f := begin(t)
	tee := simulated.NewIssuer(measurement)
	g, _, err := f.open().MakeGenesis(tee, rand.Reader)
	must(t, err)
	second := f.second(ed25519.PublicKey(g.ClusterKey))
	one, err := f.open().Unseal(tee, rand.Reader)
	must(t, err)
	sealedUnder2, err := os.ReadFile(filepath.Join(f.path, SecretFile))
	must(t, err)
	if again, err := f.open().Unseal(tee, rand.Reader); err != nil || again.Master != one.Master || one.Era != 1 {
		t.Fatalf("era %d, %v", one.Era, err)
	}
	if b, _ := os.ReadFile(filepath.Join(f.path, SecretFile)); !bytes.Equal(b, sealedUnder2) {
		t.Error("sealed anew though nothing changed")
	}

	third := f.follow(second, nil)
	if s, err := f.open().Unseal(tee, rand.Reader); err != nil || s.Master != one.Master {
		t.Fatalf("under the next manifest: %v", err)
	}
	f.manifest(ManifestFile, second)
	if s, err := f.open().Unseal(tee, rand.Reader); s != nil || !errors.Is(err, ErrOldManifest) || errors.Is(err, ErrNoSecret) || !strings.Contains(err.Error(), "manifest 2 of era 1") {
		t.Errorf("under the manifest before: %v", err)
	}

	// The next era: its secret is beside the old one, and then alone.
	f.manifest(ManifestFile, third)
	f.follow(third, func(m *manifest.Manifest) { m.Era++ })
	d := f.open()
	two := &node.Secret{Era: 2, Master: keys.Master{2}, Cluster: one.Cluster}
	must(t, d.Seal(tee, rand.Reader, one, two))
	if s, err := f.open().Unseal(tee, rand.Reader); err != nil || s.Master != one.Master || s.Era != 1 {
		t.Errorf("while the era turns: %v", err)
	}
	if !f.seals(tee, two.Master) {
		t.Error("the next secret was lost when the folder was read")
	}
	must(t, d.Seal(tee, rand.Reader, two, nil))
	if s, err := f.open().Unseal(tee, rand.Reader); err != nil || s.Master != two.Master || s.Era != 2 {
		t.Errorf("in the next era: %v", err)
	}
	if f.seals(tee, one.Master) {
		t.Error("the secret of the era before is still there")
	}
	for _, m := range []*manifest.Signed{second, third} {
		f.manifest(ManifestFile, m)
		if _, err := f.open().Unseal(tee, rand.Reader); !errors.Is(err, ErrOldManifest) {
			t.Errorf("the next era's secret under manifest %d: %v", m.Manifest.Sequence, err)
		}
	}

	// What was sealed before can be put back with its manifest, but it holds the
	// secret of its era only.
	f.write(SecretFile, string(sealedUnder2))
	f.manifest(ManifestFile, second)
	if s, err := f.open().Unseal(tee, rand.Reader); err != nil || s.Master != one.Master {
		t.Errorf("an old sealed secret under its manifest: %v", err)
	}
}

// seals says whether a master secret is somewhere in what the folder seals.
func (f *fixture) seals(tee *simulated.Issuer, m keys.Master) bool {
	f.t.Helper()
	kept, _, err := f.open().unseal(tee)
	must(f.t, err)
	return bytes.Contains(kept, m[:])
}
