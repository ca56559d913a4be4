package main

import (
	"context"
	"crypto/ed25519"
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
