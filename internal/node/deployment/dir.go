// Package deployment reads and writes a server's deployment folder: all that
// tells a server who it is, and all that it keeps of the cluster's secret.
//
//	manifest.json     the manifest in force, signed
//	manifest.N.json   every manifest before it, from 1 on
//	server.json       {"server": index}: which of the manifest's servers this is
//	secret.sealed     the cluster's secret, sealed by the TEE, and the newest manifest
//	                  under which it was in use; absent until there is one
//	genesis.json      under manifest 1: the cluster's public key and evidence over it
//	evidence.bin      what this server proved of itself when it started last, for whoever
//	                  fetches collateral
//	collateral.bin    what the TEE's vendor publishes of this platform (package bundle);
//	                  absent in simulation, and where the evidence needs none
//
// The folder belongs to the host and is not trusted. It guarantees that the
// manifests form a chain in which each is signed by the operators of the one
// before. Whether manifest 1 is the right one nobody can tell in here: its
// successor's hash is in all evidence, and clients and operators compare it.
package deployment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/internal/manifest"
)

// The names in a folder.
const (
	ManifestFile = "manifest.json"
	ServerFile   = "server.json"
	SecretFile   = "secret.sealed"
	GenesisFile  = "genesis.json"
	// EvidenceFile says to the helper which platform it is.
	EvidenceFile = "evidence.bin"
	// CollateralFile is renewed by an untrusted helper while the server runs.
	CollateralFile = "collateral.bin"

	maxServerBytes  = 64
	maxSecretBytes  = 4 << 10
	maxGenesisBytes = 1 << 20
)

// ErrFolder says that a deployment folder cannot be used.
var ErrFolder = errors.New("deployment folder")

func wrong(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFolder}, a...)...)
}

// PredecessorFile is the name of a manifest that is not in force any more.
func PredecessorFile(sequence uint64) string {
	return "manifest." + strconv.FormatUint(sequence, 10) + ".json"
}

// Dir is a deployment folder that was read.
type Dir struct {
	Path     string
	Manifest *manifest.Signed // in force
	First    [32]byte         // hash of manifest 1
	Named    [32]byte         // hash of the first manifest that names the cluster's key; zero if none does
	Self     int              // this server's index

	chain [][32]byte // hashes of manifests 1 to the one in force
	file  []byte     // that the one in force was read from
}

// Open reads and checks a folder.
func Open(path string) (*Dir, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, wrong("%v: give the folder that holds %s", err, ManifestFile)
	}
	if !info.IsDir() {
		return nil, wrong("%s is not a folder: give the one that holds %s", path, ManifestFile)
	}
	f := &Dir{Path: path}
	if f.Manifest, f.file, err = f.readManifest(ManifestFile); err != nil {
		return nil, err
	}
	if f.First, err = f.verify(); err != nil {
		return nil, err
	}
	if f.Self, err = f.readServer(); err != nil {
		return nil, err
	}
	return f, nil
}

// Collateral reads the folder's collateral anew whenever evidence is made.
func (f *Dir) Collateral() bundle.Source {
	return bundle.File(filepath.Join(f.Path, CollateralFile))
}

// KeepEvidence writes evidence of this server, which is public, into the folder.
func (f *Dir) KeepEvidence(e attest.Evidence) error {
	b, err := e.Encode()
	if err != nil {
		return err
	}
	return f.write(EvidenceFile, b)
}

// Successor reads the folder again. It returns nil as long as the manifest in
// force is the same. One that does not descend from it is an error: it would be
// an older one, or of another cluster.
func (f *Dir) Successor() (*Dir, error) {
	// Nearly always it is the same file: to parse and check that every second would
	// cost a server among 72 a fifth of its CPU time.
	if b, err := f.read(ManifestFile, manifest.MaxFileBytes); err == nil && bytes.Equal(b, f.file) {
		return nil, nil
	}
	s, err := Open(f.Path)
	switch {
	case err != nil:
		return nil, err
	case s.First != f.First:
		return nil, wrong("%s has another manifest 1 than before", f.Path)
	case len(s.chain) < len(f.chain):
		return nil, wrong("%s was put back to manifest %d: manifest %d is in force", f.Path, len(s.chain), len(f.chain))
	case s.chain[len(f.chain)-1] != f.Manifest.Hash():
		return nil, wrong("%s has another manifest %d than the one in force: what follows that is not taken", f.Path, len(f.chain))
	case len(s.chain) == len(f.chain):
		return nil, nil
	}
	return s, nil
}

