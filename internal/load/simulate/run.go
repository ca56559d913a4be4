package simulate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/teems-go/teems/internal/coordinator"
	"github.com/teems-go/teems/internal/deploy"
	"github.com/teems-go/teems/internal/load"
	"github.com/teems-go/teems/internal/wire"
)

// Bounds of what is waited for.
const (
	stuckTime   = 10 * time.Minute // without any epoch, or word of the clients
	submitTime  = 20 * time.Second
	attemptTime = time.Minute
	reportTime  = 5 * time.Second  // for the servers' last reports
	accountTime = 20 * time.Second // for the simulator's account when it breaks off
)

// run is one run under way. Its goroutine is the one that called run.
type run struct {
	o           *Options
	c           *deploy.Cluster
	first, last uint64
	result      *Result

	coordinator chan coordinator.Event
	loader      chan load.Event
	reports     map[uint64][]wire.EpochReport
	gateways    window            // CPU time of all gateways
	simulator   window            // and of the simulated clients
	clients     []*deploy.Process // the simulator and its relays

	killed   bool
	done     *load.Event // the simulator's last word
	reported bool        // the last epoch's reports are there
}

func newRun(o *Options, c *deploy.Cluster) *run {
	first := load.FirstEpoch(c.Geometry)
	r := &run{
		o: o, c: c, first: first, last: first + uint64(o.Epochs) - 1,
		coordinator: make(chan coordinator.Event, 1024), loader: make(chan load.Event, 1024),
		reports: map[uint64][]wire.EpochReport{},
	}
	r.result = newResult(o, c, first)
	return r
}

// run is the whole of it: until the clients have completed the last epoch, or
// something fails.
func (r *run) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	presence, p, err := r.startLoad()
	if err != nil {
		return err
	}
	n := r.o.Clients
	ended := make(chan error, 1)
	go func() {
		ended <- r.c.Coordinate(ctx, coordinator.Config{
			SubmitTimeout: submitTime, AttemptTimeout: attemptTime, LastEpoch: r.last,
			StartWhen: func(ingestion, storage int) bool { return ingestion == n && storage == n },
		}, presence, func(e coordinator.Event) { r.coordinator <- e })
	}()
	err = r.watch(ctx, p)
	cancel()
	for {
		select {
		case <-r.coordinator: // it waits for us
			continue
		case failed := <-ended:
			return errors.Join(err, failed)
		}
	}
}

// startLoad starts the simulator, and its relays if clients have connections that
// are too many for one process. presence are the addresses at which the
// coordinator learns who is connected; nil: the gateways.
func (r *run) startLoad() (presence []string, p *deploy.Process, err error) {
	cfg := load.Config{
		Manifest: filepath.Join(r.c.Dir, deploy.ManifestFile), Gateways: r.c.Gateways,
		Multiplexed: r.o.Multiplexed, Seed: r.o.Seed, Hot: r.o.Hot, TokenSpan: r.o.TokenSpan,
		First: r.first, Last: r.last, Fault: r.o.Fault,
	}
	if r.o.Multiplexed {
		if presence, err = deploy.FreePorts(1); err != nil {
			return nil, nil, err
		}
		cfg.Presence = presence[0]
	}
	if n := r.o.processes(); n > 1 {
		if cfg.Relays, err = deploy.FreePorts(n); err != nil {
			return nil, nil, err
		}
	}
	for i, address := range cfg.Relays {
		relay := cfg
		relay.Relays, relay.Relay = nil, address
		if _, err := r.runLoad(fmt.Sprintf("relay-%d", i), i, len(cfg.Relays), relay, io.Discard); err != nil {
			return nil, nil, err
		}
	}
	out, pipe := io.Pipe()
	if p, err = r.runLoad("clients", 0, 1, cfg, pipe); err != nil {
		return nil, nil, err
	}
	go func() {
		<-p.Done()
		pipe.Close()
	}()
	go func() {
		defer close(r.loader)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e load.Event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				r.loader <- e
			}
		}
		io.Copy(io.Discard, out)
	}()
	return presence, p, nil
}

// runLoad starts the subcommand "load", the i-th of several alike.
func (r *run) runLoad(name string, i, alike int, cfg load.Config, out io.Writer) (*deploy.Process, error) {
	in, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	p, err := r.c.RunShare(i, alike, name, r.o.Loader, []string{"load"}, bytes.NewReader(in), out)
	if err != nil {
		return nil, err
	}
	r.clients = append(r.clients, p)
	return p, nil
}

// watch takes events until the run is over, and lets the simulator give its
// account if it breaks off.
func (r *run) watch(ctx context.Context, p *deploy.Process) error {
	err := r.events(ctx, p)
	if err == nil || r.done != nil {
		return err
	}
	p.Interrupt()
	timeout := time.After(accountTime)
	for r.done == nil {
		select {
		case e, ok := <-r.loader:
			if !ok {
				return err
			}
			r.load(e)
		case <-r.coordinator:
		case <-timeout:
			return err
		}
	}
	return err
}

