package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/coordinator"
	"github.com/teems-go/teems/internal/deploy"
	"github.com/teems-go/teems/internal/load/simulate"
	"github.com/teems-go/teems/internal/manifest"
)

const (
	shortestPeriod = 20 * time.Millisecond
	oldClientsDir  = "clients.old" // identities of the cluster that ran there before
	upLock         = "up.lock"
)

// upOptions are the flags of up.
type upOptions struct {
	dir              string
	period           time.Duration
	servers, clients int
	talkers          int
	b                binaries
}

func newUp() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "run a cluster on this machine, to try it",
		Long: `Starts a cluster of server processes with simulated TEEs, which protect nothing,
a gateway, and a few clients that talk to each other, and runs until Ctrl-C. In
another terminal "teems client" makes you a client of it.

Everything is in one folder: manifests, keys, logs, and the identities of your
clients. The servers' state is in memory: each start is a new cluster, with new
identities; the old ones are set aside in ` + oldClientsDir + `.

` + exitCodes + ` Ctrl-C is 0.`,
		Example: `  teems up
  teems up --dir /tmp/my-cluster --period 200ms`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", defaultDir(), "folder for everything that belongs to the cluster")
	f.DurationVar(&o.period, "period", time.Second, "time from one epoch to the next")
	f.IntVar(&o.servers, "servers", 4, "servers, all with all roles")
	f.IntVar(&o.clients, "clients", 1024, "clients that there can be")
	f.IntVar(&o.talkers, "talkers", 3, "clients that are started and talk to each other")
	o.b.flags(cmd)
	return cmd
}

func (o *upOptions) check() error {
	switch {
	case o.period < shortestPeriod:
		return usageError("--period %v: choose %v or more", o.period, shortestPeriod)
	case o.servers < 1 || o.servers > geometry.MaxServers:
		return usageError("--servers %d: choose 1 to %d", o.servers, geometry.MaxServers)
	case o.talkers < 0 || o.talkers > o.clients:
		return usageError("--talkers %d: choose 0 to %d, the number of --clients", o.talkers, o.clients)
	}
	return nil
}

func (o *upOptions) run(cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return err
	}
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	fmt.Fprintln(out, "SIMULATED TEEs PROTECT NOTHING: this cluster is for trying things out. Whoever runs this machine can read everything.")
	say := sayOn(cmd.ErrOrStderr())
	unlockIt, err := o.takeFolder(ctx, say)
	if err != nil {
		return ended(ctx, err)
	}
	defer unlockIt()
	if err := o.b.find(ctx, say); err != nil {
		return ended(ctx, err)
	}
	c, err := deploy.Start(ctx, deploy.Spec{
		Dir: o.dir, Servers: make([]manifest.Server, o.servers), Parameters: manifest.DefaultParameters(o.clients),
		Gateways: 1, ServerBinary: o.b.server, GatewayBinary: o.b.gateway, Say: say,
	})
	if err != nil {
		return ended(ctx, err)
	}
	defer os.Remove(filepath.Join(o.dir, deploy.ClientFile)) // nobody takes it for running any more
	defer c.Stop()
	fmt.Fprint(out, o.describe(c))
	err = o.serve(ctx, c, sayOn(out))
	if err == nil {
		fmt.Fprintln(out, "stopping")
	}
	return err
}

// ended makes Ctrl-C no error.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// takeFolder makes the folder ours, and empty of what an earlier cluster left.
func (o *upOptions) takeFolder(ctx context.Context, say func(string)) (unlockIt func(), err error) {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, err
	}
	all, err := os.ReadDir(o.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		if n := e.Name(); !ours(n) {
			return nil, fmt.Errorf("%s is not empty, and %s in it does not belong to a cluster: choose another folder with --dir", o.dir, n)
		}
	}
	unlockIt, err = lock(ctx, filepath.Join(o.dir, upLock), "the folder "+o.dir, 0, say)
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		switch n := e.Name(); n {
		case upLock, oldClientsDir:
		case clientsDir:
			old := filepath.Join(o.dir, oldClientsDir)
			if err = os.RemoveAll(old); err == nil {
				err = os.Rename(filepath.Join(o.dir, n), old)
			}
			say("a new cluster: the identities of the one that ran here before are in " + old)
		default:
			err = os.RemoveAll(filepath.Join(o.dir, n))
		}
		if err != nil {
			unlockIt()
			return nil, err
		}
	}
	return unlockIt, nil
}

