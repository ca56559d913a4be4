package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/experiment/comparator"
	"github.com/teems-go/teems/internal/load"
	"github.com/teems-go/teems/internal/load/simulate"
	"github.com/teems-go/teems/internal/sparta"
)

// overloadNote is told where a machine may have fewer cores than there are threads.
const overloadNote = "OVERLOAD_CORES=1 is implied: servers, gateway and clients share this machine's cores"

func newSim() *cobra.Command {
	var o simulate.Options
	var b binaries
	var flip, drop, duplicate, asJSON bool
	var system string
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "run simulated clients through real server processes and check every message",
		Long: `Starts a cluster of its own (servers with simulated TEEs, a gateway), and clients
in a process of their own, which send one message a channel and epoch, over a TCP
connection each, or two where ingestion and storage have separate servers. Every
body that arrives is compared with what was sent. Tokens are asked for through
control cells during a warm-up; epochs count from the first in which they are
valid.

With --json the account is one object on stdout:
  E                completed epochs
  sent             messages that a sealed result says were taken
  delivered        those that arrived, every byte right
  over_limit       those that the plain reference drops: more were sent to one
                   client in an epoch than its mailbox has cells
  lost             sent - delivered - over_limit
  unexpected       altered, duplicated, or not for that client
  reference_match  all within the limit arrived, else exactly the best
and times, bytes and CPU time. If anything is wrong it fails.

--system sparta-sb runs the comparator instead, in this process: one server, no
network, random recipients of which some are sent much, so that messages wait in
its queue. Of the flags it takes --clients, --threads, --cell-bytes, --epochs,
--seed and --json.

` + exitCodes,
		Example: `  teems sim --clients 1000 --channel both --epochs 5
  teems sim --clients 4096 --channel id --hot-recipients 8 --json
  teems sim --clients 300 --layout i,i,r,r,r,s     servers with one role each
  teems sim --clients 20000 --multiplexed          without a socket a client
  teems sim --flip-bit                             does the check find it?
  teems sim --system sparta-sb --clients 4096      the comparator`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch system {
			case experiment.TEEMS:
			case experiment.Sparta:
				return simulateSparta(cmd, &o, asJSON)
			default:
				return usageError("--system %s: choose %s or %s", system, experiment.TEEMS, experiment.Sparta)
			}
			fault, err := oneFault(flip, drop, duplicate)
			if err != nil {
				return err
			}
			o.Fault = fault
			say := sayOn(cmd.ErrOrStderr())
			if err := o.Check(); err != nil {
				return err
			}
			say(overloadNote)
			r, err := simulateOnce(cmd.Context(), o, b, say)
			if r != nil {
				if failed := printResult(cmd.OutOrStdout(), r, asJSON); err == nil {
					err = failed
				}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&system, "system", experiment.TEEMS, "teems, or the comparator sparta-sb")
	f.IntVar(&o.Clients, "clients", 128, "simulated clients")
	f.IntVar(&o.Servers, "servers", 4, "servers, all with all roles")
	f.StringVar(&o.Layout, "layout", "", "instead of --servers the roles of each: i,i,r,r,s or irs,irs")
	f.IntVar(&o.Threads, "threads", 1, "threads of each server")
	f.IntVar(&o.CellBytes, "cell-bytes", 0, "bytes of a message (default 256)")
	f.IntVar(&o.Epochs, "epochs", 5, "epochs, after the warm-up")
	f.StringVar(&o.Channel, "channel", simulate.Both, "id, token or both")
	f.IntVar(&o.Hot, "hot-recipients", 0, "on the ID channel everyone writes to one of so many clients, with random priorities (0: a random permutation)")
	f.BoolVar(&o.Multiplexed, "multiplexed", false, "one link to each server instead of connections of each client and gateways")
	f.IntVar(&o.TokenSpan, "token-span", 0, "epochs that a token lasts (0: as long as allowed)")
	f.Uint64Var(&o.Seed, "seed", 1, "of the traffic: who sends what to whom")
	f.IntVar(&o.Kill, "kill-server", -1, "kill this server, counted from 0")
	f.IntVar(&o.KillAt, "at-epoch", 0, "in which epoch, counted from 1")
	f.BoolVar(&flip, "flip-bit", false, "alter one bit of a delivered message before it is checked, so that the run must fail")
	f.BoolVar(&drop, "drop-one", false, "drop one delivered message, so that the run must fail")
	f.BoolVar(&duplicate, "duplicate-one", false, "deliver one message twice, so that the run must fail")
	f.BoolVar(&asJSON, "json", false, "the account as JSON on stdout")
	b.flags(cmd)
	return cmd
}

