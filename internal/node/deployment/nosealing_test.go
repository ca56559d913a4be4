package deployment

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/manifest"
)

// noSealing is a TEE without a sealing key, as TDX is.
type noSealing struct{ attest.Platform }

func (noSealing) SealingKey() ([32]byte, error) { return [32]byte{}, attest.ErrNoSealing }

// Where the TEE has no sealing key, the genesis hands the secret over in memory,
// and nothing of it is on disk; the folder is watched for the next manifest.
func TestGenesisWithoutSealing(t *testing.T) {
	f := begin(t)
	d := f.open()
	g, secret, err := d.MakeGenesis(noSealing{simulated.NewIssuer(measurement)}, rand.Reader)
	must(t, err)
	if !bytes.Equal(secret.Cluster.Public().(ed25519.PublicKey), g.ClusterKey) {
		t.Error("the secret is of another cluster")
	}
	if _, err := os.Stat(filepath.Join(f.path, SecretFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a sealed secret: %v", err)
	}
	if next, err := d.Successor(); next != nil || err != nil {
		t.Errorf("the same manifest: %v, %v", next, err)
	}
	second := f.second(ed25519.PublicKey(g.ClusterKey))
	next, err := d.Successor()
	must(t, err)
	if next.Manifest.Hash() != second.Hash() || next.First != d.First {
		t.Errorf("%+v", next)
	}
	f.write(SecretFile, "sealed by another TEE")
	if _, err := next.Unseal(noSealing{simulated.NewIssuer(measurement)}, rand.Reader); !errors.Is(err, ErrNoSecret) {
		t.Errorf("a sealed secret that it cannot open: %v", err)
	}
	other := begin(t)
	other.second(ed25519.PublicKey(g.ClusterKey))
	must(t, os.RemoveAll(f.path))
	must(t, os.Rename(other.path, f.path))
	if _, err := d.Successor(); !errors.Is(err, ErrFolder) {
		t.Errorf("another chain of manifests: %v", err)
	}
}

// TestSuccessor: only what descends from the manifest in force follows it.
func TestSuccessor(t *testing.T) {
	f := begin(t)
	g, _, err := f.open().MakeGenesis(simulated.NewIssuer(measurement), rand.Reader)
	must(t, err)
	second := f.second(ed25519.PublicKey(g.ClusterKey))
	third := f.follow(second, nil)
	fourth := f.follow(third, func(m *manifest.Manifest) { m.Era++ })
	other := f.follow(third, func(m *manifest.Manifest) { m.Servers[0].Threads = 2 })
	f.manifest(ManifestFile, third)
	d := f.open()
	reset := func() {
		f.manifest(PredecessorFile(2), second)
		f.manifest(PredecessorFile(3), third)
		f.manifest(ManifestFile, third)
		f.write(ServerFile, `{"server":0}`)
	}
	for name, x := range map[string]struct {
		put  func()
		want *manifest.Signed
		says string
	}{
		"the same":                 {func() {}, nil, ""},
		"the next":                 {func() { f.manifest(ManifestFile, fourth) }, fourth, ""},
		"the one before":           {func() { f.manifest(ManifestFile, second) }, nil, "put back to manifest 2"},
		"the next, another":        {func() { f.manifest(ManifestFile, other) }, other, ""},
		"the one after the other":  {func() { f.follow(other, nil) }, nil, ""},
		"without one before":       {func() { f.manifest(ManifestFile, fourth); os.Remove(filepath.Join(f.path, PredecessorFile(2))) }, nil, "has no"},
		"the next in another role": {func() { f.manifest(ManifestFile, fourth); f.write(ServerFile, `{"server":9}`) }, nil, "names server 9"},
	} {
		reset()
		x.put()
		next, err := d.Successor()
		switch {
		case x.says != "" && (!errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), x.says)):
			t.Errorf("%s: %v, %v", name, next, err)
		case x.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case x.want != nil && (next == nil || next.Manifest.Hash() != x.want.Hash()):
			t.Errorf("%s: %v", name, next)
		}
	}
	// A sibling of the one in force, and what follows that.
	reset()
	f.manifest(ManifestFile, fourth)
	d = f.open()
	f.manifest(ManifestFile, other)
	if next, err := d.Successor(); next != nil || !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), "another manifest 4") {
		t.Errorf("a sibling: %v, %v", next, err)
	}
	f.follow(other, nil)
	if next, err := d.Successor(); next != nil || !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), "another manifest 4") {
		t.Errorf("what follows a sibling: %v, %v", next, err)
	}
}

func FuzzGenesis(f *testing.F) {
	f.Add([]byte(`{"manifest":"00","cluster_key":"0101010101010101010101010101010101010101010101010101010101010101","evidence":"02"}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := ParseGenesis(b); err == nil && len(g.ClusterKey) != ed25519.PublicKeySize {
			t.Errorf("%q has a cluster key of %d bytes", b, len(g.ClusterKey))
		}
	})
}
