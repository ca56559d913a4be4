package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/internal/manifest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestPutAside: an identity of an era that is over makes room for a new one, any
// other is left alone.
func TestPutAside(t *testing.T) {
	key, err := manifest.GenerateKey(rand.Reader)
	must(t, err)
	signed, err := manifest.NewDefault(manifest.Options{
		Servers: manifest.LocalServers(1, "127.0.0.1", 7000, 1), Parameters: manifest.DefaultParameters(64),
		Operators: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}, Policy: simulated.Policy([32]byte{1}),
	})
	must(t, err)
	m := &signed.Manifest
	m.Sequence, m.Era, m.Predecessor, m.ClusterKey = 4, 2, make(manifest.Hex, 32), m.Operators.Keys[0]
	loaded, err := client.FromSigned(signed)
	must(t, err)
	for name, x := range map[string]struct {
		cluster [32]byte
		era     string
		aside   bool
	}{
		"the era before":          {loaded.Cluster(), "", true},
		"this era":                {loaded.Cluster(), `"era": 2,`, false},
		"a later one":             {loaded.Cluster(), `"era": 3,`, false},
		"of another cluster, old": {[32]byte{1}, "", false},
	} {
		dir := t.TempDir()
		c := clusterFlags{dir: dir, as: "alice", manifestLoaded: loaded}
		dir, err := c.folder()
		must(t, err)
		must(t, os.MkdirAll(dir, 0o700))
		path := filepath.Join(dir, identityFile)
		zero := strings.Repeat("00", 32)
		must(t, os.WriteFile(path, fmt.Appendf(nil, `{"format": 1, "cluster": "%x", "id": 3, "generation": 1, "epoch": 9, %s "client_key": %q, "registration_seed": %q}`,
			x.cluster, x.era, zero, zero), 0o600))
		must(t, os.WriteFile(filepath.Join(dir, headFile), []byte("{}"), 0o600))
		must(t, c.putAside(dir, func(string) {}))
		_, err = os.Stat(path)
		_, noHead := os.Stat(filepath.Join(dir, headFile))
		_, noOld := os.Stat(path + ".era-1")
		if errors.Is(err, os.ErrNotExist) != x.aside || (noHead != nil) != x.aside || (noOld == nil) != x.aside {
			t.Errorf("%s: identity %v, head %v, old %v", name, err, noHead, noOld)
		}
		if x.aside {
			must(t, c.putAside(dir, func(string) {})) // there is none any more
		}
	}
}
