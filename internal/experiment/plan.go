// Package experiment holds the published experiments and what becomes of them:
// the plan (Figures 7 and 8, both channels, and the comparator's runs), the rows
// that a run gives, the two CSV files that keep them through interruptions, and
// the tables of the report.
//
// It guarantees that the CSV files have exactly the columns of [Columns], in
// order, that a row is either whole in a file or not there, and that tables
// depend on the files alone, byte for byte. It does not run anything: a [Runner]
// does, package repro drives it, and package figures draws.
package experiment

import (
	"cmp"
	"fmt"
	"slices"
)

// The channels, as they are named in rows and files.
const (
	ID    = "id"
	Token = "token"
)

// Channels lists the channels in the order in which they take turns.
var Channels = []string{ID, Token}

// The systems.
const (
	TEEMS  = "teems"
	Sparta = "sparta-sb"
)

// The modes of the client simulator.
const (
	Sockets     = "sockets"     // a connection a client
	Multiplexed = "multiplexed" // many clients' cells on one connection
)

// CellBytes is B of all published experiments.
const CellBytes = 256

// Experiment is one point of a figure.
type Experiment struct {
	System  string `json:"system"`
	Channel string `json:"channel"`
	N       int    `json:"N"` // clients
	M       int    `json:"M"` // servers
	T       int    `json:"T"` // threads of a server
	B       int    `json:"B"` // bytes of a message
	Figures []int  `json:"figures,omitempty"`
}

// Key tells experiments apart: two of one key give one row.
type Key struct {
	System, Channel string
	N, M, T, B      int
}

// Key returns the experiment's key.
func (e Experiment) Key() Key { return Key{e.System, e.Channel, e.N, e.M, e.T, e.B} }

func (e Experiment) String() string {
	s := fmt.Sprintf("%s N=%d M=%d T=%d B=%d", e.Channel, e.N, e.M, e.T, e.B)
	if e.System != TEEMS {
		s = e.System + " " + s
	}
	return s
}

// Threads returns M*T, the cores that the servers would like to have.
func (e Experiment) Threads() int { return e.M * e.T }

// The servers of Figure 8.
var figure8Servers = []int{4, 6, 8, 16, 20, 24, 32, 36, 40, 44, 48, 64, 72}

const (
	figure7Servers = 4
	figure7Threads = 4
	figure7Low     = 15 // log2 N
	figure7High    = 20
	figure8Threads = 1
	figure8Clients = 1 << 20
)

// Plan returns the 38 published experiments, smallest first, the channels in
// turn.
func Plan() []Experiment {
	var all []Experiment
	for _, channel := range Channels {
		for log := figure7Low; log <= figure7High; log++ {
			all = append(all, Experiment{TEEMS, channel, 1 << log, figure7Servers, figure7Threads, CellBytes, []int{7}})
		}
		for _, m := range figure8Servers {
			all = append(all, Experiment{TEEMS, channel, figure8Clients, m, figure8Threads, CellBytes, []int{8}})
		}
	}
	Sort(all)
	return all
}

// Comparator returns the runs of Sparta-SB that belong into the same figures: a
// single server at every N of Figure 7 with its T, and at the N of Figure 8 with
// 1, 2, 4, ... threads up to the cores that there are.
func Comparator(cores int) []Experiment {
	var all []Experiment
	for _, channel := range Channels {
		for log := figure7Low; log <= figure7High; log++ {
			e := Experiment{Sparta, channel, 1 << log, 1, figure7Threads, CellBytes, []int{7}}
			if e.N == figure8Clients {
				e.Figures = []int{7, 8}
			}
			all = append(all, e)
		}
		for t := 1; t <= max(cores, 1); t *= 2 {
			if t != figure7Threads {
				all = append(all, Experiment{Sparta, channel, figure8Clients, 1, t, CellBytes, []int{8}})
			}
		}
	}
	Sort(all)
	return all
}

// CalibrationDir is the folder, within that of the results, of the rows that the
// model is fitted to.
const CalibrationDir = "calibration"

// Calibration returns the small runs that the model is fitted to, with one thread
// a server and multiplexed clients: few and many clients, and few and many
// servers, whose costs are told apart that way.
func Calibration() []Experiment {
	var all []Experiment
	for _, channel := range Channels {
		for log := 13; log <= 16; log++ {
			for _, m := range []int{4, 16, 72} {
				all = append(all, Experiment{TEEMS, channel, 1 << log, m, 1, CellBytes, nil})
			}
		}
	}
	Sort(all)
	return all
}

// Sort puts experiments into the order in which they run: smallest first by
// clients, then by threads in all, then the comparator behind the system, then
// the channels in turn.
func Sort(all []Experiment) {
	slices.SortStableFunc(all, func(a, b Experiment) int {
		return cmp.Or(cmp.Compare(a.N, b.N), cmp.Compare(a.Threads(), b.Threads()), cmp.Compare(a.M, b.M),
			-cmp.Compare(a.System, b.System), cmp.Compare(a.Channel, b.Channel))
	})
}

// Unique drops every experiment whose key an earlier one has, as happens when
// experiments are shrunk, and gives the earlier one its figures.
func Unique(all []Experiment) []Experiment {
	var out []Experiment
	at := map[Key]int{}
	for _, e := range all {
		i, seen := at[e.Key()]
		if !seen {
			at[e.Key()] = len(out)
			e.Figures = slices.Clone(e.Figures)
			out = append(out, e)
			continue
		}
		for _, f := range e.Figures {
			if !slices.Contains(out[i].Figures, f) {
				out[i].Figures = append(out[i].Figures, f)
			}
		}
	}
	return out
}

// Remaining returns the experiments that have no row yet.
func Remaining(all []Experiment, done map[Key]bool) []Experiment {
	var out []Experiment
	for _, e := range all {
		if !done[e.Key()] {
			out = append(out, e)
		}
	}
	return out
}
