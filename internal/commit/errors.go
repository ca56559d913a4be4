package commit

import (
	"errors"
	"strconv"
)

// Kinds of error, for errors.Is. The first group refuses one call and changes
// nothing; the second stops the machine for good.
var (
	ErrEpoch    = errors.New("commit: not the epoch being decided")
	ErrDecided  = errors.New("commit: this epoch is already committed here")
	ErrAttempt  = errors.New("commit: attempt is not above the highest prepared (R1)")
	ErrNotBegun = errors.New("commit: attempt was not begun")
	ErrNotFinal = errors.New("commit: epoch is not final (R3)")
	ErrVote     = errors.New("commit: malformed vote")
	ErrTag      = errors.New("commit: tag is all zero; draw it at random")
	ErrPeerLost = errors.New("commit: peer is too far behind to catch up; it lost state")
	ErrServers  = errors.New("commit: impossible number of servers")

	ErrConflict   = errors.New("commit: two outcomes for one epoch; a server was rolled back or cloned")
	ErrRolledBack = errors.New("commit: this server lost state that its peers rely on")
	ErrStore      = errors.New("commit: store failed; restart from durable state")
	ErrCorrupt    = errors.New("commit: durable record does not parse")

	// ErrNotFound is what a Store's Get returns for a name that it does not have.
	ErrNotFound = errors.New("commit: not found")
)

// fault is an error of a kind, with what was wrong with what. It names only
// public facts: servers, epochs, attempts and names in the store.
type fault struct {
	kind  error
	what  string
	cause error
}

func (f *fault) Error() string {
	s := f.kind.Error() + ": " + f.what
	if f.cause != nil {
		s += ": " + f.cause.Error()
	}
	return s
}

func (f *fault) Unwrap() []error {
	if f.cause != nil {
		return []error{f.kind, f.cause}
	}
	return []error{f.kind}
}

func fail(kind error, what string) error { return &fault{kind: kind, what: what} }

func at(epoch uint64, attempt uint16) string {
	return "epoch " + number(epoch) + ", attempt " + number(uint64(attempt))
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