func (r *run) events(ctx context.Context, p *deploy.Process) error {
	stuck := time.NewTimer(stuckTime)
	defer stuck.Stop()
	loader := r.loader
	var late <-chan time.Time
	for r.done == nil || !r.reported {
		select {
		case e := <-r.coordinator:
			if err := r.coordinate(e); err != nil {
				return err
			}
			if e.Kind != coordinator.EpochCommitted {
				continue
			}
		case e, ok := <-loader:
			if !ok {
				if loader = nil; r.done == nil {
					return p.Ended()
				}
				continue
			}
			r.load(e)
			if r.done == nil {
				break
			}
			if !r.done.Complete {
				return r.brokeOff()
			}
			late = time.After(reportTime)
		case e := <-r.c.Failed():
			return r.processEnded(e)
		case <-late:
			return nil // an epoch's reports are missing, and no message
		case <-ctx.Done():
			return fmt.Errorf("interrupted: %w", ctx.Err())
		case <-stuck.C:
			return fmt.Errorf("%w for %v: the servers' logs may say why", ErrStuck, stuckTime)
		}
		stuck.Reset(stuckTime)
	}
	return nil
}

// brokeOff is why the simulator ended early. A server that died is the better
// reason than the connections that died with it.
func (r *run) brokeOff() error {
	select {
	case e := <-r.c.Failed():
		return r.processEnded(e)
	case <-time.After(time.Second):
		return errors.New("the simulated clients ended early: " + r.done.Problem)
	}
}

func (r *run) processEnded(e *deploy.Ended) error {
	if r.killed && e.PID == r.c.ServerPIDs()[r.o.Kill] {
		return fmt.Errorf("%w: server %d was killed in epoch %d, as asked; what it held in memory is gone, so the others wait for it and no epoch after it completes",
			ErrStopped, r.o.Kill, r.o.KillAt)
	}
	return fmt.Errorf("%w: %w", ErrStopped, e)
}

func (r *run) load(e load.Event) {
	switch e.Event {
	case load.EventAttached:
		r.o.Say(fmt.Sprintf("%d clients are attached", e.Clients))
	case load.EventEpoch:
		r.o.Say(fmt.Sprintf("epoch %d of %d: %d sent, %d delivered, %d over the limit",
			e.Epoch-r.first+1, r.o.Epochs, e.Account.Sent, e.Account.Delivered, e.Account.OverLimit))
	case load.EventProblem:
		r.o.Say(e.Problem)
		if len(r.result.Problems) < maxProblems {
			r.result.Problems = append(r.result.Problems, e.Problem)
		}
	case load.EventDone:
		r.done = &e
	}
}

func (r *run) coordinate(e coordinator.Event) error {
	switch e.Kind {
	case coordinator.EpochStarted:
		if r.o.Kill >= 0 && !r.killed && e.Epoch == r.first+uint64(r.o.KillAt)-1 {
			r.killed = true
			r.o.Say(fmt.Sprintf("killing server %d in epoch %d", r.o.Kill, r.o.KillAt))
			return r.c.Kill(r.o.Kill)
		}
	case coordinator.AttemptStarted:
		if e.Attempt > 1 {
			r.o.Say(fmt.Sprintf("epoch %d is tried again (attempt %d): %s", e.Epoch, e.Attempt, e.Reason))
		}
	case coordinator.EpochDone:
		r.counted(e.Epoch)
		if e.Epoch >= r.first {
			r.reports[e.Epoch] = e.Reports
		}
		r.reported = r.reported || e.Epoch == r.last
	case coordinator.Stopped:
		return fmt.Errorf("%w: server %d: %s", ErrStopped, e.Server, e.Reason)
	case coordinator.Diverged:
		r.o.Say(e.Reason)
	}
	return nil
}

// weigh takes the sizes of all processes, which have ended.
func (r *run) weigh() {
	m := &r.result.Memory
	m.Servers, m.Gateways = r.c.Resident()
	for _, p := range r.clients {
		m.Simulator += p.Ended().Memory
	}
}

// window is the CPU time of processes between two epochs' ends.
type window struct{ from, to time.Duration }

func (w window) seconds() float64 { return max(w.to-w.from, 0).Seconds() }

// counted takes the CPU times of the other processes where the servers' are cut
// as well: when an epoch's last cell has been handed to the network.
func (r *run) counted(epoch uint64) {
	var clients time.Duration
	for _, p := range r.clients {
		clients += p.CPU()
	}
	for w, cpu := range map[*window]time.Duration{&r.gateways: r.c.GatewayCPU(), &r.simulator: clients} {
		if w.to = cpu; epoch < r.first {
			w.from = cpu
		}
	}
}
