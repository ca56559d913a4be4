// Package comparator runs Sparta-SB (package sparta) under a load, checks every
// body that it delivers against a plain reference, and gives the account and the
// row that go beside those of TEEMS.
//
// What is measured is the data structure alone, in this process: no network and
// no cryptography, and the time to generate and check the load is left out. That
// favours the comparator.
package comparator

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/sparta"
)

// ErrWrong says that the comparator delivered what the reference does not.
var ErrWrong = errors.New("comparator: the account is wrong")

// Options are what to run.
type Options struct {
	Users     int
	Threads   int // 0: 1
	CellBytes int // 0: 256
	Epochs    int
	Seed      uint64

	// Random traffic goes to random users, some of which are sent much, so that
	// messages are deferred; the queue has room for one a user, and who would
	// overfill it sends a dummy. Otherwise every epoch is a permutation, in which
	// every user gets exactly one message and the queue needs no rows: the load
	// of the figures.
	Random bool
}

// Report is the account of a run, its names those of `teems sim --json`.
type Report struct {
	E              int              `json:"E"`
	Sent           int64            `json:"sent"`
	Delivered      int64            `json:"delivered"`
	OverLimit      int64            `json:"over_limit"`
	Lost           int64            `json:"lost"`
	Unexpected     int64            `json:"unexpected"`
	Deferred       int64            `json:"deferred"` // times that a message waited for another epoch
	Drained        int              `json:"drained"`  // epochs after the last, without new messages, until the queue was empty
	ReferenceMatch bool             `json:"reference_match"`
	System         string           `json:"system"`
	Clients        int              `json:"clients"`
	Threads        int              `json:"threads"`
	CellBytes      int              `json:"cell_bytes"`
	QueueRows      int              `json:"queue_rows"`
	Seed           uint64           `json:"seed"`
	EpochMean      float64          `json:"epoch_mean"`
	EpochStddev    float64          `json:"epoch_stddev"`
	EpochMax       float64          `json:"epoch_max"`
	CoreSeconds    float64          `json:"core_seconds_mean"`
	Memory         int64            `json:"memory"` // bytes of the store
	Raw            []experiment.Raw `json:"-"`
}

// run is a run under way.
type run struct {
	o       Options
	store   *sparta.Store
	rng     *rand.Rand
	queues  [][]uint64 // of the reference: message numbers by user
	waiting int
	number  uint64
	sender  map[uint64]uint32 // of what is under way
	all     []uint32
	to      []uint32
	body    []byte
	report  *Report
}

// Run runs the comparator. The report is there even if it was wrong; ctx is
// looked at between epochs.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.CellBytes == 0 {
		o.CellBytes = experiment.CellBytes
	}
	if o.Epochs < 1 {
		return nil, fmt.Errorf("%w: %d epochs: choose 1 or more", sparta.ErrConfig, o.Epochs)
	}
	c := sparta.Config{Users: o.Users, Sends: o.Users, BodyBytes: o.CellBytes, Workers: o.Threads}
	if o.Random {
		c.Queue = o.Users
	}
	store, err := sparta.New(c)
	if err != nil {
		return nil, err
	}
	c = store.Config()
	r := &run{
		o: o, store: store, rng: rand.New(rand.NewPCG(o.Seed, 0x5b)), queues: make([][]uint64, o.Users), sender: map[uint64]uint32{},
		all: make([]uint32, o.Users), to: make([]uint32, o.Users), body: make([]byte, o.CellBytes),
		report: &Report{System: experiment.Sparta, Clients: o.Users, Threads: c.Workers, CellBytes: o.CellBytes, QueueRows: c.Queue, Seed: o.Seed, Memory: c.Memory()},
	}
	for u := range r.all {
		r.all[u] = uint32(u)
	}
	if err := r.play(ctx); err != nil {
		return r.report, err
	}
	return r.finish()
}

// play is a warm-up in which nobody sends a message, the epochs that count, and
// what drains the queue.
func (r *run) play(ctx context.Context) error {
	for e := 0; e <= r.o.Epochs || r.waiting > 0; e++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e > r.o.Epochs {
			r.report.Drained++
		}
		r.draw(e > 0 && e <= r.o.Epochs)
		cpu, start := cpuTime(), time.Now()
		stats := r.send()
		raw := experiment.Raw{Epoch: e, EpochSeconds: time.Since(start).Seconds(), CoreSeconds: (cpuTime() - cpu).Seconds()}
		raw.RoutingCoreSeconds = raw.CoreSeconds
		if e > 0 && e <= r.o.Epochs {
			r.report.Raw = append(r.report.Raw, raw)
			r.report.E++
		}
		r.check(stats)
		if r.report.Unexpected > 0 {
			break
		}
	}
	return nil
}

const dummy = 1<<32 - 1

