package coordinator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/wire"
)

func testGeometry(t testing.TB, servers, capacity, attempts int) *geometry.Geometry {
	t.Helper()
	p := geometry.Params{
		Capacity: capacity, CellBytes: 16, Attempts: attempts,
		ID: geometry.IDChannel{Out: 1, Contact: 1, Open: true},
	}
	for range servers {
		p.Servers = append(p.Servers, geometry.Server{Roles: geometry.AllRoles, Weight: 1})
	}
	g, err := geometry.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// script drives a machine and writes down what it does.
type script struct {
	t   *testing.T
	m   *Machine
	now time.Duration
	out []string
}

func newScript(t *testing.T, cfg Config) *script {
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &script{t: t, m: m}
}

func (s *script) tick(at time.Duration) {
	s.now = at
	out := s.m.Tick(at)
	if p := out.Propose; p != nil {
		i, d := p.Roster.Counts()
		s.out = append(s.out, fmt.Sprintf("%v propose %d.%d limit %d in %d out %d", at, p.Epoch, p.Attempt, p.Roster.Limit, i, d))
	}
	for _, e := range out.Events {
		switch e.Kind {
		case EpochCommitted:
			s.out = append(s.out, fmt.Sprintf("%v committed %d", at, e.Epoch))
		case EpochDone:
			n := 0
			for _, r := range e.Reports {
				if r.Epoch == e.Epoch {
					n++
				}
			}
			s.out = append(s.out, fmt.Sprintf("%v done %d reports %d", at, e.Epoch, n))
		case Stopped:
			s.out = append(s.out, fmt.Sprintf("%v stopped %d %s", at, e.Server, e.Reason))
		case Diverged:
			s.out = append(s.out, fmt.Sprintf("%v diverged", at))
		}
	}
}

// all sets the same status for all servers of the machine.
func (s *script) all(status wire.Status) {
	for i := range s.m.servers {
		s.m.Status(i, &status)
	}
}

func (s *script) up() {
	for i := range s.m.servers {
		s.m.ServerUp(i)
	}
}

func (s *script) want(lines ...string) {
	s.t.Helper()
	if !slices.Equal(s.out, lines) {
		s.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(s.out, "\n\t"), strings.Join(lines, "\n\t"))
	}
	s.out = nil
}

func both(up bool, ids ...uint32) (out []wire.Connection) {
	for _, id := range ids {
		out = append(out, wire.Connection{Client: id, Role: 1, Up: up}, wire.Connection{Client: id, Role: 2, Up: up})
	}
	return out
}

const second = time.Second

func status(committed uint64, attempt uint16) wire.Status {
	return wire.Status{Committed: committed, Offered: committed, Open: committed + 1, Attempt: attempt, Peers: 1, Users: []uint32{4, 4},
		Newest: wire.EpochReport{Epoch: committed}}
}

// answered is status when the one client that is connected has sent its cells.
func answered(committed uint64) wire.Status {
	s := status(committed, 0)
	s.Submissions, s.Controls = 1, 1
	return s
}

func TestPeriod(t *testing.T) {
	s := newScript(t, Config{Geometry: testGeometry(t, 2, 100, 2), Period: second})
	s.tick(0)
	s.m.ServerUp(0)
	s.m.ServerUp(1)
	st := status(0, 0)
	s.m.Status(0, &st)
	s.tick(second / 2)
	s.want() // server 1 has not said anything yet
	s.m.Connections(0, both(true, 1, 7, 50))
	s.m.Status(1, &st)
	s.tick(second)
	s.want("1s propose 1.1 limit 8 in 2 out 2")
	s.all(status(0, 1))
	s.tick(1900 * time.Millisecond)
	s.want()
	s.all(status(1, 0))
	s.tick(1950 * time.Millisecond)
	s.want("1.95s committed 1", "1.95s done 1 reports 2")
	next := func(want time.Duration) {
		t.Helper()
		if next, ok := s.m.Next(); !ok || next != want {
			t.Errorf("Next is %v, %v, want %v", next, ok, want)
		}
	}
	next(2450 * time.Millisecond)
	s.m.Connections(0, both(false, 1))
	s.all(answered(1))
	s.tick(1960 * time.Millisecond)
	next(2 * second)
	s.tick(2 * second)
	s.want("2s propose 2.1 limit 8 in 1 out 1")
	// Late by 1.3 s: the next one starts as soon as clients have answered the
	// outcome of this one.
	s.all(status(2, 0))
	s.tick(4300 * time.Millisecond)
	s.want("4.3s committed 2", "4.3s done 2 reports 2")
	next(4800 * time.Millisecond)
	s.all(answered(2))
	s.tick(4400 * time.Millisecond)
	s.want("4.4s propose 3.1 limit 8 in 1 out 1")
	s.all(answered(3))
	s.tick(4500 * time.Millisecond)
	s.want("4.5s committed 3", "4.5s done 3 reports 2")
	s.tick(4899 * time.Millisecond)
	s.want()
	s.tick(4900 * time.Millisecond)
	s.want("4.9s propose 4.1 limit 8 in 1 out 1")
	// Late, and a client is silent: it is waited for no longer than half a period.
	s.all(status(4, 0))
	s.tick(7 * second)
	s.want("7s committed 4", "7s done 4 reports 2")
	s.tick(7499 * time.Millisecond)
	s.want()
	s.tick(7500 * time.Millisecond)
	s.want("7.5s propose 5.1 limit 8 in 1 out 1")
}

