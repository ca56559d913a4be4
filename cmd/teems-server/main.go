// Command teems-server is one server of a TEEMS deployment: the program that
// is measured and that runs inside the TEE.
//
//	teems-server <deployment folder>
//
// The folder is described in package deployment. Nothing else changes what the
// server does: it has no flags, and refuses to start when an environment
// variable that begins with GO is set, because Go's runtime would read it.
//
// It is built for one TEE (package platform), by default for the simulated one,
// which protects nothing, as its first line says.
//
// Under a manifest that names no cluster key it makes one (genesis), writes
// genesis.json and ends, or, in a TEE without a sealing key, waits for the next
// manifest. Under any other it serves until SIGINT or SIGTERM.
//
// Exit codes: 0 ended as asked; 1 it could not begin, or the network failed it;
// 2 it was called in a way that it does not take, or Go's runtime ended it, of
// which nothing is said; 3 it stopped for good, because going on could have cost
// privacy or agreement, or because a part of it failed.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/platform"
	"github.com/teems-go/teems/attest/verifiers"
	"github.com/teems-go/teems/internal/node"
	"github.com/teems-go/teems/internal/node/deployment"
)

const (
	exitFailed  = 1
	exitUsage   = 2
	exitStopped = 3
)

const usage = `usage: teems-server <deployment folder>

Runs one server of a TEEMS deployment. The folder holds manifest.json, the
signed manifest, and server.json, such as {"server": 0}. There are no flags.

  teems-server /srv/teems/server-0

Exit codes: 0 ended as asked, 1 failed, 2 wrong call or environment, 3 stopped for good.
`

func main() {
	os.Exit(run(os.Args[1:], os.Environ()))
}

func run(args, environment []string) int {
	return hardened(func(stderr io.Writer) int { return command(args, environment, stderr) })
}

func command(args, environment []string, stderr io.Writer) int {
	for _, v := range environment {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "GO") {
			fmt.Fprintf(stderr, "teems-server: the environment variable %s is set, and Go's runtime may read it: start the server with an empty environment (env -i teems-server ...)\n", name)
			return exitUsage
		}
	}
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		fmt.Fprint(stderr, usage)
		if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
			return 0
		}
		return exitUsage
	}
	say := speaker(stderr)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := serve(ctx, args[0], say)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, node.ErrStopped):
		say(err.Error())
		return exitStopped
	}
	say("teems-server: " + err.Error())
	return exitFailed
}

func serve(ctx context.Context, path string, say func(string)) error {
	if platform.TEE == attest.SimulatedTEE {
		say("SIMULATED TEE: there is no TEE here, and this server protects nothing and nobody: whoever runs this machine can read everything. For development only.")
	}
	f, err := deployment.Open(path)
	if err != nil {
		return err
	}
	tee, err := platform.Open(f.Collateral())
	if err != nil {
		return err
	}
	say(fmt.Sprintf("the TEE is %s, and the measurement of this server %v", platform.TEE, tee.Measurement()))
	if err := acceptable(f, tee); err != nil {
		return err
	}
	if f.Manifest.Manifest.HasCluster() {
		secret, err := f.Unseal(tee, rand.Reader)
		if errors.Is(err, deployment.ErrNoSecret) {
			say(err.Error())
		} else if err != nil {
			return err
		}
		return member(ctx, f, tee, secret, say)
	}
	return genesis(ctx, f, tee, say)
}

// allVerifiers have no collateral: evidence brings its own along.
var allVerifiers = verifiers.All(bundle.Bundle{}, bundle.Bundle{})

// acceptable asks the manifest about this server, as every other server and
// client will.
func acceptable(f *deployment.Folder, tee attest.Issuer) error {
	data := attest.Bind("teems/1 start")
	evidence, err := tee.Issue(data)
	if err != nil {
		return err
	}
	if err := f.KeepEvidence(evidence); err != nil {
		return err
	}
	if _, err := attest.Appraise(allVerifiers, f.Manifest.Manifest.Policy(), evidence, data, time.Now()); err != nil {
		if errors.Is(err, attest.ErrEvidence) || errors.Is(err, attest.ErrExpired) {
			err = fmt.Errorf("%w; if collateral is missing or has ended, outside the TEE: teems collateral fetch --folder %s", err, f.Path)
		}
		return fmt.Errorf("the manifest does not accept this server, so no other server or client would: %w", err)
	}
	return nil
}

// genesis makes a cluster. Where the TEE has no sealing key the secret is in
// memory only, so the process goes on to be the first member.
func genesis(ctx context.Context, f *deployment.Folder, tee attest.Platform, say func(string)) error {
	g, secret, err := f.MakeGenesis(tee, rand.Reader)
	if err != nil {
		return err
	}
	say(fmt.Sprintf("genesis: the cluster's public key is %v; it and the evidence over it are in %s. Sign a manifest 2 that names it, and start the servers under that", g.ClusterKey, deployment.GenesisFile))
	if _, err := tee.SealingKey(); !errors.Is(err, attest.ErrNoSealing) {
		return err
	}
	say("genesis: this TEE has no sealing key, so the secret is in the memory of this process alone: leave it running, and put manifest 2 into its folder")
	for {
		select {
		case <-ctx.Done():
			return errors.New("ended before there was a manifest 2: the cluster's secret is lost")
		case <-time.After(time.Second):
		}
		next, err := f.Successor()
		switch {
		case err != nil:
			say("genesis: " + err.Error() + "; waiting on") // perhaps the files are being put there
		case next == nil:
		case !next.Manifest.Manifest.HasCluster():
			return errors.New("the next manifest names no cluster key: make it with the genesis file")
		default:
			if err := acceptable(next, tee); err != nil {
				return err
			}
			return member(ctx, next, tee, secret, say)
		}
	}
}

func member(ctx context.Context, f *deployment.Folder, tee attest.Platform, secret *node.Secret, say func(string)) error {
	servers := f.Manifest.Manifest.Servers
	front, err := listen("front", f.Self, servers[f.Self].Front)
	if err != nil {
		return err
	}
	defer front.Close()
	var mesh net.Listener
	if len(servers) > 1 {
		if mesh, err = listen("mesh", f.Self, servers[f.Self].Mesh); err != nil {
			return err
		}
		defer mesh.Close()
	}
	var dialer net.Dialer
	n, err := node.New(node.Config{
		Manifest: f.Manifest, Genesis: f.Named, Self: f.Self, Secret: secret,
		Keep:      func(held, next *node.Secret) error { return keep(f, tee, held, next) },
		Issuer:    tee,
		Verifiers: allVerifiers,
		Mesh:      mesh,
		Front:     front,
		Dial: func(ctx context.Context, server int) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", servers[server].Mesh)
		},
		Rand: rand.Reader, Now: time.Now, Log: say,
	})
	if err != nil {
		return err
	}
	err = n.Run(ctx)
	if err == nil {
		say("ended as asked")
	}
	return err
}

// keep seals the cluster's secret. A server whose TEE has no sealing key keeps
// nothing, and asks the others when it starts anew.
func keep(f *deployment.Folder, tee attest.Platform, held, next *node.Secret) error {
	err := f.Seal(tee, rand.Reader, held, next)
	if errors.Is(err, attest.ErrNoSealing) {
		return nil
	}
	return err
}

// listen opens a port of the manifest. A loopback address is taken as it is;
// any other is what the world calls this machine, so all addresses are opened.
func listen(what string, self int, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		host = ""
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the %s port of server %d, %s, is in use by another program, perhaps by an old server: end that, or sign a manifest with another port", what, self, address)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the %s port of server %d, %s: %w", what, self, address, err)
	}
	return l, nil
}