// notSparta are the flags that the comparator does not take.
var notSparta = []string{"servers", "layout", "channel", "hot-recipients", "multiplexed", "token-span", "kill-server", "at-epoch", "flip-bit", "drop-one", "duplicate-one"}

// simulateSparta runs the comparator.
func simulateSparta(cmd *cobra.Command, o *simulate.Options, asJSON bool) error {
	if i := slices.IndexFunc(notSparta, cmd.Flags().Changed); i >= 0 {
		return usageError("--%s is not for %s", notSparta[i], experiment.Sparta)
	}
	r, err := comparator.Run(cmd.Context(), comparator.Options{
		Users: o.Clients, Threads: o.Threads, CellBytes: o.CellBytes, Epochs: o.Epochs, Seed: o.Seed, Random: true,
	})
	if errors.Is(err, sparta.ErrConfig) {
		return usageError("%w", err)
	}
	if r == nil {
		return err
	}
	var failed error
	if asJSON {
		failed = printJSON(cmd.OutOrStdout(), r)
	} else {
		_, failed = fmt.Fprintf(cmd.OutOrStdout(), `%d epochs of %d clients on one server of %d threads (%s, in memory)
  sent %d, delivered %d, lost %d, unexpected %d; messages that waited for another epoch: %d
  as the plain reference: %v
  an epoch took %.3f s on average, %.3f s at most; %.3f core-seconds
`, r.E, r.Clients, r.Threads, r.System, r.Sent, r.Delivered, r.Lost, r.Unexpected, r.Deferred,
			r.ReferenceMatch, r.EpochMean, r.EpochMax, r.CoreSeconds)
	}
	if err == nil {
		err = failed
	}
	return err
}

func oneFault(flip, drop, duplicate bool) (load.Fault, error) {
	fault := load.FaultNone
	for _, f := range []struct {
		on    bool
		fault load.Fault
	}{{flip, load.FaultFlip}, {drop, load.FaultDrop}, {duplicate, load.FaultDuplicate}} {
		if !f.on {
			continue
		}
		if fault != load.FaultNone {
			return "", usageError("--%s and --%s: choose one", fault, f.fault)
		}
		fault = f.fault
	}
	return fault, nil
}

// simulateOnce finds the programs and runs a simulation.
func simulateOnce(ctx context.Context, o simulate.Options, b binaries, say func(string)) (*simulate.Result, error) {
	if err := b.find(ctx, say); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	network := readyNetwork(o.Connections(), say)
	o.TrackedMost, o.TrackedNow = network.ConntrackMax, network.ConntrackNow
	o.ServerBinary, o.GatewayBinary, o.Loader, o.Say = b.server, b.gateway, self, say
	return simulate.Run(ctx, o)
}

func printResult(w io.Writer, r *simulate.Result, asJSON bool) error {
	if asJSON {
		return printJSON(w, r)
	}
	_, err := fmt.Fprintf(w, `%d epochs of %d clients on %d servers (channel: %s, %s)
  sent %d, delivered %d, over the limit %d, lost %d, unexpected %d
  as the plain reference: %v; tokens issued: %d; submitted too late: %d
  an epoch took %.3f s on average, %.3f s at most; %.0f bytes from one server to all others
  CPU an epoch: %.3f core-seconds of servers and gateways (the simulated clients: %.3f)
`, r.Epochs, r.Clients, r.Servers, r.Channel, r.Mode,
		r.Sent, r.Delivered, r.OverLimit, r.Lost, r.Unexpected,
		r.ReferenceMatch, r.TokensIssued, r.Missed, r.EpochMean, r.EpochMax, r.BytesMean, r.CoreSeconds, r.ClientCoreSeconds)
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
