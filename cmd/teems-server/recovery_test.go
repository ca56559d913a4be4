package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/client"
	"github.com/teems-go/teems/internal/coordinator"
	"github.com/teems-go/teems/internal/gateway"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/node/deployment"
)

// fleet is a cluster of servers as they run in processes, each with a folder, in
// fake TEEs.
type fleet struct {
	t        *testing.T
	v        *attesttest.Vendors
	all      attest.Verifiers
	tees     []string
	folders  []string
	operator ed25519.PrivateKey
	signed   []*manifest.Signed // the chain, from manifest 1 on

	mu   sync.Mutex
	logs []string // one text a server

	stops []func() error

	platform func(i int, program byte) attest.Platform // that a server runs on
}

func newFleet(t *testing.T, tees ...string) *fleet {
	before := runtime.NumGoroutine()
	v := attesttest.NewVendors(time.Now())
	x := &fleet{t: t, v: v, all: v.Verifiers(), tees: tees, logs: make([]string, len(tees)), stops: make([]func() error, len(tees))}
	x.platform = func(i int, program byte) attest.Platform { return v.Platform(tees[i], program) }
	var first *manifest.Signed
	x.folders, first, x.operator = clusterUnder(t, len(tees), v.Policy(tees, 1))
	x.signed = append(x.signed, first)
	t.Cleanup(func() {
		for i := range tees {
			if x.stops[i] != nil {
				must(t, x.stops[i]())
			}
		}
		for range 500 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		stacks := make([]byte, 1<<20)
		t.Errorf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
	})
	return x
}

// start starts a server with a program; stopping it says how it ended.
func (x *fleet) start(i int, program byte) {
	x.t.Helper()
	f, err := deployment.Open(x.folders[i])
	must(x.t, err)
	x.forget(i)
	s := &server{tee: x.platform(i, program), verifiers: x.all, look: 20 * time.Millisecond, say: func(line string) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.logs[i] += line + "\n"
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, f) }()
	x.stops[i] = sync.OnceValue(func() error { cancel(); return <-done })
}

func (x *fleet) log(i int) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.logs[i]
}

func (x *fleet) forget(i int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.logs[i] = ""
}

// says waits until a server says something.
func (x *fleet) says(i int, text string) {
	x.t.Helper()
	for range 2000 {
		if strings.Contains(x.log(i), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	for j := range x.tees {
		x.t.Logf("server %d:\n%s", j, x.log(j))
	}
	x.t.Fatalf("server %d never said %q", i, text)
}

// next signs the manifest that follows.
func (x *fleet) next(change func(m *manifest.Manifest)) *manifest.Signed {
	x.t.Helper()
	s, err := x.signed[len(x.signed)-1].Successor()
	must(x.t, err)
	change(&s.Manifest)
	must(x.t, s.Sign(x.operator))
	x.signed = append(x.signed, s)
	return s
}

// install puts the newest manifest into a server's folder.
func (x *fleet) install(i int) {
	last := len(x.signed) - 1
	for n, m := range x.signed[:last] {
		write(x.t, x.folders[i], deployment.PredecessorFile(uint64(n+1)), m)
	}
	write(x.t, x.folders[i], deployment.ManifestFile, x.signed[last])
}

// accepts are the programs that a manifest accepts from now on.
func (x *fleet) accepts(m *manifest.Manifest, programs ...byte) {
	m.TEEs.Measurements = x.v.Policy(x.tees, programs...).Measurements
}

// genesis makes the cluster and starts all servers under manifest 2.
func (x *fleet) genesis() {
	x.t.Helper()
	x.start(0, 1)
	x.says(0, "genesis: the cluster's public key is")
	b, err := os.ReadFile(filepath.Join(x.folders[0], deployment.GenesisFile))
	must(x.t, err)
	g, err := deployment.ParseGenesis(b)
	must(x.t, err)
	must(x.t, g.Verify(x.signed[0], x.all, time.Now()))
	x.next(func(m *manifest.Manifest) { m.ClusterKey = g.ClusterKey })
	for i := range x.tees {
		x.install(i)
		if i > 0 {
			x.start(i, 1)
		} else if x.tees[0] != attest.TDX {
			must(x.t, x.stops[0]())
			x.start(0, 1)
		}
	}
	x.serve("under manifest 2, era 1")
}

// serve waits until all servers serve so.
func (x *fleet) serve(how string) {
	x.t.Helper()
	for i := range x.tees {
		x.says(i, fmt.Sprintf("node: server %d of %d serves cluster %x %s", i, len(x.tees), x.signed[1].Manifest.ClusterID(), how))
	}
}

// people is the untrusted part of a cluster, under the newest manifest, until
// leave is called.
func (x *fleet) people() (register client.RegisterConfig, leave func()) {
	x.t.Helper()
	signed := x.signed[len(x.signed)-1]
	m, err := client.FromSigned(signed)
	must(x.t, err)
	g, err := signed.Manifest.Geometry()
	must(x.t, err)
	var fronts []string
	for _, s := range signed.Manifest.Servers {
		fronts = append(fronts, s.Front)
	}
	gate, err := gateway.New(gateway.Config{Geometry: g, Fronts: fronts})
	must(x.t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(x.t, err)
	address := ln.Addr().String()
	runner, err := coordinator.NewRunner(coordinator.RunnerConfig{
		Machine: coordinator.Config{Geometry: g, Period: 20 * time.Millisecond, SubmitTimeout: 200 * time.Millisecond},
		Servers: fronts, Gateways: []string{address},
	})
	must(x.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := gate.Serve(ctx, ln); err != nil {
			x.t.Errorf("the gateway ended: %v", err)
		}
	})
	all.Go(func() { runner.Run(ctx) })
	return client.RegisterConfig{Manifest: m, Gateways: []string{address}, Verifiers: x.all, Wait: true}, func() { cancel(); all.Wait() }
}

// talk has two people register and one write to the other. It returns the
// identity of one.
func (x *fleet) talk(r client.RegisterConfig, text string) *client.Identity {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), time.Minute)
	defer cancel()
	var identities []*client.Identity
	var clients []*client.Client
	for range 2 {
		id, err := client.Register(ctx, r)
		must(x.t, err)
		c, err := client.Connect(ctx, client.Config{Manifest: r.Manifest, Identity: id, Gateways: r.Gateways})
		must(x.t, err)
		defer c.Close()
		identities, clients = append(identities, id), append(clients, c)
	}
	_, err := clients[0].Send(ctx, client.Outgoing{To: clients[1].Address(), Body: []byte(text)})
	must(x.t, err)
	m, err := clients[1].Receive(ctx)
	if err != nil || string(m.Body) != text || m.From != clients[0].Address() {
		x.t.Errorf("received %+v, %v", m, err)
	}
	return identities[0]
}

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

// sealed checks that no folder has anything of the secrets in clear, and that
// TDX left nothing there at all.
func (x *fleet) sealed() {
	x.t.Helper()
	for i, tee := range x.tees {
		_, err := os.Stat(filepath.Join(x.folders[i], deployment.SecretFile))
		if sealed := err == nil; sealed == (tee == attest.TDX) {
			x.t.Errorf("server %d, %s: a sealed secret: %v", i, tee, sealed)
		}
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
