package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Row is what an experiment gives: a line of a CSV file. Means, standard
// deviations and maxima are over all servers and epochs after a warm-up.
type Row struct {
	N, M, T, B int
	E          int // completed epochs

	Epoch Spread // seconds from the start of routing to the last delivery handed to the network
	Ahead Spread // seconds of work done ahead of an epoch for the next one
	Bytes Spread // sent by one server to all the others in an epoch

	CoreSeconds        float64 // of all servers and gateways, per epoch
	RoutingCoreSeconds float64 // of the servers, within the interval of Epoch
	RSSMax             int64   // bytes, of the largest server process

	Sent, Delivered, Lost, OverLimit int64

	Channel    string
	Mode       string
	Overloaded bool
	System     string
	TEE        string // kind of TEE, "none" without one
	CPU        string // and other words that say which machine it was
	Commit     string
}

// Spread is a mean, a standard deviation and a maximum.
type Spread struct{ Mean, Stddev, Max float64 }

// Key returns the key of the experiment that the row is of.
func (r *Row) Key() Key { return Key{r.System, r.Channel, r.N, r.M, r.T, r.B} }

// column is one column: its name, and how it is written and read.
type column struct {
	name  string
	write func(*Row) string
	read  func(*Row, string) error
}

func integer(name string, f func(*Row) *int) column {
	return column{name,
		func(r *Row) string { return strconv.Itoa(*f(r)) },
		func(r *Row, s string) (err error) { *f(r), err = strconv.Atoi(s); return err }}
}

func long(name string, f func(*Row) *int64) column {
	return column{name,
		func(r *Row) string { return strconv.FormatInt(*f(r), 10) },
		func(r *Row, s string) (err error) { *f(r), err = strconv.ParseInt(s, 10, 64); return err }}
}

func real(name string, f func(*Row) *float64) column {
	return column{name,
		func(r *Row) string { return strconv.FormatFloat(*f(r), 'f', 3, 64) },
		func(r *Row, s string) (err error) { *f(r), err = strconv.ParseFloat(s, 64); return err }}
}

func text(name string, f func(*Row) *string) column {
	return column{name,
		func(r *Row) string { return strings.Join(strings.Fields(*f(r)), " ") }, // one line
		func(r *Row, s string) error { *f(r) = s; return nil }}
}

func flag(name string, f func(*Row) *bool) column {
	return column{name,
		func(r *Row) string {
			if *f(r) {
				return "1"
			}
			return "0"
		},
		func(r *Row, s string) (err error) { *f(r), err = strconv.ParseBool(s); return err }}
}

func spread(name string, f func(*Row) *Spread) []column {
	return []column{
		real(name+"_mean", func(r *Row) *float64 { return &f(r).Mean }),
		real(name+"_stddev", func(r *Row) *float64 { return &f(r).Stddev }),
		real(name+"_max", func(r *Row) *float64 { return &f(r).Max }),
	}
}

// columns are those of the files. New ones are only ever added at the end.
var columns = concat(
	[]column{
		integer("N", func(r *Row) *int { return &r.N }),
		integer("M", func(r *Row) *int { return &r.M }),
		integer("T", func(r *Row) *int { return &r.T }),
		integer("B", func(r *Row) *int { return &r.B }),
		integer("E", func(r *Row) *int { return &r.E }),
	},
	spread("epoch", func(r *Row) *Spread { return &r.Epoch }),
	spread("wn", func(r *Row) *Spread { return &r.Ahead }),
	spread("bytes", func(r *Row) *Spread { return &r.Bytes }),
	[]column{
		real("core_seconds_mean", func(r *Row) *float64 { return &r.CoreSeconds }),
		real("routing_core_seconds_mean", func(r *Row) *float64 { return &r.RoutingCoreSeconds }),
		long("rss_max", func(r *Row) *int64 { return &r.RSSMax }),
		long("sent", func(r *Row) *int64 { return &r.Sent }),
		long("delivered", func(r *Row) *int64 { return &r.Delivered }),
		long("lost", func(r *Row) *int64 { return &r.Lost }),
		long("over_limit", func(r *Row) *int64 { return &r.OverLimit }),
		text("channel", func(r *Row) *string { return &r.Channel }),
		text("mode", func(r *Row) *string { return &r.Mode }),
		flag("overloaded", func(r *Row) *bool { return &r.Overloaded }),
		text("system", func(r *Row) *string { return &r.System }),
		text("tee", func(r *Row) *string { return &r.TEE }),
		text("cpu", func(r *Row) *string { return &r.CPU }),
		text("commit", func(r *Row) *string { return &r.Commit }),
	},
)

func concat(parts ...[]column) []column {
	var out []column
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// Columns returns the names of the columns, in order.
func Columns() []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	return names
}

// Fields returns the row's fields, in the order of Columns.
func (r *Row) Fields() []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.write(r)
	}
	return out
}

// parseRow reads fields; a file of an earlier version has fewer.
func parseRow(fields []string) (Row, error) {
	var r Row
	for i, s := range fields {
		if i == len(columns) { // added by a later version
			break
		}
		if err := columns[i].read(&r, s); err != nil {
			return Row{}, fmt.Errorf("%s is %q", columns[i].name, s)
		}
	}
	return r, nil
}

// slack is how far a part may pass its whole by rounding to three decimals and
// by CPU clocks that tick.
const slack = 1.05

// Check returns an error if the row is not that of a run in which everything
// was verified and nothing was lost, or if its CPU time contradicts itself: the
// part within the interval cannot be more than all of it.
func (r *Row) Check() error {
	switch {
	case r.E < 1:
		return fmt.Errorf("%w: no epoch was completed", ErrRun)
	case r.Lost != 0 || r.Sent-r.Delivered-r.OverLimit != 0:
		return fmt.Errorf("%w: %d messages sent, %d delivered, %d over the limit: %d lost", ErrRun, r.Sent, r.Delivered, r.OverLimit, r.Lost)
	case r.RoutingCoreSeconds > slack*r.CoreSeconds+0.001:
		return fmt.Errorf("%w: the servers report %.3f core-seconds an epoch within the interval, and only %.3f in all: some reports are missing or of other epochs",
			ErrRun, r.RoutingCoreSeconds, r.CoreSeconds)
	}
	return nil
}

// Raw is what one server did in one epoch. Zero where a run has no such figure.
type Raw struct {
	Epoch              int     `json:"epoch"`
	Server             int     `json:"server"`
	EpochSeconds       float64 `json:"epoch_seconds"`
	AheadSeconds       float64 `json:"wn_seconds"`
	Bytes              int64   `json:"bytes"`
	CoreSeconds        float64 `json:"core_seconds"`
	RoutingCoreSeconds float64 `json:"routing_core_seconds"`
}

// Result is a row, and what is kept beside it.
type Result struct {
	Row    Row
	Raw    []Raw
	Seed   uint64
	Config json.RawMessage // the whole configuration of the run; any JSON
}

// Job is an experiment and how it is to be run.
type Job struct {
	Experiment
	Mode       string
	Overloaded bool
	Cores      [][]int // by server: the cores that it is pinned to; nil: not chosen
	Simulator  []int   // the cores of the client simulator
	Memory     uint64  // bytes that it takes, about; 0: unknown
}

// Runner runs one experiment. It verifies every body that is delivered, and
// fails rather than return a row of a run that lost anything. It returns soon
// when ctx is done.
type Runner interface {
	Run(ctx context.Context, job Job) (Result, error)
}
