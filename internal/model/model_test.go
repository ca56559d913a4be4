package model

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/teems-go/teems/experiments"
	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/experiment"
)

func system(channel string, n, m int) System { return System{channel, n, m, 1, 256} }

func close2(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance*math.Max(math.Abs(a), 1) }

// The formulas, which go on where geometry ends, are geometry's for equal
// servers: exactly where sums of floors do not matter, else within 1 %.
func TestFormulaIsGeometry(t *testing.T) {
	for _, channel := range experiment.Channels {
		for _, n := range []int{1 << 12, 1 << 15, 100000, 1 << 20, 1 << 24} {
			for _, m := range []int{1, 2, 3, 4, 8, 20, 48, 72} {
				s := system(channel, n, m)
				g, err := s.Load()
				if err != nil {
					t.Fatal(err)
				}
				f, err := s.formula()
				if err != nil {
					t.Fatal(err)
				}
				if g.Estimated || !f.Estimated {
					t.Errorf("%+v: which is which", s)
				}
				for name, v := range map[string][3]float64{
					"clients": {g.Clients, f.Clients, 0}, "records": {g.Records, f.Records, 0}, "routed": {g.Routed, f.Routed, 0.01},
					"placed": {g.Placed, f.Placed, 0.01}, "sent": {g.Sent, f.Sent, 0.01}, "ranked": {g.Ranked, f.Ranked, 0.01},
					"bytes": {g.Bytes, f.Bytes, 0.01}, "memory": {g.Memory, f.Memory, 0.01}, "chunk": {g.Chunk, f.Chunk, 0}, "frames": {g.Frames, f.Frames, 0.02},
				} {
					if !close2(v[0], v[1], v[2]) {
						t.Errorf("%+v: %s: geometry %v, formula %v", s, name, v[0], v[1])
					}
				}
				sum := 0.0
				for _, p := range g.Phases {
					sum += p.Bytes
				}
				if !close2(sum, g.Bytes, 1e-9) {
					t.Errorf("%+v: phases have %v bytes, the link %v", s, sum, g.Bytes)
				}
			}
		}
	}
}

// A client's bytes are those of two cells, however many clients and servers there
// are: a submission and a control cell up, a result and a delivery down.
func TestClientBytes(t *testing.T) {
	const up, down = (64 + 320) + (64 + 32) + 16, (80 + 16) + (96 + 272 + 64) + 16
	for _, channel := range experiment.Channels {
		for _, m := range []int{1, 4} {
			if n, err := system(channel, 1<<10, m).ClientBytes(); err != nil || n != up+down {
				t.Errorf("%s, %d servers: %d bytes, want %d: %v", channel, m, n, up+down, err)
			}
		}
	}
}

func TestBadSystems(t *testing.T) {
	for _, s := range []System{{}, {"id", 10, 20, 1, 256}, {"both", 10, 1, 1, 256}, {"id", 10, 1, 0, 256}, {"id", 10, 1, 1, 17}} {
		if _, err := s.Load(); !errors.Is(err, ErrModel) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestCurve(t *testing.T) {
	c := Curve{{10, 10}, {12, 20}, {14, 60}}
	for n, want := range map[float64]float64{1 << 10: 10, 1 << 11: 15, 1 << 13: 40, 1 << 15: 80, 1 << 9: 5, 1: 5, 0: 0} {
		if got := c.At(n); math.Abs(got-want) > 1e-9 {
			t.Errorf("at %v: %v, want %v", n, got, want)
		}
	}
	if (Curve{{10, 7}}).At(1<<20) != 7 || (Curve{}).At(5) != 0 {
		t.Error("short curves")
	}
}

func TestCommittedCalibration(t *testing.T) {
	c := Default()
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), committed) {
		t.Error("the file is not as Write makes it")
	}
	if _, err := ReadCalibration(&b); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "{}", `{"steps":{"compact":[]}}`, `{"colour":1}`} {
		if _, err := ReadCalibration(strings.NewReader(bad)); !errors.Is(err, ErrModel) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// What it was fitted to, it gives back.
	for _, mode := range []string{MemoryMode, experiment.Multiplexed} {
		e, err := Model{Calibration: c, Mode: mode}.Error(c.Residuals[mode].Runs)
		if err != nil || e > 0.15 {
			t.Errorf("%s: median error %.3f, %v", mode, e, err)
		}
	}
}

