package commit

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"testing"
)

var genesis = Genesis([32]byte{1}, [32]byte{2})

func testID(epoch uint64, attempt uint16) ID { return Facts{Epoch: epoch, Attempt: attempt}.ID() }

func testTag(server int, attempt uint16) Tag { return Tag{1, byte(server), byte(attempt)} }

func mustNew(t *testing.T, self, servers int, s *memStore) *synced {
	t.Helper()
	m, err := New(self, servers, s, genesis)
	if err != nil {
		t.Fatal(err)
	}
	return &synced{Machine: m, disk: s}
}

func mustPrepare(t *testing.T, m *synced, attempt uint16) {
	t.Helper()
	if err := m.Begin(m.Epoch(), attempt); err != nil {
		t.Fatal(err)
	}
	if err := m.Prepare(attempt, testID(m.Epoch(), attempt), testTag(m.self, attempt), []byte("st"), []byte("ate")); err != nil {
		t.Fatal(err)
	}
}

func preparedBy(server int, epoch uint64, attempt uint16) Vote {
	return Vote{Prepared, epoch, attempt, testID(epoch, attempt), []Tag{testTag(server, attempt)}}
}

func committedOf(servers int, epoch uint64, attempt uint16) Vote {
	v := Vote{Committed, epoch, attempt, testID(epoch, attempt), nil}
	for s := range servers {
		v.Tags = append(v.Tags, testTag(s, attempt))
	}
	return v
}

