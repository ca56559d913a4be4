package figures

import (
	"bytes"
	"crypto/sha256"
	"os"
	"strings"
	"testing"

	"github.com/teems-go/teems/experiments"
	"github.com/teems-go/teems/internal/experiment"
)

func report(t *testing.T) *experiment.Report {
	t.Helper()
	r, err := experiment.Load(experiments.Published(), experiment.DefaultBandwidth, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Drawing again gives the same bytes, and the pictures say whose lines they are.
func TestWrite(t *testing.T) {
	r := report(t)
	var sums [2][][32]byte
	for i := range sums {
		files, err := Write(t.TempDir(), r)
		if err != nil || len(files) != 12 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sums[i] = append(sums[i], sha256.Sum256(data))
			if strings.HasSuffix(f, ".svg") && !bytes.Contains(data, []byte("Xeon 8380")) {
				t.Errorf("%s names no machine", f)
			}
			if strings.HasSuffix(f, ".png") && !bytes.HasPrefix(data, []byte("\x89PNG")) {
				t.Errorf("%s is no PNG", f)
			}
		}
	}
	for i := range sums[0] {
		if sums[0][i] != sums[1][i] {
			t.Errorf("picture %d differs when it is drawn again", i)
		}
	}
}

// Points that a logarithmic axis cannot show, and none at all, are no errors.
func TestOddPoints(t *testing.T) {
	for _, p := range []Picture{
		{Title: "nothing"},
		{Lines: []Line{{Name: "zeros", Points: []Point{{0, 0, 0}, {1, 0, 1}}}}},
		{Lines: []Line{{Name: "one", Points: []Point{{5, 5, 50}}}}},
	} {
		for _, format := range Formats {
			if _, err := Draw(p, format); err != nil {
				t.Errorf("%+v: %v", p, err)
			}
		}
	}
}

func TestSteps(t *testing.T) {
	if floor125(0.37) != 0.2 || ceil125(0.37) != 0.5 || floor125(1) != 1 || ceil125(2) != 2 || ceil125(7) != 10 {
		t.Error(floor125(0.37), ceil125(0.37), floor125(1), ceil125(2), ceil125(7))
	}
}

// Clients with connections of their own and multiplexed ones are two lines.
func TestByMode(t *testing.T) {
	r := report(t)
	points := []experiment.Point{
		{N: 1 << 15, M: 4, T: 4, Mean: 1, CoreSeconds: 2, Mode: experiment.Sockets},
		{N: 1 << 18, M: 4, T: 4, Mean: 2, CoreSeconds: 3, Mode: experiment.Multiplexed},
	}
	r.Series = append([]experiment.Series{{Figure: 7, Channel: experiment.ID, Source: experiment.Source{Name: "ours", Machine: "here"}, Points: points}}, r.Series...)
	names, pictures := Pictures(r)
	for i, p := range pictures {
		if names[i] != "figure7-id" && names[i] != "core-seconds-id" {
			continue
		}
		if len(p.Lines) < 3 || p.Lines[0].Style == p.Lines[1].Style || len(p.Lines[0].Points) != 1 || len(p.Lines[1].Points) != 1 ||
			!strings.Contains(p.Lines[0].Name, "connections of their own") || !strings.Contains(p.Lines[1].Name, "multiplexed") {
			t.Errorf("%s: %+v", names[i], p.Lines)
		}
	}
}
