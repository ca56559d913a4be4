package experiment

import (
	"io/fs"
	"testing"

	"github.com/teems-go/teems/experiments"
)

func TestPlan(t *testing.T) {
	all := Plan()
	if len(all) != 38 {
		t.Fatalf("%d experiments", len(all))
	}
	count := map[[2]any]int{}
	for i, e := range all {
		count[[2]any{e.Figures[0], e.Channel}]++
		if i > 0 && (e.N < all[i-1].N || e.N == all[i-1].N && e.Threads() < all[i-1].Threads()) {
			t.Errorf("%v comes after %v", e, all[i-1])
		}
		if e.Channel != Channels[i%2] {
			t.Errorf("experiment %d is on the %s channel", i, e.Channel)
		}
	}
	for _, channel := range Channels {
		if count[[2]any{7, channel}] != 6 || count[[2]any{8, channel}] != 13 {
			t.Errorf("%s: %v", channel, count)
		}
	}
	if got := len(Unique(all)); got != 38 {
		t.Errorf("%d different ones", got)
	}
}

// The plan is what was published, no more and no less.
func TestPlanIsThePublished(t *testing.T) {
	planned := map[Key]int{}
	for _, e := range Plan() {
		planned[e.Key()] = e.Figures[0]
	}
	for _, figure := range Figures {
		for _, channel := range Channels {
			points, err := published(experiments.Published(), figure, channel)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range points {
				k := Key{TEEMS, channel, p.N, p.M, p.T, p.B}
				if planned[k] != figure {
					t.Errorf("%v of Figure %d is not planned", k, figure)
				}
				delete(planned, k)
			}
		}
	}
	for k := range planned {
		t.Errorf("%v was not published", k)
	}
	if _, err := fs.Stat(experiments.Published(), "tables.txt"); err != nil {
		t.Error(err)
	}
}

func TestUniqueAndRemaining(t *testing.T) {
	a := Experiment{TEEMS, ID, 1 << 19, 4, 4, 256, []int{7}}
	b := a
	b.Figures = []int{8}
	c := a
	c.Channel = Token
	got := Unique([]Experiment{a, b, a, c})
	if len(got) != 2 || len(got[0].Figures) != 2 || got[1].Channel != Token {
		t.Errorf("%+v", got)
	}
	if len(a.Figures) != 1 {
		t.Error("Unique changed its input")
	}
	if left := Remaining(got, map[Key]bool{a.Key(): true}); len(left) != 1 || left[0].Channel != Token {
		t.Errorf("%+v", left)
	}
}

func TestComparator(t *testing.T) {
	for _, cores := range []int{1, 2, 80} {
		seen := map[Key]bool{}
		for _, e := range Comparator(cores) {
			if seen[e.Key()] || e.M != 1 || e.System != Sparta {
				t.Errorf("%v", e)
			}
			seen[e.Key()] = true
		}
		if !seen[Key{Sparta, Token, 1 << 20, 1, 1, 256}] || !seen[Key{Sparta, ID, 1 << 15, 1, 4, 256}] {
			t.Errorf("%d cores: %v", cores, seen)
		}
	}
}

// The model is fitted to what it is not checked on: no run of the calibration is
// one of a figure, and all have fewer clients than the largest of those.
func TestCalibration(t *testing.T) {
	published := map[Key]bool{}
	for _, e := range Plan() {
		published[e.Key()] = true
	}
	seen := map[Key]bool{}
	for _, e := range Calibration() {
		if published[e.Key()] || seen[e.Key()] || e.N > 1<<16 || e.System != TEEMS {
			t.Errorf("%v", e)
		}
		seen[e.Key()] = true
	}
	if len(seen) != 24 {
		t.Errorf("%d runs", len(seen))
	}
}