func mustStep(t *testing.T, m *synced, from int, v Vote) {
	t.Helper()
	if err := m.Step(from, v); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

// finished returns server 0 of three, at epoch 2 after attempt 1 of epoch 1.
func finished(t *testing.T, s *memStore) *synced {
	m := mustNew(t, 0, 3, s)
	mustPrepare(t, m, 1)
	mustStep(t, m, 1, committedOf(3, 1, 1))
	mustStep(t, m, 2, committedOf(3, 1, 1))
	if err := m.Finish(); err != nil {
		t.Fatal(err)
	}
	m.Ready()
	return m
}

func TestR1Order(t *testing.T) {
	m := mustNew(t, 0, 3, newStore())
	want(t, m.Begin(2, 1), ErrEpoch)
	want(t, m.Begin(0, 1), ErrEpoch)
	want(t, m.Begin(1, 0), ErrAttempt)
	want(t, m.Prepare(1, testID(1, 1), testTag(0, 1)), ErrNotBegun)
	if err := m.Begin(1, 1); err != nil {
		t.Fatal(err)
	}
	want(t, m.Prepare(1, testID(1, 1), Tag{}), ErrTag)
	mustPrepare(t, m, 2)
	want(t, m.Begin(1, 1), ErrAttempt)
	want(t, m.Begin(1, 2), ErrAttempt)
	want(t, m.Prepare(1, testID(1, 1), testTag(0, 1)), ErrAttempt)
	mustStep(t, m, 1, committedOf(3, 1, 2))
	want(t, m.Begin(1, 3), ErrDecided)
	if m.Conflict() != nil {
		t.Fatal("a refusal stopped the machine")
	}
}

func TestR1DurableBeforeSaid(t *testing.T) {
	s := newStore()
	m := mustNew(t, 0, 3, s)
	mustPrepare(t, m, 1)
	if out := m.Ready(); len(out) != 2 || out[0].To != 1 || out[1].To != 2 || out[0].Vote.Kind != Prepared {
		t.Fatalf("said %v", out)
	}
	for at := range 2 {
		s := newStore()
		s.failAt = at + 1
		m := mustNew(t, 0, 3, s)
		if err := m.Begin(1, 1); err != nil {
			t.Fatal(err)
		}
		want(t, m.Prepare(1, testID(1, 1), testTag(0, 1)), ErrStore)
		want(t, m.Conflict(), errInjected)
		want(t, m.Begin(1, 2), ErrStore)
		m.Tick()
		m.PeerUp(1)
		if out := m.Ready(); len(out) != 0 {
			t.Fatalf("said %v", out)
		}
	}
	m = mustNew(t, 0, 3, s.copy())
	want(t, m.Begin(1, 1), ErrAttempt)
	if state, ok := m.Prepared(1); !ok || string(state) != "state" {
		t.Fatalf("state %q %v", state, ok)
	}
	if _, ok := m.Prepared(2); ok {
		t.Fatal("an attempt that was never prepared")
	}
	m.PeerUp(2)
	if out := m.Ready(); len(out) != 1 || out[0].To != 2 || out[0].Vote.Tags[0] != testTag(0, 1) {
		t.Fatalf("said %v", out)
	}
}

func TestR2AllPrepared(t *testing.T) {
	m := mustNew(t, 0, 3, newStore())
	mustStep(t, m, 1, preparedBy(1, 1, 1))
	mustStep(t, m, 2, preparedBy(2, 1, 1))
	if _, _, _, _, ok := m.Decided(); ok {
		t.Fatal("committed what it did not prepare")
	}
	other := mustNew(t, 0, 3, newStore()) // PREPARED for one number, not for one A
	elsewhere := preparedBy(2, 1, 1)
	elsewhere.A = ID{7}
	mustStep(t, other, 1, preparedBy(1, 1, 1))
	mustStep(t, other, 2, elsewhere)
	mustPrepare(t, other, 1)
	if _, _, _, _, ok := other.Decided(); ok {
		t.Fatal("counted PREPARED of another A")
	}
	mustPrepare(t, m, 1)
	attempt, a, tags, head, ok := m.Decided()
	if !ok || attempt != 1 || a != testID(1, 1) || !slices.Equal(tags, committedOf(3, 1, 1).Tags) || head != Next(genesis, a, tags) {
		t.Fatal("not committed on PREPARED from all")
	}
	if m.Final() {
		t.Fatal("final without the others")
	}
}

func TestR2OnlyTheHighest(t *testing.T) {
	m := mustNew(t, 0, 3, newStore())
	mustPrepare(t, m, 1)
	mustStep(t, m, 1, preparedBy(1, 1, 1))
	mustPrepare(t, m, 2)
	mustStep(t, m, 2, preparedBy(2, 1, 1))
	if _, _, _, _, ok := m.Decided(); ok {
		t.Fatal("committed attempt 1 having prepared 2")
	}
	// The second clause: attempt 1 counts if a peer shows that it does.
	mustStep(t, m, 2, committedOf(3, 1, 1))
	if attempt, _, _, _, ok := m.Decided(); !ok || attempt != 1 {
		t.Fatal("did not follow a peer's COMMITTED")
	}
}

func TestR2OwnTagAmongTheTags(t *testing.T) {
	m := mustNew(t, 0, 3, newStore())
	mustPrepare(t, m, 1)
	v := committedOf(3, 1, 1)
	v.Tags[0] = Tag{9}
	m.Ready()
	want(t, m.Step(1, v), ErrRolledBack)
	want(t, m.Conflict(), ErrRolledBack)
	if _, _, _, _, ok := m.Decided(); ok || len(m.Ready()) != 0 || m.Final() {
		t.Fatal("went on after proof of lost state")
	}
}

func TestR3AllCommitted(t *testing.T) {
	s := newStore()
	m := mustNew(t, 0, 3, s)
	mustPrepare(t, m, 1)
	mustStep(t, m, 1, committedOf(3, 1, 1))
	mustStep(t, m, 1, committedOf(3, 1, 1))
	want(t, m.Finish(), ErrNotFinal)
	m = mustNew(t, 0, 3, s.copy()) // who agreed is not durable: ask again
	if _, _, _, _, ok := m.Decided(); !ok {
		t.Fatal("COMMITTED was not durable")
	}
	mustStep(t, m, 2, committedOf(3, 1, 1))
	want(t, m.Finish(), ErrNotFinal)
	mustStep(t, m, 1, committedOf(3, 1, 1))
	_, _, _, head, _ := m.Decided()
	if err := m.Finish(); err != nil || m.Epoch() != 2 || m.Head() != head {
		t.Fatal(err, m.Epoch())
	}
}

func TestR4KeepsDataUntilFinal(t *testing.T) {
	s := newStore()
	m := mustNew(t, 0, 3, s)
	mustPrepare(t, m, 1)
	mustPrepare(t, m, 3)
	mustStep(t, m, 1, committedOf(3, 1, 1))
	for _, attempt := range []uint16{1, 3} {
		if _, ok := m.Prepared(attempt); !ok {
			t.Fatalf("attempt %d is gone before R3", attempt)
		}
	}
	mustStep(t, m, 2, committedOf(3, 1, 1))
	if err := m.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.values[nameFinal]; !ok || len(s.values) != 1 {
		t.Fatalf("left behind: %q", s.key())
	}
}

func TestConflicts(t *testing.T) {
	other := committedOf(3, 1, 1)
	other.Tags[2] = Tag{9}
	t.Run("other tags", func(t *testing.T) {
		m := mustNew(t, 0, 3, newStore())
		mustPrepare(t, m, 1)
		mustStep(t, m, 1, committedOf(3, 1, 1))
		want(t, m.Step(2, other), ErrConflict)
		want(t, m.Finish(), ErrConflict)
	})
	t.Run("other attempt", func(t *testing.T) {
		m := mustNew(t, 0, 3, newStore())
		mustPrepare(t, m, 1)
		mustPrepare(t, m, 2)
		mustStep(t, m, 1, committedOf(3, 1, 1))
		want(t, m.Step(2, committedOf(3, 1, 2)), ErrConflict)
	})
	t.Run("final otherwise", func(t *testing.T) {
		want(t, finished(t, newStore()).Step(2, other), ErrConflict)
	})
	t.Run("two tags", func(t *testing.T) {
		m := mustNew(t, 0, 3, newStore())
		mustStep(t, m, 1, preparedBy(1, 1, 1))
		v := preparedBy(1, 1, 1)
		v.Tags[0][5]++
		want(t, m.Step(1, v), ErrConflict)
	})
	t.Run("future", func(t *testing.T) {
		m := mustNew(t, 0, 3, newStore())
		mustStep(t, m, 1, preparedBy(1, 2, 1)) // ignored
		want(t, m.Step(1, committedOf(3, 2, 1)), ErrRolledBack)
	})
}

func TestCheckHead(t *testing.T) {
	var h EpochHead
	fresh := func() *synced { return finished(t, newStore()) }
	head := fresh().Head()
	decided := fresh()
	mustPrepare(t, decided, 1)
	mustStep(t, decided, 1, committedOf(3, 2, 1))
	_, _, _, next, _ := decided.Decided()
	for _, c := range []struct {
		m     *synced
		epoch uint64
		head  EpochHead
		want  error
	}{
		{fresh(), 1, head, nil}, {fresh(), 0, genesis, nil}, {decided, 2, next, nil},
		{fresh(), 1, h, ErrConflict}, {fresh(), 0, h, ErrConflict}, {decided, 2, h, ErrConflict},
		{fresh(), 2, h, ErrRolledBack}, {fresh(), 3, h, ErrRolledBack},
	} {
		if err := c.m.CheckHead(1, c.epoch, c.head); !errors.Is(err, c.want) || !errors.Is(c.m.Conflict(), c.want) {
			t.Errorf("epoch %d: %v, want %v", c.epoch, err, c.want)
		}
	}
	m := fresh()
	mustPrepare(t, m, 1)
	mustStep(t, m, 1, committedOf(3, 2, 1))
	mustStep(t, m, 2, committedOf(3, 2, 1))
	if err := m.Finish(); err != nil {
		t.Fatal(err)
	}
	want(t, m.CheckHead(1, 0, genesis), ErrPeerLost)
	if m.Conflict() != nil {
		t.Error("a peer's loss stopped this server")
	}
}

func TestLatePeerIsAnswered(t *testing.T) {
	s := newStore()
	finished(t, s)
	m := mustNew(t, 0, 3, s.copy())
	for range 2 {
		mustStep(t, m, 1, committedOf(3, 1, 1))
		mustStep(t, m, 1, preparedBy(1, 1, 1))
		out := m.Ready()
		if len(out) != 1 || out[0].To != 1 || fmt.Sprint(out[0].Vote) != fmt.Sprint(committedOf(3, 1, 1)) {
			t.Fatalf("answered %v", out)
		}
		mustStep(t, m, 1, committedOf(3, 1, 1))
		if out := m.Ready(); len(out) != 0 {
			t.Fatalf("answers answer each other: %v", out)
		}
		m.Tick()
	}
	m.PeerUp(2)
	if out := m.Ready(); len(out) != 1 || out[0].Vote.Kind != Committed {
		t.Fatalf("said %v", out)
	}
}

func TestMalformedVotes(t *testing.T) {
	m := mustNew(t, 0, 3, newStore())
	good, zero := preparedBy(1, 1, 1), preparedBy(1, 1, 1)
	zero.Tags = []Tag{{}}
	short := committedOf(2, 1, 1)
	for _, c := range []struct {
		from int
		v    Vote
	}{{0, good}, {-1, good}, {3, good}, {1, Vote{}}, {1, zero}, {1, short}, {1, preparedBy(1, 0, 1)}, {1, preparedBy(1, 1, 0)}} {
		want(t, m.Step(c.from, c.v), ErrVote)
	}
	if m.Conflict() != nil {
		t.Fatal("a malformed vote stopped the machine")
	}
}

func TestOneServer(t *testing.T) {
	m := mustNew(t, 0, 1, newStore())
	for e := range uint64(3) {
		mustPrepare(t, m, 1)
		if !m.Final() || m.Finish() != nil || m.Epoch() != e+2 || len(m.Ready()) != 0 {
			t.Fatal("one server is all servers")
		}
	}
	for _, c := range [][2]int{{0, 0}, {-1, 3}, {3, 3}, {0, 1 << 16}} {
		_, err := New(c[0], c[1], newStore(), genesis)
		want(t, err, ErrServers)
	}
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skip(err)
	}
	if bad := regexp.MustCompile(`(?m)^(os|net|syscall|time|log|fmt|encoding/hex)$`).FindAll(out, -1); bad != nil {
		t.Errorf("reaches %s", bytes.Join(bad, []byte(" ")))
	}
}
