package commit

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// The model check runs the real Machine. One server's situation is a local
// state; what is known of it is interned, so that a whole cluster is three small
// numbers, and each (local state, input) is executed once.
//
// The network is the set of all votes ever said, from which any vote may be
// delivered to any peer at any time and any number of times, or never: that is
// arbitrary order, delay, duplication and loss.

// model says what is explored.
type model struct {
	attempts  []uint16 // by epoch
	rollbacks [3]int   // how often each server may be rolled back
	whole     bool     // crash and roll back between operations only, not inside them
	votes     []Vote   // interned
	voteID    map[string]int
	servers   [3]*space
	outcomes  map[string]int
	violation string
}

// space is the local states of one server.
type space struct {
	id    map[string]uint32
	state []*local
}

// voteSet is a set of votes by number; 256 are enough.
type voteSet [4]uint64

func (s *voteSet) add(i int) { s[i/64] |= 1 << (i % 64) }

// local is one server: machine, disk, what it said and delivered so far, and the
// earlier durable states to which it may be rolled back.
type local struct {
	m         *Machine
	store     *memStore
	said      voteSet
	past      []string
	rolled    int
	delivered []int // by epoch - 1, interned outcome, 0 for none

	// memoised
	internal *moves
	deliver  [256]*[]uint32 // by vote; the first is the one without a fault
	decision [3]int         // by epoch, interned COMMITTED
}

// moves are what a server may do by itself; -1 for none.
type moves struct {
	all             []uint32
	finish, prepare int64
}

func (mo *model) fail(format string, args ...any) {
	if mo.violation == "" {
		mo.violation = fmt.Sprintf(format, args...)
	}
}

func newModel(attempts []uint16, rollbacks [3]int, whole bool) *model {
	mo := &model{attempts: attempts, rollbacks: rollbacks, whole: whole, voteID: map[string]int{}, outcomes: map[string]int{}}
	for i := range 3 {
		mo.servers[i] = &space{id: map[string]uint32{}}
		l := &local{store: newStore(), delivered: make([]int, len(attempts))}
		if rollbacks[i] > 0 {
			l.past = []string{l.store.key()}
		}
		mo.restart(i, l)
		mo.intern(i, l)
	}
	return mo
}

func clone(l *local) *local {
	c := &local{store: l.store.copy(), said: l.said, past: slices.Clone(l.past), rolled: l.rolled, delivered: slices.Clone(l.delivered)}
	m := *l.m
	m.store = c.store
	m.agreed = slices.Clone(m.agreed)
	m.answered = slices.Clone(m.answered)
	m.prepared = slices.Clone(m.prepared)
	m.ballots = slices.Clone(m.ballots)
	for i := range m.ballots {
		m.ballots[i].tags = slices.Clone(m.ballots[i].tags)
	}
	c.m = &m
	return c
}

// key is the canonical encoding of a local state.
func (l *local) key() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%q %v %v %d %v ", l.store.key(), l.said, len(l.past), l.rolled, l.delivered)
	for _, p := range l.past {
		fmt.Fprintf(&b, "%q", p)
	}
	if l.m.stop != nil {
		return b.String() + "stopped"
	}
	for _, p := range l.m.prepared {
		fmt.Fprintf(&b, "P%d ", p.attempt)
	}
	votes := slices.Clone(l.m.ballots)
	slices.SortFunc(votes, func(x, y ballot) int {
		return cmp.Or(cmp.Compare(x.attempt, y.attempt), bytes.Compare(x.a[:], y.a[:]))
	})
	for _, v := range votes {
		if slices.ContainsFunc(v.tags, func(t Tag) bool { return t != Tag{} }) {
			fmt.Fprintf(&b, "%d %x %x;", v.attempt, v.a, v.tags)
		}
	}
	fmt.Fprintf(&b, "%v", l.m.agreed)
	return b.String()
}

