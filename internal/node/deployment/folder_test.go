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
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/node"
)

var measurement = [32]byte{8}

type fixture struct {
	t        *testing.T
	operator ed25519.PrivateKey
	first    *manifest.Signed
	path     string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin is a folder with manifest 1 for server 1 of 2.
func begin(t *testing.T) *fixture {
	t.Helper()
	operator, err := manifest.GenerateKey(rand.Reader)
	must(t, err)
	first, err := manifest.NewDefault(manifest.Options{
		Servers: manifest.LocalServers(2, "127.0.0.1", 7000, 1), Parameters: manifest.DefaultParameters(64),
		Operators: []ed25519.PublicKey{operator.Public().(ed25519.PublicKey)}, Policy: simulated.Policy(measurement),
	})
	must(t, err)
	must(t, first.Sign(operator))
	f := &fixture{t, operator, first, t.TempDir()}
	f.manifest(ManifestFile, first)
	f.write(ServerFile, "{\"server\": 1}\n")
	return f
}

func (f *fixture) write(name, content string) {
	f.t.Helper()
	must(f.t, os.WriteFile(filepath.Join(f.path, name), []byte(content), 0o600))
}

func (f *fixture) manifest(name string, m *manifest.Signed) {
	f.t.Helper()
	b, err := m.Encode()
	must(f.t, err)
	f.write(name, string(b))
}

// second puts manifest 2 in force, with the cluster key given.
func (f *fixture) second(key ed25519.PublicKey) *manifest.Signed {
	f.t.Helper()
	m, err := f.first.Successor()
	must(f.t, err)
	m.Manifest.ClusterKey = manifest.Hex(key)
	must(f.t, m.Sign(f.operator))
	f.manifest(PredecessorFile(1), f.first)
	f.manifest(ManifestFile, m)
	return m
}

func (f *fixture) open() *Dir {
	f.t.Helper()
	d, err := Open(f.path)
	must(f.t, err)
	return d
}

func TestFromGenesisToMember(t *testing.T) {
	f := begin(t)
	tee := simulated.NewIssuer(measurement)
	d := f.open()
	if d.Self != 1 || d.First != f.first.Hash() || d.Manifest.Manifest.HasCluster() {
		t.Fatalf("opened %+v", d)
	}
	g, _, err := d.MakeGenesis(tee, rand.Reader)
	must(t, err)
	b, err := os.ReadFile(filepath.Join(f.path, GenesisFile))
	must(t, err)
	read, err := ParseGenesis(b)
	must(t, err)
	must(t, read.Verify(f.first, simulated.Verifiers(), time.Now()))
	again, _, err := f.open().MakeGenesis(tee, rand.Reader)
	must(t, err)
	if !bytes.Equal(again.ClusterKey, g.ClusterKey) {
		t.Error("a second genesis in one folder made another cluster")
	}
	if _, _, err := d.MakeGenesis(simulated.NewIssuer([32]byte{9}), rand.Reader); err == nil {
		t.Error("another program made a cluster over a secret that it could not open")
	}

	second := f.second(ed25519.PublicKey(g.ClusterKey))
	d = f.open()
	if d.First != f.first.Hash() || d.Manifest.Hash() != second.Hash() {
		t.Error("wrong hashes")
	}
	secret, err := d.Unseal(tee, rand.Reader)
	must(t, err)
	if !bytes.Equal(secret.Cluster.Public().(ed25519.PublicKey), g.ClusterKey) {
		t.Error("the secret is of another cluster")
	}
	if _, _, err := d.MakeGenesis(tee, rand.Reader); err == nil {
		t.Error("a genesis under a manifest that names a cluster")
	}
	if _, err := d.Unseal(simulated.NewIssuer([32]byte{9}), rand.Reader); !errors.Is(err, ErrNoSecret) {
		t.Errorf("another program unsealed: %v", err)
	}
	if info, err := os.Stat(filepath.Join(f.path, SecretFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}

	// A host that makes manifests of its own, with the same cluster key, does not
	// get the secret under them.
	forged := begin(t)
	b, err = os.ReadFile(filepath.Join(f.path, SecretFile))
	must(t, err)
	forged.write(SecretFile, string(b))
	forged.second(ed25519.PublicKey(g.ClusterKey))
	if _, err := forged.open().Unseal(tee, rand.Reader); !errors.Is(err, ErrNoSecret) {
		t.Errorf("another chain of manifests with the same cluster key: %v", err)
	}

	other, err := keys.NewClusterKey(rand.Reader)
	must(t, err)
	must(t, d.Seal(tee, rand.Reader, &node.Secret{Era: 1, Cluster: other}, nil))
	if _, err := d.Unseal(tee, rand.Reader); !errors.Is(err, ErrNoSecret) {
		t.Errorf("the secret of another cluster: %v", err)
	}
	must(t, os.Remove(filepath.Join(f.path, SecretFile)))
	if _, err := d.Unseal(tee, rand.Reader); !errors.Is(err, ErrNoSecret) {
		t.Errorf("no secret: %v", err)
	}
}

func TestGenesisIsVerified(t *testing.T) {
	f := begin(t)
	g, _, err := f.open().MakeGenesis(simulated.NewIssuer(measurement), rand.Reader)
	must(t, err)
	for name, change := range map[string]func(g *Genesis){
		"key":      func(g *Genesis) { g.ClusterKey[0] ^= 1 },
		"manifest": func(g *Genesis) { g.Manifest[0] ^= 1 },
		"evidence": func(g *Genesis) { g.Evidence[len(g.Evidence)-1] ^= 1 },
	} {
		x := Genesis{bytes.Clone(g.Manifest), bytes.Clone(g.ClusterKey), bytes.Clone(g.Evidence)}
		change(&x)
		if x.Verify(f.first, simulated.Verifiers(), time.Now()) == nil {
			t.Errorf("another %s passed", name)
		}
	}
	for _, s := range []string{"", "{}", `{"manifest":"00","cluster_key":"00","evidence":"00"}`, `{"secret":"00"}`, "{} {}"} {
		if _, err := ParseGenesis([]byte(s)); err == nil {
			t.Errorf("%q was parsed", s)
		}
	}
}

func TestBadFolders(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(f *fixture)
		says  string
	}{
		"no manifest":      {func(f *fixture) { os.Remove(filepath.Join(f.path, ManifestFile)) }, "has no manifest.json"},
		"not a manifest":   {func(f *fixture) { f.write(ManifestFile, "{}") }, "manifest.json"},
		"no server.json":   {func(f *fixture) { os.Remove(filepath.Join(f.path, ServerFile)) }, "has no server.json"},
		"unknown field":    {func(f *fixture) { f.write(ServerFile, `{"server":1,"debug":true}`) }, "server.json"},
		"repeated field":   {func(f *fixture) { f.write(ServerFile, `{"server":1,"server":0}`) }, "server.json"},
		"field's case":     {func(f *fixture) { f.write(ServerFile, `{"Server":1}`) }, "server.json"},
		"not a number":     {func(f *fixture) { f.write(ServerFile, `{"server":"1"}`) }, "server.json"},
		"trailing":         {func(f *fixture) { f.write(ServerFile, `{"server":1} 2`) }, "server.json"},
		"no such server":   {func(f *fixture) { f.write(ServerFile, `{"server":2}`) }, "server 2"},
		"negative":         {func(f *fixture) { f.write(ServerFile, `{"server":-1}`) }, "server -1"},
		"large":            {func(f *fixture) { f.write(ServerFile, strings.Repeat(" ", 1000)) }, "at most"},
		"unsigned":         {func(f *fixture) { f.first.Signatures = nil; f.manifest(ManifestFile, f.first) }, "signed"},
		"changed":          {func(f *fixture) { f.first.Manifest.Servers[0].Threads = 7; f.manifest(ManifestFile, f.first) }, "signature"},
		"no predecessor":   {func(f *fixture) { f.successor(); os.Remove(filepath.Join(f.path, PredecessorFile(1))) }, "manifest.1.json"},
		"wrong operator":   {func(f *fixture) { f.operator, _ = manifest.GenerateKey(rand.Reader); f.successor() }, "operators"},
		"not the previous": {func(f *fixture) { m := f.successor(); f.manifest(PredecessorFile(1), m) }, "sequence number 2"},
	} {
		f := begin(t)
		c.spoil(f)
		if _, err := Open(f.path); !errors.Is(err, ErrFolder) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, ErrFolder) {
		t.Errorf("no folder: %v", err)
	}
}

func (f *fixture) successor() *manifest.Signed {
	key, err := keys.NewClusterKey(rand.Reader)
	must(f.t, err)
	return f.second(key.Public().(ed25519.PublicKey))
}
