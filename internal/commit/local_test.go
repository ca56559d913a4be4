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
//
// The disk is a queue of batches that the machine handed out. A batch becomes
// durable at any later time, or never: a crash leaves any prefix of the writes
// in the queue. Where batches are slow, each is a step of its own, between which
// everything else may happen. Where they are not, a batch is durable when the
// operation that queued it returns, unless a crash cuts it short.

// model says what is explored.
type model struct {
	attempts  []uint16 // by epoch
	rollbacks [3]int   // how often each server may be rolled back
	whole     bool     // crash and roll back between operations only, not inside them
	slow      bool     // batches become durable late
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

// local is one server: machine, disk, the batches on their way to the disk, what
// it said and delivered so far, and the earlier durable states to which it may be
// rolled back.
type local struct {
	m         *Machine
	store     *memStore
	pending   []Batch
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
	all                      []uint32
	finish, prepare, persist int64
}

func (mo *model) fail(format string, args ...any) {
	if mo.violation == "" {
		mo.violation = fmt.Sprintf(format, args...)
	}
}

func newModel(m model) *model {
	mo, attempts, rollbacks := &m, m.attempts, m.rollbacks
	mo.voteID, mo.outcomes = map[string]int{}, map[string]int{}
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
	c := &local{store: l.store.copy(), pending: slices.Clone(l.pending), said: l.said, past: slices.Clone(l.past), rolled: l.rolled, delivered: slices.Clone(l.delivered)}
	m := *l.m
	m.store = c.store
	m.out = slices.Clone(m.out)
	m.writes = slices.Clone(m.writes)
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
	for _, batch := range l.pending {
		fmt.Fprintf(&b, "B%x", fmt.Sprint(batch.Writes))
	}
	for _, o := range l.m.out {
		fmt.Fprintf(&b, "W%v", o.Message)
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

// drain moves what the machine hands out: writes to the queue of the disk, votes
// into the network.
func (mo *model) drain(i int, l *local) {
	r := l.m.Ready()
	if r.Batch.Number > 0 {
		l.pending = append(l.pending, r.Batch)
	}
	mo.say(i, l, r.Messages)
}

// persist makes the oldest batch durable, and says so.
func (mo *model) persist(i int, l *local) {
	batch := l.pending[0]
	l.pending = l.pending[1:]
	if err := batch.Apply(l.store); err != nil {
		mo.fail("server %d: %v", i, err)
	}
	l.m.Persisted(batch.Number)
	mo.drain(i, l)
}

// cut leaves the first n writes of the queue durable and loses the others, as a
// crash does.
func (l *local) cut(n int) {
	for _, batch := range l.pending {
		k := min(n, len(batch.Writes))
		_ = Batch{batch.Number, batch.Writes[:k]}.Apply(l.store)
		n -= k
	}
	l.pending = nil
}

// unwritten is the number of writes in the queue.
func (l *local) unwritten() (n int) {
	for _, batch := range l.pending {
		n += len(batch.Writes)
	}
	return n
}

// say puts votes into the network, and checks that they are durable already:
// "durable before it is said".
func (mo *model) say(i int, l *local, messages []Message) {
	for _, out := range messages {
		v := out.Vote
		durable := false
		switch v.Kind {
		case Prepared:
			b := l.store.values[namePrepared(v.Epoch, v.Attempt)]
			_, p, _, ok := decodePrepared([]byte(b))
			durable = ok && p.vote == vote{v.Attempt, v.A, v.Tags[0]}
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

// restart is a crash: all that is not durable is gone. Without slow batches what
// the start itself writes is durable at once.
func (mo *model) restart(i int, l *local) {
	record := l.store.past
	l.store = l.store.copy()
	l.store.record, l.store.past = true, record
	l.pending = nil
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
	for !mo.slow && len(l.pending) > 0 {
		mo.persist(i, l)
	}
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

// run executes op on a copy of l: once undisturbed (the first result), and,
// unless batches are slow, with a crash before each of its writes and after the
// last.
func (mo *model) run(i int, l *local, op func(*local) error) []uint32 {
	c := clone(l)
	c.store.record = true
	err := op(c)
	if err != nil && mo.rollbacks == [3]int{} {
		mo.fail("without rollback server %d stops: %v", i, err)
	}
	crashed := clone(c)
	mo.drain(i, c)
	for !mo.slow && len(c.pending) > 0 {
		mo.persist(i, c)
	}
	mo.remember(i, c)
	next := mo.result(nil, i, c)
	if mo.slow || mo.whole || err != nil {
		return next
	}
	r := crashed.m.Ready()
	for n := range len(r.Batch.Writes) + 1 {
		d := clone(crashed)
		d.pending = []Batch{r.Batch}
		d.store.record = true
		d.cut(n)
		mo.restart(i, d)
		next = mo.result(next, i, d)
	}
	return next
}

// result interns a local state and appends it to next. What a stopped server may
// still do, it may do after a crash before it stopped.
func (mo *model) result(next []uint32, i int, c *local) []uint32 {
	if mo.violation != "" || c.m.stop != nil {
		return next
	}
	if id := mo.intern(i, c); !slices.Contains(next, id) {
		next = append(next, id)
	}
	return next
}