func TestAsFastAsPossible(t *testing.T) {
	s := newScript(t, Config{Geometry: testGeometry(t, 2, 100, 2), SubmitTimeout: 5 * second,
		StartWhen: func(in, out int) bool { return in >= 2 && out >= 2 }, LastEpoch: 3})
	s.up()
	s.all(status(0, 0))
	s.m.Connections(3, both(true, 2))
	s.tick(100 * second)
	s.m.Connections(3, both(true, 3))
	s.tick(101 * second)
	s.want()
	if next, ok := s.m.Next(); !ok || next != 106*second {
		t.Errorf("Next is %v, %v", next, ok)
	}
	a, b := status(0, 0), status(0, 0)
	a.Submissions, b.Submissions, a.Controls = 1, 1, 1
	s.m.Status(0, &a)
	s.m.Status(1, &b)
	s.tick(102 * second)
	s.want()
	b.Controls = 1
	s.m.Status(1, &b)
	s.tick(103 * second)
	s.want("1m43s propose 1.1 limit 8 in 2 out 2")
	// Cells counted for epoch 2 while 1 is routed; Open of one server lags.
	a, b = status(0, 1), status(0, 1)
	a.Open, a.Submissions, a.Controls = 2, 2, 2
	s.m.Status(0, &a)
	s.m.Status(1, &b)
	s.tick(104 * second)
	a.Committed, a.Attempt, b = 1, 0, status(1, 0)
	s.m.Status(0, &a)
	s.tick(104 * second)
	s.want()
	s.m.Status(1, &b)
	s.tick(105 * second)
	s.want("1m45s propose 2.1 limit 8 in 2 out 2", "1m45s committed 1")
	// Silent clients are waited for no longer than SubmitTimeout.
	s.all(status(2, 0))
	s.tick(106 * second)
	s.tick(110 * second)
	s.want("1m46s committed 2", "1m46s done 1 reports 1", "1m46s done 2 reports 2")
	s.m.GatewayDown(3)
	s.tick(111 * second)
	s.want("1m51s propose 3.1 limit 8 in 0 out 0")
	s.all(status(3, 0))
	s.tick(112 * second)
	s.tick(200 * second)
	s.want("1m52s committed 3", "1m52s done 3 reports 2")
	if next, ok := s.m.Next(); ok {
		t.Errorf("Next is %v after the last epoch", next)
	}
}

// Patience begins when gateways have been handed all of the last epoch, and at
// the latest a period after its commit.
func TestSlowLinks(t *testing.T) {
	s := newScript(t, Config{Geometry: testGeometry(t, 2, 100, 2), Period: second})
	s.up()
	s.all(status(0, 0))
	s.m.Connections(0, both(true, 1))
	s.tick(0)
	s.want("0s propose 1.1 limit 8 in 1 out 1")
	next := func(want time.Duration) {
		t.Helper()
		if next, ok := s.m.Next(); !ok || next != want {
			t.Errorf("Next is %v, %v, want %v", next, ok, want)
		}
	}
	slow := status(1, 0)
	slow.Offered = 0
	s.all(slow)
	s.tick(900 * time.Millisecond)
	next(2400 * time.Millisecond)
	whole := status(1, 0)
	s.m.Status(0, &whole)
	s.tick(1400 * time.Millisecond)
	s.want("900ms committed 1", "900ms done 1 reports 2")
	s.m.Status(1, &whole)
	s.tick(1600 * time.Millisecond)
	next(2100 * time.Millisecond)
	s.tick(2099 * time.Millisecond)
	s.want()
	s.tick(2100 * time.Millisecond)
	s.want("2.1s propose 2.1 limit 8 in 1 out 1")
	// A link takes nothing at all.
	slow = status(2, 0)
	slow.Offered = 1
	s.all(slow)
	s.tick(3 * second)
	s.want("3s committed 2", "3s done 2 reports 2")
	s.tick(4499 * time.Millisecond)
	s.want()
	s.tick(4500 * time.Millisecond)
	s.want("4.5s propose 3.1 limit 8 in 1 out 1")
	// Clients that have answered are not waited for.
	slow = answered(3)
	slow.Offered = 1
	s.all(slow)
	s.tick(5500 * time.Millisecond)
	s.want("5.5s propose 4.1 limit 8 in 1 out 1", "5.5s committed 3", "5.5s done 3 reports 2")
}

