package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/manifest"
)

const self = 3 // the simulated client that tests are

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testManifest is that of two servers with all roles, where every client has its
// ingestion and its storage server in one.
func testManifest(t testing.TB, change func(*manifest.Parameters)) *Manifest {
	t.Helper()
	return manifestOf(t, make([]manifest.Server, 2), change)
}

func manifestOf(t testing.TB, servers []manifest.Server, change func(*manifest.Parameters)) *Manifest {
	t.Helper()
	local := manifest.LocalServers(len(servers), "127.0.0.1", 7000, 1)
	for i := range local {
		local[i].Roles = servers[i].Roles
	}
	p := manifest.DefaultParameters(16)
	p.CellBytes = 64
	if change != nil {
		change(&p)
	}
	operator := ed25519.NewKeyFromSeed(make([]byte, 32))
	o := manifest.Options{
		Servers: local, Parameters: p, Policy: simulated.Policy([32]byte{1}),
		Operators:        []ed25519.PublicKey{operator.Public().(ed25519.PublicKey)},
		SimulatedClients: &manifest.SimulatedClients{Count: 8, Seed: make([]byte, 32)},
	}
	first, err := manifest.NewDefault(o)
	must(t, err)
	second, err := first.Successor()
	must(t, err)
	second.Manifest.ClusterKey = manifest.Hex(operator.Public().(ed25519.PublicKey))
	must(t, second.Sign(operator))
	m, err := FromSigned(second)
	must(t, err)
	return m
}

// separate are servers of which none both ingests and stores.
func separate() []manifest.Server {
	front, back := []manifest.Role{manifest.Ingestion, manifest.Routing}, []manifest.Role{manifest.Storage}
	return []manifest.Server{{Roles: front}, {Roles: back}, {Roles: front}, {Roles: back}}
}

// each runs a test with a client whose ingestion and storage server are one, and
// with a client that has two.
func each(t *testing.T, change func(*manifest.Parameters), test func(t *testing.T, f *fake)) {
	for name, c := range map[string]struct {
		servers []manifest.Server
		homes   []cell.Assignment
	}{
		"joint":    {make([]manifest.Server, 2), []cell.Assignment{{Role: cell.RoleJoint, Server: 1}}},
		"separate": {separate(), []cell.Assignment{{Role: cell.RoleIngestion, Server: 2}, {Role: cell.RoleStorage, Server: 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, manifestOf(t, c.servers, change))
			if !slices.Equal(f.homes, c.homes) {
				t.Fatalf("the client's homes are %v, not %v", f.homes, c.homes)
			}
			test(t, f)
		})
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
