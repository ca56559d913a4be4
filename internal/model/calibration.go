package model

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// ErrModel is the kind of all errors of this package.
var ErrModel = errors.New("model")

// Calibration is what was measured on one core of a machine. As JSON it is the
// calibration file.
type Calibration struct {
	Machine string `json:"machine"`
	Note    string `json:"note,omitempty"`

	// Steps on n rows or words, by name: see Steps.
	Steps map[string]Curve `json:"steps"`

	// Parallel is the share of a server's work that its threads share out
	// (Amdahl's law): 2*(1-1/s) for a speed-up of s with two.
	Parallel float64 `json:"parallel"`

	// LinkNS is nanoseconds of CPU for a byte between servers, both ends
	// together: sealing, opening, copying, system calls.
	LinkNS float64 `json:"link_ns_per_byte"`

	// Residuals is what the steps leave over, by mode.
	Residuals map[string]Residual `json:"residuals"`
}

// Residual is the cost that the steps leave over, fitted to measured runs.
type Residual struct {
	ClientNS map[string]float64 `json:"client_ns"` // by channel, for each client: cells, sessions, gateways
	ServerNS float64            `json:"server_ns"` // for each server
	FrameNS  float64            `json:"frame_ns"`  // for each frame between servers, however short
	VoteNS   float64            `json:"vote_ns"`   // for each vote that is said again to another server, at every tick of an epoch, and what else grows so where cores are shared
	Share    float64            `json:"share"`     // of all but the votes that is within the interval that epoch_* measures
	Runs     []Run              `json:"runs"`      // what it was fitted to
}

// Run is a measured run.
type Run struct {
	Channel     string  `json:"channel"`
	N           int     `json:"N"`
	M           int     `json:"M"`
	T           int     `json:"T"`
	CoreSeconds float64 `json:"core_seconds"`                   // of all servers and gateways, per epoch
	Routing     float64 `json:"routing_core_seconds,omitempty"` // of them within the interval; 0: unknown
	Cores       int     `json:"cores,omitempty"`                // that all servers shared; 0: each thread had its own
}

// MemoryMode is a whole epoch in one process, cryptography included, without
// sockets and gateways, and links that cost nothing. The other modes are those
// of experiments.
const MemoryMode = "memory"

// Names of steps. Their costs are nanoseconds a row (a body of 256 bytes and a
// head) or a word.
const (
	StepCompact      = "compact"       // of rows
	StepPlace        = "place"         // of rows: one to each cell
	StepDestinations = "destinations"  // of labels, for placing
	StepHeaders      = "sort-headers"  // of 32 bytes
	StepExact        = "exact-section" // of labels, for each of the sections
)

// Steps lists the steps that a calibration has.
var Steps = []string{StepCompact, StepPlace, StepDestinations, StepHeaders, StepExact}

// Curve is nanoseconds a row against log2 of the rows, ascending.
type Curve []Knot

// Knot is a point of a curve.
type Knot struct {
	Log2 float64 `json:"log2"`
	NS   float64 `json:"ns"`
}

// At returns the cost of a row among n: on the line between neighbours, beyond
// the ends on the line through the last two (but not below half the end's).
func (c Curve) At(n float64) float64 {
	if len(c) == 0 || n < 1 {
		return 0
	}
	if len(c) == 1 {
		return c[0].NS
	}
	x := math.Log2(n)
	i := 1
	for i < len(c)-1 && c[i].Log2 < x {
		i++
	}
	a, b := c[i-1], c[i]
	y := a.NS + (b.NS-a.NS)*(x-a.Log2)/(b.Log2-a.Log2)
	if x < a.Log2 {
		return max(y, a.NS/2)
	}
	return max(y, b.NS/2)
}

//go:embed calibration.json
var committed []byte

// Default returns the calibration that is in the project.
func Default() Calibration {
	var c Calibration
	if err := json.Unmarshal(committed, &c); err != nil {
		panic(err) // a test reads it
	}
	return c
}

// ReadCalibration reads a calibration file.
func ReadCalibration(r io.Reader) (Calibration, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	var c Calibration
	if err := d.Decode(&c); err != nil {
		return Calibration{}, fmt.Errorf("%w: the calibration is not the JSON that it must be: %w", ErrModel, err)
	}
	return c, c.check()
}

// Write writes a calibration file.
func (c Calibration) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(c)
}

func (c Calibration) check() error {
	for _, name := range Steps {
		curve := c.Steps[name]
		ascending := slices.IsSortedFunc(curve, func(a, b Knot) int {
			if a.Log2 < b.Log2 {
				return -1
			}
			return 1
		})
		if len(curve) == 0 || !ascending || slices.ContainsFunc(curve, func(k Knot) bool { return k.NS < 0 }) {
			return fmt.Errorf("%w: the calibration's step %q has no points, or they do not ascend, or one is negative: measure it anew", ErrModel, name)
		}
	}
	if c.Parallel < 0 || c.Parallel > 1 || len(c.Residuals) == 0 {
		return fmt.Errorf("%w: the calibration has no residuals, or a parallel share that is not from 0 to 1: fit it anew", ErrModel)
	}
	return nil
}
