package model

import (
	"fmt"
	"slices"

	"github.com/teems-go/teems/internal/experiment"
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
	residuals[mode] = Residual{ClientNS: map[string]float64{}}
	c.Residuals = residuals
	bare := Model{Calibration: c, Mode: mode}
	var left []leftover
	for _, r := range runs {
		p, err := bare.Predict(System{r.Channel, r.N, r.M, r.T, experiment.CellBytes})
		if err != nil {
			return c, err
		}
		left = append(left, leftover{r, r.CoreSeconds - p.CoreSeconds, r.Routing - p.Interval*float64(r.M), r.counts(p.Load)})
	}
	var cost costs
	for range 1000 { // one cost after the other, until they agree
		for k := range cost {
			cost[k] = cost.best(left, k)
		}
	}
	res := Residual{
		ClientNS: map[string]float64{experiment.ID: cost[0], experiment.Token: cost[1]},
		ServerNS: cost[2], FrameNS: cost[3], Runs: runs,
	}
	res.Share = share(left, cost)
	residuals[mode] = res
	return c, nil
}

// leftover is a run and what the steps do not explain of it, in core-seconds.
type leftover struct {
	Run
	all, routing float64
	counts       costs
}

// costs are the nanoseconds of a residual: of a client on each channel, of a
// server, of a frame.
type costs [4]float64

// counts is how often a run, of the given load, has each of the costs.
func (r Run) counts(l Load) costs {
	x := costs{2: float64(r.M), 3: float64(r.M) * l.Frames}
	x[slices.Index(experiment.Channels, r.Channel)] = float64(r.N)
	return x
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
func (c costs) best(left []leftover, k int) float64 {
	c[k] = 0
	var num, den float64
	for _, l := range left {
		x := l.counts[k] / l.CoreSeconds
		num += x * (l.all - c.of(l.counts)) / l.CoreSeconds
		den += x * x
	}
	if den == 0 {
		return 0
	}
	return max(num/den*1e9, 0)
}

// share is how much of the residual is within the interval; all of it where
// that was not measured.
func share(left []leftover, c costs) float64 {
	var in, all float64
	for _, l := range left {
		if l.Routing > 0 {
			in += max(l.routing, 0) / l.CoreSeconds
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
			out = append(out, Run{r.Channel, r.N, r.M, r.T, r.CoreSeconds, r.RoutingCoreSeconds})
		}
	}
	return out
}

// Error compares the model with measured runs: the median of |predicted -
// measured| / measured of the core-seconds.
func (m Model) Error(runs []Run) (float64, error) {
	var errs []float64
	for _, r := range runs {
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