// ours says whether a file of this name is one of a cluster's folder.
func ours(name string) bool {
	switch name {
	case upLock, clientsDir, oldClientsDir, deploy.ManifestFile, deploy.KeyFile, deploy.ClientFile:
		return true
	}
	return strings.HasPrefix(name, "server-") || strings.HasPrefix(name, "gateway-") ||
		strings.HasPrefix(name, "manifest.") && strings.HasSuffix(name, ".json")
}

// serve runs epochs, and the clients that talk, until ctx is done or something
// ends that should not.
func (o *upOptions) serve(ctx context.Context, c *deploy.Cluster, say func(string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(nil)
	all.Go(func() {
		err := c.Coordinate(ctx, coordinator.Config{Period: o.period}, nil, func(e coordinator.Event) {
			switch e.Kind {
			case coordinator.EpochCommitted:
				if e.Epoch == 1 {
					say("the first epoch is done: the cluster runs")
				}
			case coordinator.AttemptStarted:
				if e.Attempt > 1 {
					say(fmt.Sprintf("epoch %d is tried again: %s", e.Epoch, e.Reason))
				}
			case coordinator.Stopped:
				cancel(fmt.Errorf("%w: server %d: %s", simulate.ErrStopped, e.Server, e.Reason))
			case coordinator.Diverged:
				say(e.Reason)
			}
		})
		if err != nil {
			cancel(err)
		}
	})
	all.Go(func() {
		if err := talk(ctx, c, o.talkers, say); err != nil && ctx.Err() == nil {
			say("the clients that talk have stopped: " + err.Error())
		}
	})
	select {
	case <-ctx.Done():
	case e := <-c.Failed():
		return fmt.Errorf("%w: %w", simulate.ErrStopped, e)
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// describe says in plain words what runs, where, and what an observer sees.
func (o *upOptions) describe(c *deploy.Cluster) string {
	g := c.Geometry
	up, down := 0, 0
	for _, h := range cell.Assignments(g, 0) { // the same for every client: all servers have all roles
		up += geometry.Sealed(cell.UpBytes(g, h.Role))
		down += geometry.Sealed(cell.DownBytes(g, h.Role))
	}
	p := g.Params()
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("")
	line("What runs, all of it on this machine:")
	for i, pid := range c.ServerPIDs() {
		line("  server %d   process %d, port %s", i, pid, c.Fronts[i])
	}
	for i, pid := range c.GatewayPIDs() {
		line("  gateway %d  process %d, port %s: where clients connect", i, pid, c.Gateways[i])
	}
	line("  this process: proposes an epoch every %v, and %d clients that talk to each other", o.period, o.talkers)
	line("Where: %s (manifests, keys, and a log of each process in its folder)", o.dir)
	line("")
	line("In each epoch a client can send %d message on the ID channel and %d with a token, of up to %d bytes,",
		p.ID.Out, p.Token.Out, p.CellBytes-4)
	line("and gets up to %d from contacts, %d from strangers and %d by tokens.", p.ID.Contact, p.ID.Stranger, p.Token.In)
	line("")
	line("What an observer of all hosts and networks would see, if the TEEs were real: which clients are")
	line("connected, and that each of them sends %d bytes and gets %d bytes in every epoch, whether it", up, down)
	line("has something to say or not. Not who writes to whom, how much, or how often.")
	line("")
	line("Try it, in another terminal:")
	line("  teems client --dir %s register --as alice", o.dir)
	line("  teems client --dir %s register --as bob", o.dir)
	line("  teems client --dir %[1]s send --as alice --to \"$(teems client --dir %[1]s id --as bob)\" \"hello\"", o.dir)
	line("  teems client --dir %s receive --as bob --one", o.dir)
	line("(or go run ./cmd/teems in place of teems.) Ctrl-C stops everything.")
	line("")
	return b.String()
}
