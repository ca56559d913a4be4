package model

import (
	"fmt"
	"math"
	"slices"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/probe"
)

// mostVoteNS and stepVoteNS are up to which cost of a vote Fit tries, and how
// finely, in nanoseconds.
const (
	mostVoteNS = 100_000
	stepVoteNS = 2_000
)

// Fit returns the calibration with the residual of a mode fitted to measured
// runs: least squares of the relative error, so that small runs count as much as
// large ones, with no cost below 0.
func (c Calibration) Fit(mode string, runs []Run) (Calibration, error) {
	if len(runs) == 0 {
		return c, fmt.Errorf("%w: no measured runs of the mode %q to fit to", ErrModel, mode)
	}
	residuals := map[string]Residual{}
	for k, r := range c.Residuals {
		residuals[k] = r
	}
	c.Residuals = residuals
	var left []leftover
	for _, r := range runs {
		s := System{r.Channel, r.N, r.M, r.T, experiment.CellBytes}
		l, err := s.Load()
		if err != nil {
			return c, err
		}
		p := Model{Calibration: c, Mode: mode, Cores: r.Cores}.predict(s, l, Residual{})
		left = append(left, leftover{r, s, l, p, r.counts(l)})
	}
	least, most := math.Inf(1), float64(mostVoteNS)
	if mode == MemoryMode {
		most = 0 // nothing is said again
	}
	for vote := 0.0; vote <= most; vote += stepVoteNS {
		if res, off := c.fitWith(mode, left, vote); off < least {
			least, residuals[mode] = off, res
		}
	}
	res := residuals[mode]
	res.Runs = runs
	residuals[mode] = res
	return c, nil
}

// fitWith fits the residual with a given cost of votes, and says how far it is
// off: the sum of the squares of the relative errors. What votes cost depends on
// how long the epoch takes, and so on the costs that are fitted: they are fitted
// anew until they agree.
func (c Calibration) fitWith(mode string, left []leftover, vote float64) (res Residual, off float64) {
	said := make([]float64, len(left)) // core-seconds of votes
	for range 20 {
		cost := fitCosts(left, said)
		res = Residual{
			ClientNS: map[string]float64{experiment.ID: cost[0], experiment.Token: cost[1]},
			ServerNS: cost[2], FrameNS: cost[3], VoteNS: vote, Share: share(left, said, cost),
		}
		off = 0
		for i, l := range left {
			p := Model{Calibration: c, Mode: mode, Cores: l.Cores}.predict(l.system, l.load, res)
			said[i] = p.Steps["votes"] * float64(l.M)
			off += math.Pow(p.CoreSeconds/l.CoreSeconds-1, 2)
		}
	}
	return res, off
}

// leftover is a run, and what the model says of it without a residual.
type leftover struct {
	Run
	system System
	load   Load
	bare   Prediction
	counts costs
}

// rest is what the steps and the votes do not explain of a run's core-seconds.
func (l *leftover) rest(said float64) float64 { return l.CoreSeconds - l.bare.CoreSeconds - said }

// costs are the nanoseconds of a residual: of a client on each channel, of a
// server, of a frame.
type costs [4]float64

// counts is how often a run, of the given load, has each of the costs.
func (r Run) counts(l Load) costs {
	x := costs{2: float64(r.M), 3: float64(r.M) * l.Frames}
	x[slices.Index(experiment.Channels, r.Channel)] = float64(r.N)
	return x
}

// fitCosts fits the costs to runs of which votes took so many core-seconds.
func fitCosts(left []leftover, said []float64) (c costs) {
	for range 200 { // one cost after the other, until they agree
		for k := range c {
			c[k] = c.best(left, said, k)
		}
	}
	return c
}

// of returns the core-seconds that the costs make of a run with the counts.
func (c costs) of(counts costs) float64 {
	sum := 0.0
	for k, n := range counts {
		sum += c[k] * n / 1e9
	}
	return sum
}

// best is the best cost k, given the others.
func (c costs) best(left []leftover, said []float64, k int) float64 {
	c[k] = 0
	var num, den float64
	for i := range left {
		l := &left[i]
		x := l.counts[k] / l.CoreSeconds
		num += x * (l.rest(said[i]) - c.of(l.counts)) / l.CoreSeconds
		den += x * x
	}
	if den == 0 {
		return 0
	}
	return max(num/den*1e9, 0)
}

// share is how much of the costs is within the interval; all of it where that
// was not measured.
func share(left []leftover, said []float64, c costs) float64 {
	var in, all float64
	for i, l := range left {
		if l.Routing > 0 {
			in += max(l.Routing-l.bare.Interval*float64(l.M)-said[i], 0) / l.CoreSeconds
			all += c.of(l.counts) / l.CoreSeconds
		}
	}
	if all == 0 {
		return 1
	}
	return min(in/all, 1)
}

// Runs turns rows of TEEMS in one mode into runs, those with at most so many
// clients (0: all).
func Runs(rows []experiment.Row, mode string, most int) []Run {
	var out []Run
	for _, r := range rows {
		if r.System == experiment.TEEMS && r.Mode == mode && (most == 0 || r.N <= most) {
			out = append(out, Run{r.Channel, r.N, r.M, r.T, r.CoreSeconds, r.RoutingCoreSeconds, probe.CoresOf(r.CPU)})
		}
	}
	return out
}

// Error compares the model with measured runs: the median of |predicted -
// measured| / measured of the core-seconds, on as many cores as the runs had.
func (m Model) Error(runs []Run) (float64, error) {
	var errs []float64
	for _, r := range runs {
		m.Cores = r.Cores
		p, err := m.Predict(System{r.Channel, r.N, r.M, r.T, experiment.CellBytes})
		if err != nil {
			return 0, err
		}
		errs = append(errs, max(p.CoreSeconds/r.CoreSeconds-1, 1-p.CoreSeconds/r.CoreSeconds))
	}
	if len(errs) == 0 {
		return 0, fmt.Errorf("%w: no measured runs to compare with", ErrModel)
	}
	slices.Sort(errs)
	return errs[len(errs)/2], nil
}
