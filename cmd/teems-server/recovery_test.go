package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/node/deployment"
)

// TestHandOver is the way from one program to the next, in clusters whose TEEs
// seal nothing and in mixed ones, while no moment goes by in which nobody has
// the secret in memory; then a TCB recovery: the next era, in which people
// register again and talk.
func TestHandOver(t *testing.T) {
	if testing.Short() {
		t.Skip("runs clusters through four manifests")
	}
	for name, tees := range map[string][]string{
		"TDX":   {attest.TDX, attest.TDX, attest.TDX},
		"mixed": {attest.SGX, attest.TDX, attest.SNP, attest.SimulatedTEE},
	} {
		t.Run(name, func(t *testing.T) {
			x := newFleet(t, tees...)
			x.genesis()
			register, leave := x.people()
			old := x.talk(register, "in the first era")
			leave()

			// Both programs: the old servers go over, and hand the secret to the new.
			x.next(func(m *manifest.Manifest) { x.accepts(m, 1, 2) })
			for i := range tees {
				x.install(i)
			}
			x.serve("under manifest 3, era 1")
			for i := range tees {
				must(t, x.stops[i]())
				x.start(i, 2)
				x.says(i, "node: it has the cluster's secret")
				x.says(i, "under manifest 3, era 1")
			}

			// The new program alone, and new keys.
			x.next(func(m *manifest.Manifest) { x.accepts(m, 2); m.Era++ })
			for i := range tees {
				x.install(i)
			}
			x.serve("under manifest 4, era 2")
			for i := range tees {
				x.says(i, "keeps none of an era before")
			}
			register, leave = x.people()
			defer leave()
			x.talk(register, "in the second era")
			if _, err := client.Connect(t.Context(), client.Config{Manifest: register.Manifest, Identity: old, Gateways: register.Gateways}); !errors.Is(err, client.ErrEra) {
				t.Errorf("with keys of the first era: %v", err)
			}

			// The old program is refused by itself, and under the manifest before by all.
			f, err := deployment.Open(x.folders[1])
			must(t, err)
			s := &server{tee: x.v.Platform(tees[1], 1), verifiers: x.all, say: func(string) {}}
			if err := s.run(t.Context(), f); !errors.Is(err, attest.ErrPolicy) {
				t.Errorf("the old program: %v", err)
			}
			x.sealed()
		})
	}
}

// TestStays: a server that the next manifest does not accept, or cannot read,
// stays under its own with what it holds, and says why; it goes over when there
// is one for it.
func TestStays(t *testing.T) {
	x := newFleet(t, attest.TDX, attest.TDX)
	x.genesis()
	write(t, x.folders[0], deployment.ManifestFile, x.signed[0])
	x.says(0, "this server stays under manifest 2: deployment folder: "+x.folders[0]+" was put back to manifest 1")
	must(t, os.WriteFile(filepath.Join(x.folders[0], deployment.ManifestFile), []byte("{"), 0o600))
	x.says(0, "not a manifest file")
	x.next(func(m *manifest.Manifest) { x.accepts(m, 2) })
	x.install(0)
	x.says(0, "this server stays under manifest 2: the manifest does not accept this server")
	if n := strings.Count(x.log(0), "does not accept this server"); n != 1 {
		t.Errorf("it says so %d times", n)
	}
	// A stranger who is not an operator signs one.
	evil, err := x.signed[1].Successor()
	must(t, err)
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	x.accepts(&evil.Manifest, 1, 9)
	must(t, evil.Sign(stranger))
	write(t, x.folders[0], deployment.ManifestFile, evil)
	x.says(0, "signatures do not suffice")
	// The operators sign the right one; their mistake is not in the chain.
	x.signed = x.signed[:2]
	x.next(func(m *manifest.Manifest) { x.accepts(m, 1, 2) })
	x.install(0)
	x.install(1)
	x.serve("under manifest 3, era 1")
	for i := range x.tees {
		for _, word := range []string{"joins", "asks the other servers"} {
			_, since, _ := strings.Cut(x.log(i), "manifest 3 is in the folder")
			if strings.Contains(since, word) {
				t.Errorf("server %d lost the secret on its way to manifest 3: %s", i, word)
			}
		}
	}
}