// The committed calibration, which was fitted to runs of up to 2^16 clients, says
// what was measured with more of them.
func TestCommittedRows(t *testing.T) {
	rows, err := experiment.Read(os.DirFS("../../experiments/xeon-2-cores"), func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Default().Residuals[experiment.Multiplexed].Runs {
		if r.N > 1<<16 {
			t.Errorf("fitted to a run of %d clients", r.N)
		}
	}
	large := slices.DeleteFunc(Runs(rows, experiment.Multiplexed, 0), func(r Run) bool { return r.N <= 1<<16 })
	off, err := Model{Calibration: Default(), Mode: experiment.Multiplexed}.Error(large)
	if err != nil || len(large) != 32 || off > 0.15 {
		t.Errorf("%d runs, median error %.3f, %v", len(large), off, err)
	}
	// Bytes of bulk frames are exact. On the wire are, besides, 22 bytes a TLS
	// record of 16 KiB, and votes: those that are said once, and again at each tick.
	for _, r := range rows {
		if r.System != experiment.TEEMS {
			continue
		}
		l, err := System{r.Channel, r.N, r.M, r.T, r.B}.Load()
		if err != nil {
			t.Fatal(err)
		}
		vote := float64(geometry.FrameHeaderBytes + geometry.PreparedBytes*r.M + 64)
		most := l.Bytes*1.0016 + float64(r.M-1)*(r.Epoch.Mean/tick+4)*vote
		if r.Bytes.Mean < l.Bytes || r.Bytes.Mean > most {
			t.Errorf("%s, %d clients, %d servers: %.0f bytes were measured, which is not from %.0f to %.0f", r.Channel, r.N, r.M, r.Bytes.Mean, l.Bytes, most)
		}
	}
}

// Fitting to what a model says gives that model back.
func TestFit(t *testing.T) {
	c := Default()
	truth := Residual{ClientNS: map[string]float64{"id": 5000, "token": 4000}, ServerNS: 3e6, FrameNS: 2e5, VoteNS: 40_000, Share: 0.5}
	c.Residuals = map[string]Residual{experiment.Sockets: truth}
	m := Model{Calibration: c, Mode: experiment.Sockets, Cores: 2}
	var rows []experiment.Row
	for _, channel := range experiment.Channels {
		for _, n := range []int{1 << 13, 1 << 15, 1 << 16, 1 << 18} {
			for _, servers := range []int{1, 4, 32} {
				p, err := m.Predict(system(channel, n, servers))
				if err != nil {
					t.Fatal(err)
				}
				rows = append(rows, experiment.Row{N: n, M: servers, T: 1, Channel: channel, System: experiment.TEEMS, Mode: experiment.Sockets,
					CPU: "here, 2 cores", CoreSeconds: p.CoreSeconds, RoutingCoreSeconds: p.Interval * float64(servers)})
			}
		}
	}
	runs := Runs(rows, experiment.Sockets, 1<<16)
	if len(runs) != 18 {
		t.Fatalf("%d runs", len(runs))
	}
	got, err := Default().Fit(experiment.Sockets, runs)
	if err != nil {
		t.Fatal(err)
	}
	r := got.Residuals[experiment.Sockets]
	if !close2(r.ClientNS["id"], 5000, 0.01) || !close2(r.ClientNS["token"], 4000, 0.01) || !close2(r.ServerNS, 3e6, 0.02) || !close2(r.FrameNS, 2e5, 0.02) || !close2(r.VoteNS, 40_000, 0.02) || !close2(r.Share, 0.5, 0.02) {
		t.Errorf("%+v", r)
	}
	if e, err := (Model{Calibration: got, Mode: experiment.Sockets}).Error(Runs(rows, experiment.Sockets, 0)); err != nil || e > 0.01 {
		t.Errorf("%v, %v", e, err)
	}
	if _, err := Default().Fit(experiment.Sockets, nil); !errors.Is(err, ErrModel) {
		t.Error(err)
	}
	if _, ok := Default().Residuals[experiment.Sockets]; ok {
		t.Error("Fit changed its input")
	}
}

// The predicted curve of Figure 8 has the shape of the published one where
// servers still dominate: from 4 to 16 servers, and it keeps falling to 48.
func TestShape(t *testing.T) {
	if _, err := fs.Stat(experiments.Published(), "published-figure8-token.csv"); err != nil {
		t.Fatal(err)
	}
	report, err := experiment.Load(experiments.Published(), 0, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	m := Model{Calibration: Default(), Mode: experiment.Multiplexed, Network: Network{experiment.DefaultBandwidth, 1e-4}}
	for _, s := range report.Series {
		if s.Figure != 8 {
			continue
		}
		first, last := 0.0, math.Inf(1)
		for _, q := range s.Points {
			p, err := m.Predict(System{s.Channel, q.N, q.M, q.T, q.B})
			if err != nil {
				t.Fatal(err)
			}
			if q.M == 4 {
				first = p.Seconds() / q.Mean
			}
			if ratio := p.Seconds() / q.Mean / first; q.M <= 16 && (ratio < 0.7 || ratio > 1.3) {
				t.Errorf("%s, %d servers: the model falls by %.2f of what was published", s.Channel, q.M, ratio)
			}
			if q.M <= 48 && p.Seconds() >= last {
				t.Errorf("%s, %d servers: %.3f s, not less than with fewer", s.Channel, q.M, p.Seconds())
			}
			last = p.Seconds()
		}
	}
}

func TestPredict(t *testing.T) {
	m := Model{Calibration: Default(), Mode: MemoryMode, Network: Network{1e9, 0.01}}
	one, err := m.Predict(system("token", 1<<18, 4))
	if err != nil {
		t.Fatal(err)
	}
	if !close2(one.Transfer, one.Bytes*8/1e9, 1e-9) || !close2(one.Waiting, 0.04, 1e-9) {
		t.Errorf("%+v", one)
	}
	s := system("token", 1<<18, 4)
	s.T = 4
	four, err := m.Predict(s)
	if err != nil || four.Compute >= one.Compute || four.Compute < one.Compute/4 || four.CoreSeconds != one.CoreSeconds {
		t.Errorf("%v, %v, %v", err, one.Compute, four.Compute)
	}
	m.Cores = 2
	shared, err := m.Predict(s)
	if err != nil || !close2(shared.Compute, 2*one.Compute, 1e-9) {
		t.Errorf("%v, %v", err, shared.Compute)
	}
	m.Mode = "carrier pigeons"
	if _, err := m.Predict(s); !errors.Is(err, ErrModel) {
		t.Error(err)
	}
}

// An answer is the fewest servers that do.
func TestServers(t *testing.T) {
	m := Model{Calibration: Default(), Mode: experiment.Multiplexed, Network: Network{experiment.DefaultBandwidth, 1e-4}}
	for _, n := range []int{1e6, 1e8} {
		a, err := m.Servers("token", n, 4, 1)
		if err != nil || !a.Possible || a.Seconds() > 1 {
			t.Fatalf("%+v, %v", a, err)
		}
		if a.M > 1 {
			if p, err := m.Predict(System{"token", n, a.M - 1, 4, 256}); err != nil || p.Seconds() <= 1 {
				t.Errorf("%d clients: %d servers would do, too: %v", n, a.M-1, err)
			}
		}
	}
	a, err := m.Servers("token", 1e9, 1, 0.01)
	if err != nil || a.Possible || a.Best <= 0.01 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestTell(t *testing.T) {
	m := Model{Calibration: Default(), Mode: experiment.Multiplexed, Network: Network{experiment.DefaultBandwidth, 1e-4}}
	var b bytes.Buffer
	dir := t.TempDir()
	if err := m.Tell(&b, nil, DefaultQuestion, dir); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n != 2+18 {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
	if files, err := filepath.Glob(filepath.Join(dir, "model-*")); err != nil || len(files) != 4 {
		t.Errorf("%v, %v", files, err)
	}
	s := system("id", 1<<30, 100)
	if err := m.Tell(&b, &s, Question{}, ""); err != nil || !strings.Contains(b.String(), "estimates") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestMeasure(t *testing.T) {
	c := Measure(Default(), "here", 6, 8, func(string) {})
	if err := c.check(); err != nil || c.Machine != "here" || len(c.Steps[StepPlace]) != 2 {
		t.Errorf("%v, %+v", err, c)
	}
}