// draw draws to whom everyone sends in an epoch.
func (r *run) draw(real bool) {
	n := r.o.Users
	for i := range r.to {
		r.to[i] = dummy
	}
	switch {
	case !real:
	case !r.o.Random:
		for i, u := range r.rng.Perm(n) {
			r.to[i] = uint32(u)
		}
	default:
		hot := r.rng.IntN(n)
		for i := range r.to {
			if r.waiting+i < n { // else it might not fit the queue
				r.to[i] = uint32(r.rng.IntN(n))
				if i%1024 == 0 {
					r.to[i] = uint32(hot)
				}
			}
		}
	}
}

// send hands the messages over and does the batch: what is measured. Bodies are
// made on the way, which costs as much as copying them from somewhere.
func (r *run) send() sparta.Stats {
	for i, to := range r.to {
		if to != dummy {
			fill(r.body, r.o.Seed, r.number+uint64(i))
		}
		r.store.Send(i, to, uint32(i), to != dummy, r.body)
	}
	return r.store.Batch(r.all)
}

// fill makes the body of a message.
func fill(body []byte, seed, number uint64) {
	x := seed ^ number*0x9e3779b97f4a7c15
	for i := 0; i+8 <= len(body); i += 8 {
		x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
		binary.LittleEndian.PutUint64(body[i:], x+uint64(i))
	}
}

// check compares what the batch delivered with the reference.
func (r *run) check(stats sparta.Stats) {
	for i, to := range r.to {
		if to != dummy {
			number := r.number + uint64(i)
			r.queues[to] = append(r.queues[to], number)
			r.sender[number] = uint32(i)
			r.report.Sent++
			r.waiting++
		}
	}
	r.number += uint64(len(r.to))
	delivered := 0
	for u := range r.all {
		sender, real, body := r.store.Delivered(u, 0)
		if len(r.queues[u]) == 0 {
			if real {
				r.report.Unexpected++
			}
			continue
		}
		number := r.queues[u][0]
		r.queues[u] = r.queues[u][1:]
		r.waiting--
		fill(r.body, r.o.Seed, number)
		if !real || sender != r.sender[number] || string(body) != string(r.body) {
			r.report.Unexpected++
			continue
		}
		delete(r.sender, number)
		delivered++
	}
	r.report.Delivered += int64(delivered)
	r.report.Deferred += int64(stats.Deferred)
	if stats != (sparta.Stats{Delivered: delivered, Deferred: r.waiting}) {
		r.report.Unexpected++
	}
}

func (r *run) finish() (*Report, error) {
	x := r.report
	x.Lost = x.Sent - x.Delivered
	x.ReferenceMatch = x.Unexpected == 0 && x.Lost == 0
	s, cpu := spread(x.Raw)
	x.EpochMean, x.EpochStddev, x.EpochMax, x.CoreSeconds = s.Mean, s.Stddev, s.Max, cpu
	if !x.ReferenceMatch {
		return x, fmt.Errorf("%w: %d lost, %d unexpected", ErrWrong, x.Lost, x.Unexpected)
	}
	return x, nil
}

func spread(raw []experiment.Raw) (s experiment.Spread, cpu float64) {
	n := float64(len(raw))
	for _, x := range raw {
		s.Mean += x.EpochSeconds / n
		s.Max = max(s.Max, x.EpochSeconds)
		cpu += x.CoreSeconds / n
	}
	for _, x := range raw {
		s.Stddev += (x.EpochSeconds - s.Mean) * (x.EpochSeconds - s.Mean) / n
	}
	s.Stddev = math.Sqrt(s.Stddev)
	return s, cpu
}

// Runner gives rows of the comparator.
type Runner struct {
	Epochs int    // that count, after a warm-up
	Seed   uint64 // of the traffic
	CPU    string // the machine
	Commit string
}

// Run implements experiment.Runner. The load is a permutation on either channel;
// Sparta has only one kind of message.
func (r Runner) Run(ctx context.Context, job experiment.Job) (experiment.Result, error) {
	o := Options{Users: job.N, Threads: job.T, CellBytes: job.B, Epochs: r.Epochs, Seed: r.Seed}
	x, err := Run(ctx, o)
	if err != nil {
		return experiment.Result{}, err
	}
	config, err := json.Marshal(struct {
		Options
		Cores int
	}{o, job.T})
	if err != nil {
		return experiment.Result{}, err
	}
	return experiment.Result{
		Row: experiment.Row{
			N: job.N, M: job.M, T: job.T, B: job.B, E: x.E,
			Epoch: experiment.Spread{Mean: x.EpochMean, Stddev: x.EpochStddev, Max: x.EpochMax},
			// One server sends nothing to others, and does nothing ahead.
			CoreSeconds: x.CoreSeconds, RoutingCoreSeconds: x.CoreSeconds, RSSMax: x.Memory,
			Sent: x.Sent, Delivered: x.Delivered, Lost: x.Lost, OverLimit: x.OverLimit,
			Channel: job.Channel, Mode: "memory", Overloaded: job.Overloaded, System: experiment.Sparta, TEE: "none", CPU: r.CPU, Commit: r.Commit,
		},
		Raw: x.Raw, Seed: r.Seed, Config: config,
	}, nil
}
