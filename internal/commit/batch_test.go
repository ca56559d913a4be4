package commit

import (
	"errors"
	"testing"
)

// lag drives a machine by hand: it returns what Ready hands out, and the disk
// is as late as the test wants.
func lag(t *testing.T, m *Machine, number uint64, writes, messages int) Ready {
	t.Helper()
	r := m.Ready()
	if r.Batch.Number != number || len(r.Batch.Writes) != writes || len(r.Messages) != messages {
		t.Fatalf("violated: batch %d with %d writes and %d messages, want %d, %d, %d",
			r.Batch.Number, len(r.Batch.Writes), len(r.Messages), number, writes, messages)
	}
	return r
}

func prepareLate(t *testing.T, m *Machine, attempt uint16) {
	t.Helper()
	if err := m.Begin(m.Epoch(), attempt); err != nil {
		t.Fatal(err)
	}
	if err := m.Prepare(attempt, testID(m.Epoch(), attempt), testTag(m.self, attempt), []byte("state")); err != nil {
		t.Fatal(err)
	}
}

func newLate(t *testing.T, servers int) *Machine {
	t.Helper()
	m, err := New(0, servers, newStore(), genesis)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestVotesWaitForTheDisk: PREPARED and COMMITTED leave when their own batch is
// durable, not before, and COMMITTED may be queued behind PREPARED.
func TestVotesWaitForTheDisk(t *testing.T) {
	m := newLate(t, 3)
	prepareLate(t, m, 1)
	lag(t, m, 1, 2, 0) // the list of attempts and the prepared record
	m.Tick()
	m.PeerUp(1)
	lag(t, m, 0, 0, 0)
	m.Persisted(1)
	lag(t, m, 0, 0, 2)
	if err := m.Step(1, committedOf(3, 1, 1)); err != nil {
		t.Fatal(err)
	}
	lag(t, m, 2, 1, 0)
	m.Persisted(7) // of batches that were never handed out
	if r := m.Ready(); len(r.Messages) != 2 || r.Messages[0].Vote.Kind != Committed || m.persisted != 2 {
		t.Fatalf("violated: %+v", r)
	}
}

// TestPreparedIsDroppedOnceCommittedIsQueued: R1 counts from the moment at which
// COMMITTED is queued, although neither is durable.
func TestPreparedIsDroppedOnceCommittedIsQueued(t *testing.T) {
	m := newLate(t, 3)
	prepareLate(t, m, 1)
	prepareLate(t, m, 2)
	if err := m.Step(1, committedOf(3, 1, 1)); err != nil {
		t.Fatal(err)
	}
	lag(t, m, 1, 5, 0) // two attempts, and COMMITTED
	m.Persisted(1)
	m.Tick()
	for _, x := range lag(t, m, 0, 0, 2).Messages {
		if x.Vote.Kind == Prepared {
			t.Fatalf("violated: PREPARED leaves after COMMITTED was queued: %+v", x)
		}
	}
}

// TestFinalWaitsForTheDisk: a server that is alone decides by itself, and must
// not deliver what a crash can still undo.
func TestFinalWaitsForTheDisk(t *testing.T) {
	m := newLate(t, 1)
	prepareLate(t, m, 1)
	lag(t, m, 1, 3, 0)
	if m.Final() {
		t.Fatal("violated: final before COMMITTED is durable")
	}
	m.Persisted(1)
	if !m.Final() || m.Finish() != nil {
		t.Fatal("not final")
	}
	lag(t, m, 2, 4, 0) // the small record of the outcome, and three deletions
}

// TestOutcomeIsHandedOutOnce: the state of an attempt is in one write, by the
// parts that the caller leased, not by a copy.
func TestOutcomeIsHandedOutOnce(t *testing.T) {
	m := newLate(t, 1)
	state := []byte("a long outcome")
	if err := m.Begin(1, 1); err != nil {
		t.Fatal(err)
	}
	if err := m.Prepare(1, testID(1, 1), testTag(0, 1), state); err != nil {
		t.Fatal(err)
	}
	r := m.Ready()
	m.Persisted(r.Batch.Number)
	if err := m.Finish(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, w := range append(r.Batch.Writes, m.Ready().Batch.Writes...) {
		for _, p := range w.Parts {
			if len(p) > 0 && &p[0] == &state[0] {
				seen++
			} else if string(p) == string(state) {
				t.Errorf("%s holds a copy", w.Name)
			}
		}
	}
	if seen != 1 {
		t.Errorf("the state is in %d writes", seen)
	}
}

// TestFailed: after a batch that failed nothing is known, and nothing is said.
func TestFailed(t *testing.T) {
	m := newLate(t, 3)
	prepareLate(t, m, 1)
	m.Ready()
	m.Failed(errInjected)
	m.Tick()
	lag(t, m, 0, 0, 0)
	if err := m.Conflict(); !errors.Is(err, ErrStore) || !errors.Is(err, errInjected) || m.Final() {
		t.Fatal(err)
	}
}
