// Package sparta is Sparta-SB, the comparator: the sort-based variant of
// "Sparta: Practical Anonymity with Long-Term Resistance to Traffic Analysis"
// (Fredrickson, Demertzis, Hughes, Long, IEEE S&P 2025), written from its
// description on this project's kernels, as a system of its own in memory: one
// server, T workers, no network, no cryptography.
//
// One queue holds all undelivered messages. A batch appends new messages and,
// for every fetch of volume v, v dummies and the fetch; sorts everything
// obliviously by (user, fetch first, real before dummy, age); marks in one pass
// the first v of every user that fetches; compacts what is marked out, and what
// is deferred back into the queue.
//
// It is meant to be a strong comparator, so it differs from the published code
// where that makes it faster without making it something else:
//
//   - The sort, the marking and both compactions work on headers of 8 bytes that
//     hold the whole sort key. The bodies follow once, by the composed
//     permutation, as an exact-size split ([oblivious.Workers.Place]); dummies
//     and fetches have no bodies. The original carries whole records through
//     each step.
//   - Used-up dummies are dropped. The original keeps them for ever, so that its
//     queue grows by the number of messages sent and its batches get slower. To
//     drop them without telling how many there are, the queue that a batch
//     leaves behind has a public, fixed number of rows, Config.Queue; should
//     more real messages than that be deferred, those of the highest users are
//     lost and counted.
//
// Guarantee: the addresses touched, their order and the instructions of a batch
// depend on the configuration and on who fetches alone, never on recipients,
// senders, bodies, or how many messages are real or deferred. What
// [Store.Batch] returns about the load (Stats) is a secret, for experiments.
package sparta

import (
	"errors"
	"strconv"

	"github.com/teems-go/teems/internal/oblivious"
)

// ErrConfig says that a Config cannot be used.
var ErrConfig = errors.New("sparta: bad configuration")

// Limits on a Config. A sort key has 28 bits for the user.
const (
	MaxUsers = 1<<28 - 1
	MaxRows  = oblivious.MaxRecords
)

// Config is the shape of a store; all of it is public.
type Config struct {
	Users     int // user IDs are below it
	Sends     int // new messages in a batch, real or dummy
	Fetches   int // most users that fetch in a batch; 0: Users
	Volume    int // messages that a fetch returns; 0: 1
	Queue     int // rows of deferred messages that a batch leaves behind
	BodyBytes int // B, a multiple of 8
	Workers   int // T; 0: 1

	// Alloc returns zeroed memory for bodies, for example with huge pages; nil
	// is make.
	Alloc func(bytes int) []byte
}

func (c Config) withDefaults() Config {
	if c.Fetches == 0 {
		c.Fetches = c.Users
	}
	if c.Volume == 0 {
		c.Volume = 1
	}
	if c.Workers == 0 {
		c.Workers = 1
	}
	if c.Alloc == nil {
		c.Alloc = func(n int) []byte { return make([]byte, n) }
	}
	return c
}

// Rows returns how many rows a batch sorts: the queue, the new messages, and for
// every fetch its dummies and itself.
func (c Config) Rows() int {
	c = c.withDefaults()
	return c.Queue + c.Sends + c.Fetches*(c.Volume+1)
}

// Memory returns the bytes that a store takes, its scratch memory included.
func (c Config) Memory() int64 {
	c = c.withDefaults()
	n, bodies := c.Rows(), c.bodies()
	return int64(bodies)*int64(c.BodyBytes+wordBytes+9+16) + int64(n)*(2*wordBytes+5)
}

func (c Config) check() error {
	for _, f := range []struct {
		name             string
		value, low, high int
	}{
		{"Users", c.Users, 1, MaxUsers},
		{"Sends", c.Sends, 0, MaxRows},
		{"Fetches", c.Fetches, 0, c.Users},
		{"Volume", c.Volume, 1, MaxRows},
		{"Queue", c.Queue, 0, MaxRows},
		{"BodyBytes", c.BodyBytes, 8, 1 << 20},
		{"Workers", c.Workers, 1, 1 << 10},
	} {
		if f.value < f.low || f.value > f.high {
			return bad(f.name + " is " + strconv.Itoa(f.value) + ": choose " + strconv.Itoa(f.low) + " to " + strconv.Itoa(f.high))
		}
	}
	if c.BodyBytes%8 != 0 {
		return bad("BodyBytes " + strconv.Itoa(c.BodyBytes) + " is not a multiple of 8: round it up")
	}
	if c.Volume > MaxRows/(c.Fetches+1)-1 || c.Rows() > MaxRows {
		return bad("a batch would sort 2^31-2^21 rows or more: lower Queue, Sends, Fetches or Volume")
	}
	return nil
}

type configError string

func bad(text string) error         { return configError(text) }
func (e configError) Error() string { return ErrConfig.Error() + ": " + string(e) }
func (configError) Unwrap() error   { return ErrConfig }
func (c Config) sources() int       { return c.Queue + c.Sends }
func (c Config) places() int        { return c.Fetches*c.Volume + c.Queue }
func (c Config) bodies() int        { return max(c.sources(), c.places()) }

// Store is the queue and the memory of its batches. It is not for concurrent
// use, but Send may be called concurrently for different i.
type Store struct {
	c    Config
	w    *oblivious.Workers
	rows int // bodies

	// Row p of the bodies holds, after a batch, what fetch slot p returned for
	// p < Fetches*Volume, and then the queue. Its meta word is recipient<<34 |
	// real<<32 | sender. By age the queue's rows come first, then the sends: age
	// a is row place(a).
	body oblivious.Rows
	meta []uint64

	keys  []uint64 // of the sort, then what the marking says
	marks []byte
	want  []uint32
	kept  []byte
	zeros []byte
}

// New returns a store with an empty queue.
func New(c Config) (*Store, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &Store{c: c, w: oblivious.NewWorkers(c.Workers), rows: c.bodies()}
	n := c.Rows()
	s.body = oblivious.Rows{Data: c.Alloc(s.rows * c.BodyBytes), Width: c.BodyBytes}
	s.meta = make([]uint64, s.rows)
	s.keys = make([]uint64, n)
	s.marks = make([]byte, n)
	s.want = make([]uint32, s.rows)
	s.kept = make([]byte, s.rows)
	s.zeros = make([]byte, c.BodyBytes)
	return s, nil
}

// Config returns the configuration, with its defaults.
func (s *Store) Config() Config { return s.c }