// verify follows the chain from manifest 1 on and returns its hash.
func (f *Dir) verify() ([32]byte, error) {
	last := f.Manifest.Manifest.Sequence
	var first [32]byte
	var before *manifest.Signed
	for n := uint64(1); n <= last; n++ {
		name, m, err := ManifestFile, f.Manifest, error(nil)
		if n < last {
			name = PredecessorFile(n)
			if m, _, err = f.readManifest(name); err != nil {
				return first, err
			}
		}
		if before == nil {
			first = m.Hash()
			if m.Manifest.Sequence != 1 {
				return first, wrong("%s has sequence number %d, it must be 1", name, m.Manifest.Sequence)
			}
			err = m.VerifyPinned(first)
		} else {
			err = m.VerifySuccessor(before)
		}
		if err != nil {
			return first, wrong("%s: %w", name, err)
		}
		before = m
		f.chain = append(f.chain, m.Hash())
		if f.Named == ([32]byte{}) && m.Manifest.HasCluster() {
			f.Named = m.Hash()
		}
	}
	return first, nil
}

func (f *Dir) readManifest(name string) (*manifest.Signed, []byte, error) {
	b, err := f.read(name, manifest.MaxFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, wrong("%s has no %s: put the signed manifest there, and those before it as %s and so on",
			f.Path, name, PredecessorFile(1))
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := manifest.Parse(b)
	if err != nil {
		return nil, nil, wrong("%s: %w", filepath.Join(f.Path, name), err)
	}
	return m, b, nil
}

// readServer takes exactly {"server": N}, spaces aside.
func (f *Dir) readServer() (int, error) {
	servers := len(f.Manifest.Manifest.Servers)
	what := fmt.Sprintf(`write {"server": N}, with N from 0 to %d as the servers stand in the manifest`, servers-1)
	b, err := f.read(ServerFile, maxServerBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, wrong("%s has no %s: %s", f.Path, ServerFile, what)
	}
	if err != nil {
		return 0, err
	}
	var v struct {
		Server int `json:"server"`
	}
	var compact bytes.Buffer
	if json.Unmarshal(b, &v) != nil || json.Compact(&compact, b) != nil ||
		compact.String() != `{"server":`+strconv.Itoa(v.Server)+`}` {
		return 0, wrong("%s is not what it must be: %s", filepath.Join(f.Path, ServerFile), what)
	}
	if v.Server < 0 || v.Server >= servers {
		return 0, wrong("%s names server %d, which the manifest does not have: %s", filepath.Join(f.Path, ServerFile), v.Server, what)
	}
	return v.Server, nil
}

// read reads a file of the folder, of a limited size.
func (f *Dir) read(name string, limit int64) ([]byte, error) {
	path := filepath.Join(f.Path, name)
	info, err := os.Stat(path)
	if err != nil {
		return nil, wrong("%w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, wrong("%s is not a file of at most %d bytes", path, limit)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, wrong("%w", err)
	}
	if int64(len(b)) > limit {
		return nil, wrong("%s grew while it was read", path)
	}
	return b, nil
}

// write replaces a file of the folder, whole or not at all, and returns when it
// is durable.
func (f *Dir) write(name string, b []byte) (err error) {
	t, err := os.CreateTemp(f.Path, "."+name+".*") // readable by its owner only
	if err != nil {
		return wrong("cannot write: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(t.Name())
			err = wrong("cannot write %s: %w", filepath.Join(f.Path, name), err)
		}
	}()
	_, err = t.Write(b)
	err = errors.Join(err, t.Sync(), t.Close())
	if err != nil {
		return err
	}
	if err = os.Rename(t.Name(), filepath.Join(f.Path, name)); err != nil {
		return err
	}
	dir, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
