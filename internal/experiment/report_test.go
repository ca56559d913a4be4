package experiment

import (
	"bytes"
	"io/fs"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/teems-go/teems/experiments"
)

func tables(t *testing.T, dir fs.FS) string {
	t.Helper()
	r, err := Load(dir, DefaultBandwidth, silent(t))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Tables(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// From what was published alone, the tables are what is kept beside it, and hold
// every published line as it is.
func TestPublishedTables(t *testing.T) {
	want, err := fs.ReadFile(experiments.Published(), "tables.txt")
	if err != nil {
		t.Fatal(err)
	}
	got := tables(t, experiments.Published())
	if got != string(want) {
		t.Errorf("got\n%s", got)
	}
	names, err := fs.Glob(experiments.Published(), "*.csv")
	if err != nil || len(names) != 4 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(experiments.Published(), name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, string(data)) {
			t.Errorf("%s is not in the tables as it is", name)
		}
	}
	if tables(t, fstest.MapFS{}) != got {
		t.Error("an empty folder gives other tables")
	}
}

func TestReport(t *testing.T) {
	ours, t1, shrunk := aResult(Token, 1<<15).Row, aResult(Token, 1<<20).Row, aResult(Token, 1<<14).Row
	ours.Bytes.Max = 13e9 / 8 / 4 // a quarter of a second
	t1.T, shrunk.T = 1, 1
	s := ours
	s.System, s.M = Sparta, 1
	s1 := s
	s1.N, s1.T = 1<<20, 1
	file := line(Columns())
	for _, r := range []Row{ours, t1, shrunk, s, s1} {
		file = append(file, line(r.Fields())...)
	}
	r, err := Load(fstest.MapFS{"token-channel.csv": {Data: file}}, DefaultBandwidth, silent(t))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]Series{}
	for _, s := range r.Series {
		if s.Channel == Token {
			lines[string(rune('0'+s.Figure))+s.Source.Name] = s
		}
	}
	for key, n := range map[string]int{"7ours": 1, "7Sparta-SB": 1, "7published": 6, "8ours": 2, "8Sparta-SB": 1, "8published": 13} {
		if len(lines[key].Points) != n {
			t.Errorf("%s has %d points, want %d", key, len(lines[key].Points), n)
		}
	}
	if got := lines["7ours"].Points[0].Mean; math.Abs(got-0.75) > 1e-9 {
		t.Errorf("epoch and network: %v s", got)
	}
	if got := lines["8published"].Points[0].CoreSecondsPerMillion(); math.Abs(got-17.5) > 1e-9 {
		t.Errorf("published: %v core-seconds", got)
	}
	if got := lines["8ours"].Points[0].CoreSecondsPerMillion(); math.Abs(got-128) > 1e-9 {
		t.Errorf("ours: %v core-seconds", got)
	}
	if got := lines["7ours"].Source.Machine; got != "a machine, with 2 cores, simulated" {
		t.Errorf("machine %q", got)
	}
}

func TestBadPublished(t *testing.T) {
	for _, data := range []string{"", "N,M\n1,2\n", "N,M,T,B,epoch_mean,epoch_stddev\n1,2,3,x,5,6\n"} {
		_, err := Load(fstest.MapFS{"published-figure7-id.csv": {Data: []byte(data)}}, 0, silent(t))
		if err == nil {
			t.Errorf("%q was taken", data)
		}
	}
}
