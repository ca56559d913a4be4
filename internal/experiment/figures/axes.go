package figures

import (
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
)

// extent is the box that holds all points, and the different x.
type extent struct {
	x, y [2]float64
	at   []float64
}

func newExtent() *extent {
	inf := math.Inf(1)
	return &extent{x: [2]float64{inf, -inf}, y: [2]float64{inf, -inf}}
}

func (e *extent) empty() bool { return e.x[0] > e.x[1] }

func (e *extent) add(x, y float64) {
	e.x = [2]float64{min(e.x[0], x), max(e.x[1], x)}
	e.y = [2]float64{min(e.y[0], y), max(e.y[1], y)}
	if !slices.Contains(e.at, x) {
		e.at = append(e.at, x)
	}
}

// xs returns the different x, thinned out so that their names have room.
func (e *extent) xs() []float64 {
	slices.Sort(e.at)
	room := math.Log(e.x[1]/e.x[0]) / 22
	var out []float64
	for _, x := range e.at {
		if len(out) == 0 || math.Log(x/out[len(out)-1]) >= room {
			out = append(out, x)
		}
	}
	return out
}

// ticks marks fixed values.
type ticks struct {
	values []float64
	name   func(float64) string
}

// Ticks implements plot.Ticker.
func (t ticks) Ticks(low, high float64) []plot.Tick {
	var out []plot.Tick
	for _, v := range t.values {
		name := strconv.FormatFloat(v, 'g', 6, 64)
		if t.name != nil {
			name = t.name(v)
		}
		if v >= low && v <= high {
			out = append(out, plot.Tick{Value: v, Label: name})
		}
	}
	return out
}

// steps125 returns 1, 2 and 5 times the powers of ten from low to high.
func steps125(low, high float64) []float64 {
	var out []float64
	for exp := math.Floor(math.Log10(low)); exp <= math.Ceil(math.Log10(high)); exp++ {
		for _, m := range []float64{1, 2, 5} {
			// Through decimal text, so that 0.1 is 0.1.
			v, err := strconv.ParseFloat(strconv.FormatFloat(m*math.Pow(10, exp), 'g', 3, 64), 64)
			if err == nil && v >= low*(1-1e-9) && v <= high*(1+1e-9) {
				out = append(out, v)
			}
		}
	}
	return out
}

// floor125 and ceil125 round to such a step.
func floor125(v float64) float64 { s := steps125(v/10, v); return s[len(s)-1] }
func ceil125(v float64) float64  { return steps125(v, v*10)[0] }
