package deployment

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
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