// TestStaysForPorts: a server whose ports the next manifest got wrong does not end
// over that, with the only copy of the secret; when they can be opened it goes
// over.
func TestStaysForPorts(t *testing.T) {
	x := newFleet(t, attest.TDX)
	x.genesis()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	x.next(func(m *manifest.Manifest) { m.Servers[0].Front = taken.Addr().String() })
	x.install(0)
	x.says(0, "this server stays under manifest 2: the front port of server 0")
	must(t, taken.Close())
	x.serve("under manifest 3, era 1")
}

// TestRaisedMinimum is the recovery of platforms, not of code: under a manifest
// that asks for more, a server stays out until its platform has it and its
// collateral says so, and says what to do; with the last one the era turns.
func TestRaisedMinimum(t *testing.T) {
	x := newFleet(t, attest.SGX, attest.SNP, attest.TDX)
	var mu sync.Mutex
	renewed := map[string]bundle.Bundle{attest.SGX: x.v.Intel.Collateral(attest.SGX), attest.TDX: x.v.Intel.Collateral(attest.TDX)}
	x.platform = func(i int, program byte) attest.Platform {
		p := x.v.Platform(x.tees[i], program)
		if issuer := p.(*attesttest.Issuer); x.tees[i] != attest.SNP {
			issuer.Source = func() (bundle.Bundle, error) {
				mu.Lock()
				defer mu.Unlock()
				return renewed[x.tees[i]], nil
			}
		}
		return p
	}
	x.genesis()
	x.next(func(m *manifest.Manifest) {
		m.TEEs.SGX.MinTCBEvaluation++
		m.TEEs.TDX.MinTCBEvaluation++
		m.TEEs.SNP.MinTCB.SNP++
		m.Era++
	})
	for i := range x.tees {
		x.install(i)
	}
	x.says(0, "stays under manifest 2: the manifest does not accept this server, so no other server or client would: attest: refused by the policy: TCB evaluation")
	x.says(1, "stays under manifest 2: the manifest does not accept this server, so no other server or client would: attest: refused by the policy: TCB: ")
	x.says(2, "renew the collateral, update the platform")

	// Intel's platforms were updated: new collateral is enough. AMD's machine has
	// to start anew.
	x.v.Intel.Evaluation++
	mu.Lock()
	renewed[attest.SGX], renewed[attest.TDX] = x.v.Intel.Collateral(attest.SGX), x.v.Intel.Collateral(attest.TDX)
	mu.Unlock()
	for _, i := range []int{0, 2} {
		x.says(i, "manifest 3 is in the folder: this server goes over to it")
		x.says(i, "a new one is made when all servers are linked")
	}
	must(t, x.stops[1]())
	x.v.AMD.TCB.SNP++
	x.v.AMD.Reissue()
	x.start(1, 1)
	x.serve("under manifest 3, era 2")
	register, leave := x.people()
	defer leave()
	x.talk(register, "on platforms that were updated")
}

// TestNoSecretInLogs: nothing that a server says or writes in clear holds its
// secrets.
func TestNoSecretInLogs(t *testing.T) {
	x := newFleet(t, attest.SGX, attest.SNP)
	x.genesis()
	f, err := deployment.Open(x.folders[0])
	must(t, err)
	secret, err := f.Unseal(x.v.Platform(attest.SGX, 1), rand.Reader)
	must(t, err)
	for _, s := range [][]byte{secret.Master[:], secret.Cluster.Seed()} {
		for i := range x.tees {
			text := []byte(x.log(i))
			files, err := os.ReadDir(x.folders[i])
			must(t, err)
			for _, file := range files {
				b, err := os.ReadFile(filepath.Join(x.folders[i], file.Name()))
				must(t, err)
				text = append(text, b...)
			}
			if bytes.Contains(text, s) || bytes.Contains(text, []byte(hex.EncodeToString(s))) {
				t.Errorf("server %d tells a secret", i)
			}
		}
	}
}
