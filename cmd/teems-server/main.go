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
// manifest. Under any other it serves until SIGINT or SIGTERM. When the next
// manifest is put into the folder while it serves, it goes over to that, with the
// secret in its memory: that is how a secret which nothing seals outlives a
// change, and how new code gets it.
//
// Exit codes: 0 ended as asked; 1 it could not begin, or the network failed it;
// 2 it was called in a way that it does not take, or Go's runtime ended it, of
// which nothing is said; 3 it stopped for good, because going on could have cost
// privacy or agreement, or because a part of it failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

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

// heapGrowth is by how many parts of a hundred the heap may grow before garbage
// is collected. The bulk of a server's memory is not the collector's, what is
// holds few pointers, and an epoch leaves little garbage: a collection costs
// milliseconds, and the heap's slack is memory that a TEE has to find.
const heapGrowth = 50

func command(args, environment []string, stderr io.Writer) int {
	debug.SetGCPercent(heapGrowth)
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
	x := &server{tee: tee, verifiers: verifiers.All(bundle.Bundle{}, bundle.Bundle{}), say: say, look: lookEvery} // evidence brings its collateral along
	return x.run(ctx, f)
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
