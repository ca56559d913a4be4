package simulated

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/load"
	"github.com/teems-go/teems/internal/load/simulate"
	"github.com/teems-go/teems/internal/wire"
)

// fake gives the account of a perfect run, altered.
func fake(alter func(*simulate.Result), err error) func(context.Context, simulate.Options) (*simulate.Result, error) {
	return func(_ context.Context, o simulate.Options) (*simulate.Result, error) {
		mode := experiment.Sockets
		if o.Multiplexed {
			mode = experiment.Multiplexed
		}
		x := &simulate.Result{
			Account: load.Account{Epochs: o.Epochs, Sent: o.Clients, Delivered: o.Clients - 1, OverLimit: 1, ReferenceMatch: true},
			Clients: o.Clients, Servers: o.Servers, Threads: o.Threads, CellBytes: o.CellBytes, Channel: o.Channel, Mode: mode,
			EpochMean: 0.5, BytesMax: 7, CoreSeconds: 3, RoutingCoreSeconds: 2, RSSMax: 1 << 30, Reported: o.Epochs, FirstEpoch: 5,
			Reports: []simulate.Report{{Server: 3, EpochReport: wire.EpochReport{Epoch: 6, CPUNanosTotal: 2e9, BytesToPeers: 8}}},
		}
		alter(x)
		return x, err
	}
}

func TestRow(t *testing.T) {
	e := experiment.Experiment{System: experiment.TEEMS, Channel: experiment.ID, N: 1 << 15, M: 4, T: 2, B: 256}
	r := Runner{Epochs: 3, MostSockets: 8192, TEE: "simulated", CPU: "here", Commit: "abc", run: fake(func(*simulate.Result) {}, nil)}
	x, err := r.Run(context.Background(), experiment.Job{Experiment: e, Mode: experiment.Sockets, Overloaded: true})
	if err != nil || x.Row.Check() != nil || x.Row.Key() != e.Key() {
		t.Fatalf("%+v, %v", x.Row, err)
	}
	if row := x.Row; row.Mode != experiment.Multiplexed || !row.Overloaded || row.Epoch.Mean != 0.5 || row.Bytes.Max != 7 || row.OverLimit != 1 || row.TEE != "simulated" {
		t.Errorf("%+v", row)
	}
	if !strings.Contains(string(x.Config), `"seed"`) {
		t.Errorf("%s", x.Config)
	}
	want := experiment.Raw{Epoch: 2, Server: 3, Bytes: 8, CoreSeconds: 2}
	if len(x.Raw) != 1 || x.Raw[0] != want {
		t.Errorf("%+v", x.Raw)
	}
	r.MostSockets = 0
	if x, err := r.Run(context.Background(), experiment.Job{Experiment: e, Mode: experiment.Sockets}); err != nil || x.Row.Mode != experiment.Sockets {
		t.Errorf("%+v, %v", x.Row, err)
	}
}

func TestNoRowOfABadRun(t *testing.T) {
	planted := errors.New("planted")
	for name, alter := range map[string]func(*simulate.Result){
		"altered":   func(x *simulate.Result) { x.Unexpected = 1 },
		"reference": func(x *simulate.Result) { x.ReferenceMatch = false },
		"late":      func(x *simulate.Result) { x.Missed = 1 },
		"void":      func(x *simulate.Result) { x.Void = 1 },
		"reports":   func(x *simulate.Result) { x.Reported-- },
	} {
		r := Runner{Epochs: 1, run: fake(alter, nil)}
		if _, err := r.Run(context.Background(), experiment.Job{}); !errors.Is(err, experiment.ErrRun) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := Runner{run: fake(func(*simulate.Result) {}, planted)}
	if _, err := r.Run(context.Background(), experiment.Job{}); !errors.Is(err, planted) {
		t.Errorf("%v", err)
	}
}
