package simulate

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/deploy"
	"github.com/teems-go/teems/internal/load"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/wire"
)

func options() Options {
	return Options{Clients: 10, Servers: 2, Epochs: 3, Channel: Both, Kill: -1}
}

func TestOptions(t *testing.T) {
	good := options()
	if err := good.Check(); err != nil {
		t.Errorf("good options: %v", err)
	}
	for name, change := range map[string]func(*Options){
		"no clients":       func(o *Options) { o.Clients = 0 },
		"too many sockets": func(o *Options) { o.Clients = mostProcesses*perProcess + 1 },
		"two each":         func(o *Options) { o.Clients, o.Layout = mostProcesses*perProcess/2+1, "ir,s" },
		"no epochs":        func(o *Options) { o.Epochs = 0 },
		"no such channel":  func(o *Options) { o.Channel = "" },
		"too hot":          func(o *Options) { o.Hot = 11 },
		"hot tokens":       func(o *Options) { o.Channel, o.Hot = Token, 2 },
		"no victim":        func(o *Options) { o.KillAt = 1 },
		"no such victim":   func(o *Options) { o.Kill, o.KillAt = 2, 1 },
		"killed too late":  func(o *Options) { o.Kill, o.KillAt = 1, 4 },
		"no servers":       func(o *Options) { o.Servers = 0 },
		"negative servers": func(o *Options) { o.Servers = -1 },
		"empty role":       func(o *Options) { o.Layout = "i,,r" },
		"unknown role":     func(o *Options) { o.Layout = "i,r,t" },
	} {
		o := options()
		change(&o)
		if err := o.Check(); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A client has a connection to each of its servers, and a process has no more than
// it can hold.
func TestConnections(t *testing.T) {
	for _, c := range []struct {
		o           Options
		connections uint64
		processes   int
	}{
		{Options{Clients: 1 << 14, Servers: 4}, 1 << 14, 1},
		{Options{Clients: 1<<14 + 1, Servers: 4}, 1<<14 + 1, 2},
		{Options{Clients: 1 << 14, Layout: "irs,r,is"}, 1 << 14, 1},
		{Options{Clients: 1 << 13, Layout: "i,r,s"}, 1 << 14, 1},
		{Options{Clients: 1 << 14, Layout: "irs,rs"}, 1 << 15, 2},
		{Options{Clients: 1 << 20, Servers: 4, Multiplexed: true}, 0, 0},
	} {
		if n, p := c.o.Connections(), c.o.processes(); n != c.connections || p != c.processes {
			t.Errorf("%+v: %d connections in %d processes", c.o, n, p)
		}
	}
	all := options()
	if all.Clients = mostProcesses * perProcess; all.Check() != nil {
		t.Error(all.Check())
	}
}

func TestTracked(t *testing.T) {
	for _, c := range []struct {
		clients   int
		most, now uint64
		ok        bool
	}{{1 << 21, 0, 0, true}, {1 << 16, 1 << 18, 1 << 16, true}, {1 << 17, 1 << 18, 1 << 17, false}, {1 << 18, 1 << 18, 0, false}} {
		o := Options{Clients: c.clients, Servers: 4, TrackedMost: c.most, TrackedNow: c.now}
		err := o.tracked()
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "nf_conntrack_max=")) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestLayout(t *testing.T) {
	all, err := Layout("i, rs,irs")
	if err != nil || len(all) != 3 || len(all[1].Roles) != 2 || all[1].Roles[1] != manifest.Storage {
		t.Errorf("%v, %v", all, err)
	}
}

func TestParameters(t *testing.T) {
	for channel, want := range map[string][2]int{ID: {1, 0}, Token: {0, 1}, Both: {1, 1}} {
		o := options()
		o.Channel = channel
		if p := o.parameters(); p.IDChannel.Out != want[0] || p.TokenChannel.Out != want[1] {
			t.Errorf("%s: %+v", channel, p)
		}
	}
}

// finished is a run of 10 clients on both channels that has 3 epochs.
func finished(change func(*run, *load.Account)) *run {
	o := options()
	a := load.Account{Epochs: 3, Sent: 60, Delivered: 60, ReferenceMatch: true}
	r := &run{o: &o, result: &Result{}, reports: map[uint64][]wire.EpochReport{}}
	r.done = &load.Event{Account: &a, Complete: true}
	change(r, &a)
	return r
}

func TestJudgement(t *testing.T) {
	if x, err := finished(func(*run, *load.Account) {}).finish(nil); err != nil || x.Sent != 60 || x.Error != "" {
		t.Errorf("%+v, %v", x, err)
	}
	for name, change := range map[string]func(*run, *load.Account){
		"lost":          func(_ *run, a *load.Account) { a.Lost = 1 },
		"unexpected":    func(_ *run, a *load.Account) { a.Unexpected = 1 },
		"no match":      func(_ *run, a *load.Account) { a.ReferenceMatch = false },
		"refused":       func(_ *run, a *load.Account) { a.TokensRefused = 1 },
		"not taken":     func(_ *run, a *load.Account) { a.Sent, a.Delivered = 59, 59 },
		"problem":       func(r *run, _ *load.Account) { r.done.Problem = "no token" },
		"unfound fault": func(r *run, _ *load.Account) { r.o.Fault = load.FaultFlip },
	} {
		if x, err := finished(change).finish(nil); !errors.Is(err, ErrWrong) || x.Error == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	late := finished(func(_ *run, a *load.Account) { a.Sent, a.Delivered, a.Missed = 58, 58, 1 })
	if _, err := late.finish(nil); err != nil {
		t.Errorf("a submission that was late: %v", err)
	}
	broken := finished(func(r *run, a *load.Account) { r.done.Complete, a.Epochs, a.Sent, a.Delivered = false, 1, 20, 20 })
	if x, err := broken.finish(ErrStopped); !errors.Is(err, ErrStopped) || errors.Is(err, ErrWrong) || x.Epochs != 1 {
		t.Errorf("a run that broke off: %+v, %v", x, err)
	}
}

func TestMeasure(t *testing.T) {
	r := finished(func(r *run, _ *load.Account) {
		r.reports[5] = []wire.EpochReport{
			{Epoch: 5, DeliveredNanos: 1e9, BytesToPeers: 10, CPUNanosTotal: 1e9, CPUNanosRouting: 5e8, RSSBytes: 7},
			{Epoch: 5, DeliveredNanos: 3e9, BytesToPeers: 30, CPUNanosTotal: 3e9, CPUNanosRouting: 1e9, RSSBytes: 9},
		}
		r.reports[6] = []wire.EpochReport{{Epoch: 6, DeliveredNanos: 9e9}, {}} // one report is missing
		r.gateways, r.simulator = window{1e9, 3e9}, window{1e9, 7e9}           // of both epochs
	})
	r.result.Clients, r.result.Servers, r.result.Threads, r.result.CellBytes = 10, 2, 1, 256
	x, err := r.finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	if x.EpochMean != 2 || math.Abs(x.EpochStddev-1) > 1e-9 || x.EpochMax != 3 || x.BytesMean != 20 ||
		x.CoreSeconds != 5 || x.RoutingCoreSeconds != 1.5 || x.RSSMax != 9 ||
		x.GatewayCoreSeconds != 1 || x.ClientCoreSeconds != 3 || x.Reported != 1 || len(x.Reports) != 2 || x.Reports[1].Server != 1 {
		t.Errorf("%+v", x)
	}
	const want = "10,2,1,256,3,2.000,1.000,3.000,0.000,0.000,0.000,20.000,10.000,30.000"
	if got := x.CSV(); got != want || strings.Count(CSVHeader, ",") != strings.Count(got, ",") {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// The folder of a run that was killed goes with the next one; that of one that
// runs, and what others made, stays.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	running, remove, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(os.TempDir(), folderPrefix+"killed")
	other := filepath.Join(os.TempDir(), folderPrefix+"other")
	for _, dir := range []string{killed, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(killed, lockFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sweep()
	for dir, stays := range map[string]bool{running: true, killed: false, other: true} {
		if _, err := os.Stat(dir); (err == nil) != stays {
			t.Errorf("%s: %v", dir, err)
		}
	}
	remove()
	if _, err := os.Stat(running); err == nil {
		t.Error("it is there after its end")
	}
}

// What a process said that died is kept when the run's folder goes, and the error
// names it.
func TestKeepLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	log := filepath.Join(dir, "server-1", deploy.LogFile)
	os.MkdirAll(filepath.Dir(log), 0o700)
	if err := os.WriteFile(log, []byte("why"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := keepLog(fmt.Errorf("%w: %w", ErrStopped, &deploy.Ended{Name: "server 1", PID: 7, LogAt: log}), dir)
	kept := filepath.Join(filepath.Dir(dir), "teems-server-1-7.log")
	if said, failed := os.ReadFile(kept); failed != nil || string(said) != "why" {
		t.Errorf("%q, %v", said, failed)
	}
	if !errors.Is(err, ErrStopped) || !strings.HasSuffix(err.Error(), kept) {
		t.Error(err)
	}
	if plain := errors.New("other"); keepLog(plain, dir) != plain || keepLog(nil, dir) != nil {
		t.Error("another error is changed")
	}
}