func (mo *model) intern(i int, l *local) uint32 {
	clear(l.m.answered) // only limits how often known votes are said again
	l.m.begun = 0
	sp := mo.servers[i]
	key := l.key()
	if id, ok := sp.id[key]; ok {
		return id
	}
	for _, o := range []*outcome{l.m.last, l.m.decided} {
		if o != nil {
			l.decision[o.epoch] = mo.outcome(o)
		}
	}
	for e, o := range l.delivered {
		if l.decision[e+1] == 0 {
			l.decision[e+1] = o
		}
	}
	id := uint32(len(sp.state))
	sp.id[key] = id
	sp.state = append(sp.state, l)
	return id
}

func (mo *model) outcome(o *outcome) int {
	key := fmt.Sprint(o.epoch, o.attempt, o.a, o.head)
	if _, ok := mo.outcomes[key]; !ok {
		mo.outcomes[key] = len(mo.outcomes) + 1
	}
	return mo.outcomes[key]
}

// drain puts what the server says into the network, and checks that it is
// durable already: "durable before it is said".
func (mo *model) drain(i int, l *local) {
	for _, out := range l.m.Ready() {
		v := out.Vote
		durable := false
		switch v.Kind {
		case Prepared:
			b := l.store.values[namePrepared(v.Epoch, v.Attempt)]
			_, p, _, ok := decodePrepared([]byte(b))
			durable = ok && p == prepared{v.Attempt, v.A, v.Tags[0]}
		case Committed:
			for _, name := range []string{nameDecided, nameFinal} {
				o, ok := decodeOutcome([]byte(l.store.values[name]))
				durable = durable || ok && o.epoch == v.Epoch && o.says(v)
			}
		}
		if !durable {
			mo.fail("server %d says what is not durable: %+v", i, v)
		}
		key := fmt.Sprint(i, v)
		id, ok := mo.voteID[key]
		if !ok {
			id = len(mo.votes)
			mo.voteID[key] = id
			mo.votes = append(mo.votes, v)
		}
		l.said.add(id)
	}
}

// restart is a crash at rest: all that is not durable is gone.
func (mo *model) restart(i int, l *local) {
	l.store = l.store.copy()
	l.store.record = true
	m, err := New(i, 3, l.store, EpochHead{1})
	if err != nil {
		mo.fail("server %d does not restart: %v", i, err)
		return
	}
	l.m = m
	for p := range 3 {
		m.PeerUp(p)
	}
	mo.drain(i, l)
	mo.remember(i, l)
}

// remember keeps the durable states of which the store took note.
func (mo *model) remember(i int, l *local) {
	if mo.whole && len(l.store.past) > 0 {
		l.store.past = []string{l.store.key()}
	}
	if l.rolled < mo.rollbacks[i] {
		l.past = append(l.past, l.store.past...)
		slices.Sort(l.past)
		l.past = slices.Compact(l.past)
	} else {
		l.past = nil
	}
	l.store.past, l.store.record = nil, false
}

// run executes op on a copy of l: once undisturbed (the first result), and with
// a crash before and after each operation on the store.
func (mo *model) run(i int, l *local, op func(*local) error) []uint32 {
	next, total := mo.attempt(nil, i, l, op, 0, false)
	if mo.whole {
		total = 0
	}
	for at := 1; at <= total; at++ {
		next, _ = mo.attempt(next, i, l, op, at, false)
		next, _ = mo.attempt(next, i, l, op, at, true)
	}
	return next
}

// attempt is one execution of run; it appends the result to next, and returns
// the number of operations on the store.
func (mo *model) attempt(next []uint32, i int, l *local, op func(*local) error, at int, after bool) ([]uint32, int) {
	c := clone(l)
	c.store.failAt, c.store.after, c.store.record = at, after, true
	err := op(c)
	ops := c.store.ops
	mo.drain(i, c)
	mo.remember(i, c)
	if at > 0 {
		mo.restart(i, c)
	} else if err != nil && mo.rollbacks == [3]int{} {
		mo.fail("without rollback server %d stops: %v", i, err)
	}
	if mo.violation != "" || c.m.stop != nil {
		// What a stopped server may still do, it may do after a crash before this.
		return next, ops
	}
	if id := mo.intern(i, c); !slices.Contains(next, id) {
		next = append(next, id)
	}
	return next, ops
}