func TestAttempts(t *testing.T) {
	s := newScript(t, Config{Geometry: testGeometry(t, 2, 100, 2), Period: second, AttemptTimeout: 10 * second, RestartDelay: second})
	s.up()
	s.all(status(4, 0))
	s.tick(0)
	s.want("0s propose 5.1 limit 8 in 0 out 0")
	s.m.Connections(0, both(true, 5))
	s.tick(9 * second)
	s.tick(10 * second)
	s.want("10s propose 5.2 limit 8 in 1 out 1")
	// The timeout has doubled; the cap is 2, so the next one is void.
	s.tick(29 * second)
	s.want()
	s.tick(30 * second)
	s.want("30s propose 5.3 limit 0 in 0 out 0")
	// A server restarts.
	s.m.ServerDown(1)
	s.tick(31 * second)
	s.m.ServerUp(1)
	s.tick(32 * second)
	st := status(4, 0)
	s.m.Status(1, &st)
	s.tick(33 * second)
	s.tick(33900 * time.Millisecond)
	s.want()
	s.tick(34 * second)
	s.want("34s propose 5.4 limit 0 in 0 out 0")
	// A link between servers breaks, and one has begun an attempt of another coordinator.
	st = status(4, 9)
	st.Peers = 0
	s.m.Status(0, &st)
	s.tick(35 * second)
	st.Peers = 1
	s.m.Status(0, &st)
	s.tick(36 * second)
	s.tick(37 * second)
	s.want("37s propose 5.10 limit 0 in 0 out 0")
	// Servers differ: nothing is proposed until they agree.
	st = status(5, 0)
	s.m.Status(0, &st)
	s.tick(38 * second)
	s.tick(400 * second)
	s.want("6m40s diverged")
	s.m.Status(1, &st)
	s.tick(401 * second)
	s.tick(401500 * time.Millisecond)
	s.want("6m41s committed 5", "6m41s done 5 reports 2", "6m41.5s propose 6.1 limit 8 in 1 out 1")
	s.m.Stopped(1, "wrong manifest")
	s.tick(402 * second)
	s.tick(1000 * second)
	s.want("6m42s stopped 1 wrong manifest")
}

// A coordinator that starts while an attempt is under way leaves it a moment
// and then goes on above it.
func TestResume(t *testing.T) {
	s := newScript(t, Config{Geometry: testGeometry(t, 2, 100, 8), RestartDelay: second})
	s.up()
	st := status(7, 3)
	s.m.Status(0, &st)
	st.Attempt = 2
	s.m.Status(1, &st)
	s.tick(0)
	s.tick(second / 2)
	s.want()
	s.tick(second)
	s.want("1s propose 8.4 limit 8 in 0 out 0")
}

// Servers report when the last cells have left, and epochs do not wait for that:
// no report is lost, and epochs are done in order.
func TestReportsComeLate(t *testing.T) {
	s := newScript(t, Config{Geometry: testGeometry(t, 2, 100, 2), Period: second})
	s.up()
	s.all(status(0, 0))
	s.tick(0)
	s.m.Connections(0, both(true, 5))
	st := func(committed, reported uint64) wire.Status {
		x := answered(committed)
		x.Newest.Epoch = reported
		return x
	}
	s.all(st(1, 0))
	s.tick(second)
	s.all(st(2, 0))
	s.tick(2 * second)
	s.out = nil
	a, b := st(2, 1), st(2, 2)
	s.m.Status(0, &a) // of 1, then of 2; the other one has told neither
	s.m.Status(0, &b)
	s.tick(2100 * time.Millisecond)
	s.want()
	s.m.Status(1, &a)
	s.tick(2200 * time.Millisecond)
	s.want("2.2s done 1 reports 2")
	if next, ok := s.m.Next(); !ok || next > 32*second {
		t.Errorf("Next is %v, %v", next, ok)
	}
	s.all(st(3, 2))
	s.tick(2300 * time.Millisecond)
	s.want("2.3s committed 3", "2.3s done 2 reports 2")
	s.m.ServerDown(1)
	s.tick(2400 * time.Millisecond)
	s.want("2.4s done 3 reports 0")
	s.tick(100 * second)
	s.want()
}

func TestConfig(t *testing.T) {
	for _, cfg := range []Config{{}, {Geometry: testGeometry(t, 1, 10, 1), Period: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
