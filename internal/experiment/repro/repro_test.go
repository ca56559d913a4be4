package repro

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/probe"
)

// fake makes rows up. fail and stop are the numbers of runs, from 1.
type fake struct {
	ran        []experiment.Job
	fail, stop int
	cancel     func()
}

func (f *fake) Run(ctx context.Context, j experiment.Job) (experiment.Result, error) {
	f.ran = append(f.ran, j)
	switch len(f.ran) {
	case f.fail:
		return experiment.Result{}, errors.New("planted")
	case f.stop:
		f.cancel()
		return experiment.Result{}, ctx.Err()
	}
	return experiment.Result{Row: experiment.Row{
		N: j.N, M: j.M, T: j.T, B: j.B, E: 2, Epoch: experiment.Spread{Mean: float64(j.N) / (1 << 20), Max: 1}, CoreSeconds: 1,
		Sent: 8, Delivered: 8, Channel: j.Channel, Mode: j.Mode, Overloaded: j.Overloaded, System: j.System, TEE: "none", CPU: "a fake", Commit: "x",
	}}, nil
}

func config(dir string, f *fake) Config {
	return Config{
		Dir: dir, Options: probe.Options{Overload: true, Shrink: true}, Bandwidth: experiment.DefaultBandwidth, Out: &bytes.Buffer{},
		Machine: probe.Machine{Cores: probe.Cores{Physical: []int{0, 1}}, Memory: probe.Memory{Total: 24 << 30, Usable: 22 << 30}, Descriptors: probe.Descriptors{Limit: 20000, Hard: 20000}},
		Runners: map[string]experiment.Runner{experiment.TEEMS: f, experiment.Sparta: f},
	}
}

func rows(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	for _, channel := range experiment.Channels {
		data, err := os.ReadFile(filepath.Join(dir, experiment.FileName(channel)))
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(data, []byte("\n")) - 1
	}
	return n
}

// Everything runs once, is drawn, and is not run again.
func TestRun(t *testing.T) {
	dir, f := t.TempDir(), &fake{}
	c := config(dir, f)
	var said []string
	c.Progress = Lines(func(s string) { said = append(said, s) })
	if err := Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	all := len(f.ran)
	if all < 38 || rows(t, dir) != all || len(said) != all || !strings.Contains(said[all-1], "about") {
		t.Fatalf("%d ran, %d rows, %d said", all, rows(t, dir), len(said))
	}
	for i, j := range f.ran {
		if i > 0 && j.N < f.ran[i-1].N {
			t.Errorf("%v after %v", j, f.ran[i-1])
		}
	}
	if svg, err := filepath.Glob(filepath.Join(dir, "figures", "*.svg")); err != nil || len(svg) != 6 {
		t.Errorf("%v, %v", svg, err)
	}
	first := c.Out.(*bytes.Buffer).String()
	for _, want := range []string{"Figure 7, ID channel, ours (a fake)", "Figure 8, token channel, Sparta-SB (a fake)", "published"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	c.Out = &bytes.Buffer{}
	if err := Run(context.Background(), c); err != nil || len(f.ran) != all {
		t.Errorf("again: %v, %d ran", err, len(f.ran)-all)
	}
	if c.Out.(*bytes.Buffer).String() != first {
		t.Error("the tables differ when drawn again")
	}
	c.Out = &bytes.Buffer{}
	if err := PrintPlan(c); err != nil || c.Out.(*bytes.Buffer).Len() != 0 {
		t.Errorf("planned again: %v, %s", err, c.Out)
	}
}

// A run that is stopped anywhere keeps its rows, and the next one does the rest.
func TestStopAndResume(t *testing.T) {
	dir, all := t.TempDir(), 0
	for stop := 1; ; stop += 3 {
		ctx, cancel := context.WithCancel(context.Background())
		f := &fake{stop: stop, cancel: cancel}
		err := Run(ctx, config(dir, f))
		cancel()
		if err == nil {
			all += len(f.ran)
			break
		}
		if !errors.Is(err, ErrStopped) || len(f.ran) != stop {
			t.Fatalf("%v after %d", err, len(f.ran))
		}
		all += stop - 1
		if rows(t, dir) != all {
			t.Fatalf("%d rows, want %d", rows(t, dir), all)
		}
	}
	if rows(t, dir) != all || all < 38 {
		t.Errorf("%d rows, %d ran", rows(t, dir), all)
	}
}

func TestFailure(t *testing.T) {
	dir, f := t.TempDir(), &fake{fail: 3}
	err := Run(context.Background(), config(dir, f))
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "planted") || rows(t, dir) != len(f.ran)-1 {
		t.Errorf("%v, %d rows", err, rows(t, dir))
	}
	g := &fake{}
	if err := Run(context.Background(), config(dir, g)); err != nil || len(g.ran) != 1 || g.ran[0].Key() != f.ran[2].Key() {
		t.Errorf("%v, ran %v", err, g.ran)
	}
}

// An experiment that other programs leave too little memory for fails and says so;
// those that fit run.
func TestNotEnoughFree(t *testing.T) {
	f := &fake{}
	c := config(t.TempDir(), f)
	c.Free = func() uint64 { return 600 << 20 }
	err := Run(t.Context(), c)
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "600 MiB are free now: end other programs") {
		t.Fatal(err)
	}
	for _, j := range f.ran {
		if j.Memory > 600<<20 {
			t.Errorf("%v ran", j)
		}
	}
	if len(f.ran) == 0 {
		t.Error("what fits did not run")
	}
}

// Too few cores and too little memory are clear errors that name the variables,
// and nothing is written.
func TestMisfit(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"OVERLOAD_CORES=1": func(c *Config) { c.Options.Overload = false },
		"SHRINK_TO_MEM=1":  func(c *Config) { c.Options.Shrink = false; c.Machine.Memory.Usable = 2 << 30 },
		"not even":         func(c *Config) { c.Machine.Memory.Usable = 1 << 20 },
	} {
		dir := filepath.Join(t.TempDir(), "q")
		c := config(dir, &fake{})
		change(&c)
		err := Run(context.Background(), c)
		if !errors.Is(err, ErrFit) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("the folder was made")
		}
	}
}

func TestRedrawNothing(t *testing.T) {
	if err := Redraw(filepath.Join(t.TempDir(), "none"), 0, false, &bytes.Buffer{}, nil); !errors.Is(err, experiment.ErrData) {
		t.Errorf("%v", err)
	}
}

func TestBar(t *testing.T) {
	var b bytes.Buffer
	p := Bar(&b)
	p.Next(0, 2, "one", 0, 0)
	p.Next(1, 2, "two", 0.5, time.Minute)
	p.Close()
	if !strings.Contains(b.String(), "[2/2] two, about 1m0s left") {
		t.Errorf("%q", b.String())
	}
}
