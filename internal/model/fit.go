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
		left = append(left, leftover{r, r.CoreSeconds - p.CoreSeconds, r.Routing - p.Interval*float64(r.M)})
	}
	res := Residual{ClientNS: map[string]float64{}, Runs: runs}
	for range 50 { // the two in turn, until they agree
		for _, channel := range experiment.Channels {
			res.ClientNS[channel] = clientCost(left, channel, res.ServerNS)
		}
		res.ServerNS = serverCost(left, res.ClientNS)
	}
	res.Share = share(left, res)
	residuals[mode] = res
	return c, nil
}

// leftover is a run and what the steps do not explain of it, in core-seconds.
type leftover struct {
	Run
	all, routing float64
}

// clientCost is the best nanoseconds a client, given those of a server.
func clientCost(left []leftover, channel string, server float64) float64 {
	var num, den float64
	for _, l := range left {
		if l.Channel == channel {
			x := float64(l.N) / l.CoreSeconds
			num += x * (l.all - server*float64(l.M)/1e9) / l.CoreSeconds
			den += x * x
		}
	}
	if den == 0 {
		return 0
	}
	return max(num/den*1e9, 0)
}

// serverCost is the best nanoseconds a server, given those of a client.
func serverCost(left []leftover, client map[string]float64) float64 {
	var num, den float64
	for _, l := range left {
		x := float64(l.M) / l.CoreSeconds
		num += x * (l.all - client[l.Channel]*float64(l.N)/1e9) / l.CoreSeconds
		den += x * x
	}
	return max(num/den*1e9, 0)
}

// share is how much of the residual is within the interval; all of it where
// that was not measured.
func share(left []leftover, r Residual) float64 {
	var in, all float64
	for _, l := range left {
		if l.Routing > 0 {
			in += max(l.routing, 0) / l.CoreSeconds
			all += (r.ClientNS[l.Channel]*float64(l.N) + r.ServerNS*float64(l.M)) / 1e9 / l.CoreSeconds
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
