// Package simulated runs experiments of TEEMS: real server and gateway
// processes on this machine and simulated clients, by package simulate, whose
// account becomes a row. It gives no row of a run in which anything was lost,
// altered or unexpected.
package simulated

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/load/simulate"
	"github.com/teems-go/teems/internal/probe"
)

// Runner gives rows of TEEMS.
type Runner struct {
	Server, Gateway string // programs
	Loader          string // program with the subcommand "load"
	Epochs          int    // that count, after the warm-up
	Seed            uint64 // of the traffic
	MostSockets     int    // clients that can have connections of their own; more are multiplexed; 0: no limit
	CPU, TEE        string // the machine
	Commit          string
	Say             func(line string) // what goes on in a run; nil: nothing

	run func(context.Context, simulate.Options) (*simulate.Result, error) // nil: simulate.Run
}

// Run implements experiment.Runner.
func (r Runner) Run(ctx context.Context, job experiment.Job) (experiment.Result, error) {
	if r.MostSockets > 0 && job.N > r.MostSockets {
		job.Mode = experiment.Multiplexed
	}
	say, run := r.Say, r.run
	if say == nil {
		say = func(string) {}
	}
	if run == nil {
		run = simulate.Run
	}
	o := simulate.Options{
		Clients: job.N, Servers: job.M, Threads: job.T, CellBytes: job.B, Epochs: r.Epochs, Channel: job.Channel, Seed: r.Seed,
		Multiplexed: job.Mode == experiment.Multiplexed, Kill: -1,
		Cores: job.Cores, Support: job.Simulator,
		ServerBinary: r.Server, GatewayBinary: r.Gateway, Loader: r.Loader, Say: say,
	}
	network := probe.Look(probe.ThisHost()).Network
	o.TrackedMost, o.TrackedNow = network.ConntrackMax, network.ConntrackNow
	x, err := run(ctx, o)
	if err != nil {
		return experiment.Result{}, err
	}
	if x.Unexpected != 0 || !x.ReferenceMatch || x.Missed != 0 || x.Void != 0 {
		return experiment.Result{}, fmt.Errorf("%w: %d unexpected messages, %d submissions too late, %d void epochs, as the reference: %v",
			experiment.ErrRun, x.Unexpected, x.Missed, x.Void, x.ReferenceMatch)
	}
	if x.Reported != x.Epochs {
		return experiment.Result{}, fmt.Errorf("%w: all servers have reported %d epochs of %d", experiment.ErrRun, x.Reported, x.Epochs)
	}
	config, err := json.Marshal(x) // with what was asked for
	if err != nil {
		return experiment.Result{}, err
	}
	return experiment.Result{Row: r.row(job, x), Raw: raw(x), Seed: r.Seed, Config: config}, nil
}

// raw is what each server did in each epoch, counted from 1. The gateways' CPU
// time is not in it.
func raw(x *simulate.Result) []experiment.Raw {
	var all []experiment.Raw
	for _, s := range x.Reports {
		all = append(all, experiment.Raw{
			Epoch: int(s.Epoch-x.FirstEpoch) + 1, Server: s.Server,
			EpochSeconds: float64(s.DeliveredNanos) / 1e9, AheadSeconds: float64(s.AheadNanos) / 1e9, Bytes: int64(s.BytesToPeers),
			CoreSeconds: float64(s.CPUNanosTotal) / 1e9, RoutingCoreSeconds: float64(s.CPUNanosRouting) / 1e9,
		})
	}
	return all
}

func (r Runner) row(job experiment.Job, x *simulate.Result) experiment.Row {
	return experiment.Row{
		N: x.Clients, M: x.Servers, T: x.Threads, B: x.CellBytes, E: x.Epochs,
		Epoch:       experiment.Spread{Mean: x.EpochMean, Stddev: x.EpochStddev, Max: x.EpochMax},
		Ahead:       experiment.Spread{Mean: x.AheadMean, Stddev: x.AheadStddev, Max: x.AheadMax},
		Bytes:       experiment.Spread{Mean: x.BytesMean, Stddev: x.BytesStddev, Max: x.BytesMax},
		CoreSeconds: x.CoreSeconds, RoutingCoreSeconds: x.RoutingCoreSeconds, RSSMax: int64(x.RSSMax),
		Sent: int64(x.Sent), Delivered: int64(x.Delivered), Lost: int64(x.Lost), OverLimit: int64(x.OverLimit),
		Channel: x.Channel, Mode: x.Mode, Overloaded: job.Overloaded || x.Overloaded,
		System: experiment.TEEMS, TEE: r.TEE, CPU: r.CPU, Commit: r.Commit,
	}
}
