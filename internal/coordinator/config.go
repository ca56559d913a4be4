package coordinator

import (
	"errors"
	"fmt"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/wire"
)

// ErrConfig is the kind of the errors of New and of Run's configuration.
var ErrConfig = errors.New("coordinator: bad configuration")

// Config is what a Machine needs to know. Durations that are 0 have the default
// that their comment names.
type Config struct {
	Geometry *geometry.Geometry

	// Period is the time from the start of one epoch to the next, which waits
	// for nobody; but an epoch does not start before the last one is done, and
	// a start that came late is followed by the next after half a period at
	// the earliest. Clients send their cells when they learn the outcome of the
	// last epoch, so if that came late they have half a period to do it, from
	// when the servers have handed all of it to the gateways; gateways that take
	// too little put that off by at most a period. 0: as fast as possible, that
	// is as soon as the cells of every connected client are there.
	Period time.Duration

	// SubmitTimeout is how long an epoch waits for the clients' cells, if
	// Period is 0, and at most how long before that for gateways to be handed the
	// last epoch; and how long between two epochs if nobody is connected. 0: 2 s.
	SubmitTimeout time.Duration

	// AttemptTimeout is how long an attempt may take. It doubles, to at most eight
	// times this, whenever it was too short, and halves back after each epoch
	// that the first attempt finished. 0: 30 s.
	AttemptTimeout time.Duration

	// RestartDelay is from when all servers are there again, after one or a
	// link between two was lost in an attempt, to the next attempt. 0: 250 ms.
	RestartDelay time.Duration

	// StartWhen holds the first epoch back until it returns true for the
	// numbers of clients that are connected to their ingestion and to their
	// storage server, and exist. nil: at once. Later epochs do not ask.
	StartWhen func(ingestion, storage int) bool

	// LastEpoch is the last one to propose. 0: no end.
	LastEpoch uint64
}

func (c Config) withDefaults() (Config, error) {
	if c.Geometry == nil {
		return c, fmt.Errorf("%w: no Geometry", ErrConfig)
	}
	for _, f := range []struct {
		name  string
		field *time.Duration
		value time.Duration
	}{
		{"Period", &c.Period, 0},
		{"SubmitTimeout", &c.SubmitTimeout, 2 * time.Second},
		{"AttemptTimeout", &c.AttemptTimeout, 30 * time.Second},
		{"RestartDelay", &c.RestartDelay, 250 * time.Millisecond},
	} {
		if *f.field < 0 {
			return c, fmt.Errorf("%w: %s is %v: choose 0 or more", ErrConfig, f.name, *f.field)
		}
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return c, nil
}

// EventKind is what an Event is about.
type EventKind int

// The kinds of events.
const (
	// EpochStarted: the first proposal of this coordinator for an epoch.
	// Epoch, Attempt, Ingestion, Storage.
	EpochStarted EventKind = iota + 1
	// AttemptStarted: every proposal, the first one of an epoch too. Epoch,
	// Attempt, Void, Ingestion, Storage; Reason, in words, if an attempt of this
	// epoch had been under way.
	AttemptStarted
	// EpochCommitted: all servers have committed the epoch. Epoch, Attempt.
	EpochCommitted
	// EpochDone: all servers have reported on it, or a server was lost, or
	// AttemptTimeout passed. Epochs are done in order, each once; the next may
	// have been started and committed before. Epoch, Reports.
	EpochDone
	// Stopped: a server has stopped for good. Server, Reason.
	Stopped
	// ServerLost and ServerBack: the link to a server. Server.
	ServerLost
	ServerBack
	// Diverged: servers have committed different epochs for longer than
	// AttemptTimeout, so none is proposed. Reason.
	Diverged
)

// String returns the kind in words.
func (k EventKind) String() string {
	switch k {
	case EpochStarted:
		return "epoch started"
	case AttemptStarted:
		return "attempt started"
	case EpochCommitted:
		return "epoch committed"
	case EpochDone:
		return "epoch done"
	case Stopped:
		return "server stopped"
	case ServerLost:
		return "server lost"
	case ServerBack:
		return "server back"
	case Diverged:
		return "servers diverged"
	}
	return "unknown event"
}

// Event is something that observers may want to know. All of it is public.
type Event struct {
	Kind    EventKind
	At      time.Duration // the time of the Tick that made it
	Epoch   uint64
	Attempt uint16
	Void    bool // the attempt is above the cap
	Server  int
	Reason  string

	Ingestion, Storage int // clients in the roster

	Reports []wire.EpochReport // by server; one that is not of Epoch is missing
}

// Output is what a Tick wants done.
type Output struct {
	Propose *wire.Propose // to every server; nil: nothing
	Events  []Event
}
