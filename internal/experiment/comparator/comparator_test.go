package comparator

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/sparta"
)

func TestRun(t *testing.T) {
	for _, random := range []bool{false, true} {
		r, err := Run(context.Background(), Options{Users: 3000, Threads: 2, Epochs: 5, Random: random, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		if !r.ReferenceMatch || r.Lost != 0 || r.E != 5 || len(r.Raw) != 5 || r.EpochMean <= 0 {
			t.Errorf("%+v", r)
		}
		if random != (r.Deferred > 1000) || random != (r.Drained > 0) {
			t.Errorf("random %v: deferred %d times, %d epochs to drain", random, r.Deferred, r.Drained)
		}
		if !random && r.Sent != 5*3000 {
			t.Errorf("sent %d", r.Sent)
		}
	}
}

// A body that is not what was sent is found.
func TestCheckHasTeeth(t *testing.T) {
	store, err := sparta.New(sparta.Config{Users: 4, Sends: 4, BodyBytes: 8})
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(r *run){
		"nothing": func(*run) {},
		"a body":  func(r *run) { _, _, b := r.store.Delivered(1, 0); b[0] ^= 1 },
		"a lost one": func(r *run) {
			r.queues[2] = append(r.queues[2], 99)
			r.waiting++
		},
	} {
		r := &run{store: store, queues: make([][]uint64, 4), sender: map[uint64]uint32{}, all: []uint32{0, 1, 2, 3}, to: []uint32{1, 0, 3, 2},
			body: make([]byte, 8), report: &Report{}}
		stats := r.send()
		spoil(r)
		r.check(stats)
		_, err := r.finish()
		if errors.Is(err, ErrWrong) != (name != "nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRunner(t *testing.T) {
	e := experiment.Experiment{System: experiment.Sparta, Channel: experiment.Token, N: 1000, M: 1, T: 2, B: 64}
	x, err := Runner{Epochs: 2, CPU: "here", Commit: "abc"}.Run(context.Background(), experiment.Job{Experiment: e, Overloaded: true})
	if err != nil || x.Row.Check() != nil || x.Row.Key() != e.Key() || !x.Row.Overloaded || len(x.Raw) != 2 || !strings.Contains(string(x.Config), "Users") {
		t.Errorf("%+v, %v", x, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (Runner{Epochs: 2}).Run(ctx, experiment.Job{Experiment: e}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := (Runner{}).Run(context.Background(), experiment.Job{Experiment: e}); err == nil {
		t.Error("no epochs were taken")
	}
}
