package commit

import "slices"

// Kind is what a vote says.
type Kind uint8

const (
	Prepared  Kind = 1 // one tag, the sender's
	Committed Kind = 2 // M tags, one per server in their order
)

// Vote is what one server tells another. Tags must not be modified.
type Vote struct {
	Kind    Kind
	Epoch   uint64
	Attempt uint16
	A       ID
	Tags    []Tag
}

// Message is a vote for one peer.
type Message struct {
	To   int
	Vote Vote
}

// outgoing is a message that waits for a batch to be durable.
type outgoing struct {
	Message
	needs uint64
}

// ballot is what peers have PREPARED of one attempt.
type ballot struct {
	attempt uint16
	a       ID
	tags    []Tag // by server; the zero tag is none
}

// Step takes in a peer's vote, in any order and any number of times. A vote for
// the epoch before is answered with what was committed there; older and future
// ones are ignored, except COMMITTED in the future, which cannot be without this
// server and so proves that it lost state. Errors: ErrVote, and what Conflict
// returns.
func (m *Machine) Step(from int, v Vote) error {
	if m.stop != nil {
		return m.stop
	}
	if err := m.checkVote(from, v); err != nil {
		return err
	}
	switch {
	case v.Epoch > m.epoch && v.Kind == Committed:
		return m.halt(fail(ErrRolledBack, saidBy(from, v)+", being at epoch "+number(m.epoch)))
	case v.Epoch > m.epoch:
		return nil
	case v.Epoch == m.epoch && v.Kind == Prepared:
		return m.stepPrepared(from, v)
	case v.Epoch == m.epoch:
		return m.stepCommitted(from, v)
	case v.Epoch+1 == m.epoch:
		return m.stepLate(from, v)
	}
	return nil
}

func (m *Machine) checkVote(from int, v Vote) error {
	if from < 0 || from >= m.servers || from == m.self {
		return fail(ErrVote, "from no peer")
	}
	want := 1
	if v.Kind == Committed {
		want = m.servers
	}
	if v.Kind != Prepared && v.Kind != Committed || v.Epoch == 0 || v.Attempt == 0 ||
		len(v.Tags) != want || slices.Contains(v.Tags, Tag{}) {
		return fail(ErrVote, "from server "+number(uint64(from)))
	}
	return nil
}

// stepPrepared counts towards the first clause of R2.
func (m *Machine) stepPrepared(from int, v Vote) error {
	if m.decided != nil {
		if v.A == m.decided.a && v.Tags[0] != m.decided.tags[from] {
			return m.halt(fail(ErrConflict, saidBy(from, v)+" with another tag than is committed"))
		}
		return nil
	}
	if v.Attempt < m.highest() {
		return nil
	}
	b := m.ballot(v.Attempt, v.A)
	if b.tags[from] != (Tag{}) && b.tags[from] != v.Tags[0] {
		return m.halt(fail(ErrConflict, saidBy(from, v)+" with two tags"))
	}
	b.tags[from] = v.Tags[0]
	m.tryCommit()
	return nil
}

// tryCommit is the first clause of R2: PREPARED(A) from all M, with A the
// highest that this server prepared.
func (m *Machine) tryCommit() {
	if len(m.prepared) == 0 {
		return
	}
	p := m.prepared[len(m.prepared)-1]
	tags := slices.Clone(m.ballot(p.attempt, p.a).tags)
	tags[m.self] = p.tag
	if slices.Contains(tags, Tag{}) {
		return
	}
	m.commit(m.outcome(p.attempt, p.a, tags))
}

// stepCommitted is the second clause of R2, and counts towards R3.
func (m *Machine) stepCommitted(from int, v Vote) error {
	if m.decided == nil {
		if !m.holds(v.Attempt, v.A, v.Tags[m.self]) {
			return m.halt(fail(ErrRolledBack, saidBy(from, v)+", whose data this server does not hold"))
		}
		m.commit(m.outcome(v.Attempt, v.A, slices.Clone(v.Tags)))
	}
	if !m.decided.says(v) {
		return m.halt(fail(ErrConflict, saidBy(from, v)+" against attempt "+number(uint64(m.decided.attempt))+" here"))
	}
	m.agreed[from] = true
	return nil
}

// stepLate answers a peer that has yet to see the last epoch final, once a Tick
// so that answers do not answer each other.
func (m *Machine) stepLate(from int, v Vote) error {
	if len(m.last.tags) != m.servers {
		return nil // the set of servers changed since; there is nothing to compare
	}
	if v.Kind == Committed && !m.last.says(v) {
		return m.halt(fail(ErrConflict, saidBy(from, v)+", which is final otherwise here"))
	}
	if !m.answered[from] {
		m.answered[from] = true
		m.sayLast(from)
	}
	return nil
}

// CheckHead compares histories when a link comes up: epoch and head are the
// peer's newest final ones. Servers are never more than one epoch apart, so
// anything else says that state was lost: here (ErrRolledBack, which stops the
// machine) or there (ErrPeerLost, which does not). Another head for the same
// epoch is ErrConflict and stops the machine.
func (m *Machine) CheckHead(peer int, epoch uint64, head EpochHead) error {
	if m.stop != nil {
		return m.stop
	}
	if peer < 0 || peer >= m.servers || peer == m.self {
		return fail(ErrVote, "heads from no peer")
	}
	who := "server " + number(uint64(peer)) + " is at epoch " + number(epoch) + ", this one at " + number(m.epoch-1)
	var want EpochHead
	switch {
	case epoch > m.epoch, epoch == m.epoch && m.decided == nil:
		return m.halt(fail(ErrRolledBack, who))
	case epoch == m.epoch:
		want = m.decided.head
	case epoch+1 == m.epoch:
		want = m.head
	case epoch+2 == m.epoch:
		want = m.last.prev
	default:
		return fail(ErrPeerLost, who)
	}
	if head != want {
		return m.halt(fail(ErrConflict, "another head: "+who))
	}
	return nil
}

// PeerUp sends a peer all that it may need, after a link to it came up.
func (m *Machine) PeerUp(peer int) {
	if m.stop != nil || peer < 0 || peer >= m.servers || peer == m.self {
		return
	}
	m.sayLast(peer)
	m.sayCurrent(peer)
}

// Tick sends the votes of the current epoch again, since networks lose. The
// caller chooses how often.
func (m *Machine) Tick() {
	if m.stop != nil {
		return
	}
	clear(m.answered)
	for peer := range m.servers {
		if peer != m.self {
			m.sayCurrent(peer)
		}
	}
}

func (m *Machine) sayLast(peer int) {
	if m.last != nil && len(m.last.tags) == m.servers {
		m.say(peer, m.last.vote(), m.last.batch)
	}
}

func (m *Machine) sayCurrent(peer int) {
	if m.decided != nil {
		m.say(peer, m.decided.vote(), m.decided.batch)
		return
	}
	for _, p := range m.prepared {
		m.say(peer, m.preparedVote(p), p.batch)
	}
}

// sayAll queues a vote for all peers, to be sent when the batch is durable.
func (m *Machine) sayAll(v Vote, batch uint64) {
	for peer := range m.servers {
		if peer != m.self {
			m.say(peer, v, batch)
		}
	}
}

// say queues a vote, unless it is in the queue already.
func (m *Machine) say(peer int, v Vote, batch uint64) {
	for _, o := range m.out {
		if o.To == peer && o.Vote.Kind == v.Kind && o.Vote.A == v.A {
			return
		}
	}
	m.out = append(m.out, outgoing{Message{peer, v}, batch})
}

func (m *Machine) preparedVote(p prepared) Vote {
	return Vote{Prepared, m.epoch, p.attempt, p.a, []Tag{p.tag}}
}

func (o *outcome) vote() Vote { return Vote{Committed, o.epoch, o.attempt, o.a, o.tags} }

// says tells whether a COMMITTED vote is this outcome. Equal A and tags make
// equal heads, as A covers the head before.
func (o *outcome) says(v Vote) bool {
	return v.Attempt == o.attempt && v.A == o.a && slices.Equal(v.Tags, o.tags)
}

func (m *Machine) outcome(attempt uint16, a ID, tags []Tag) *outcome {
	return &outcome{epoch: m.epoch, attempt: attempt, a: a, prev: m.head, tags: tags, head: Next(m.head, a, tags)}
}

// holds tells whether this server has the data of an attempt under this tag.
func (m *Machine) holds(attempt uint16, a ID, tag Tag) bool {
	return slices.ContainsFunc(m.prepared, func(p prepared) bool { return p.vote == vote{attempt, a, tag} })
}

func (m *Machine) ballot(attempt uint16, a ID) *ballot {
	for i := range m.ballots {
		if b := &m.ballots[i]; b.attempt == attempt && b.a == a {
			return b
		}
	}
	m.ballots = append(m.ballots, ballot{attempt, a, make([]Tag, m.servers)})
	return &m.ballots[len(m.ballots)-1]
}

// dropBallots forgets what the first clause of R2 can no longer use.
func (m *Machine) dropBallots(below uint16) {
	m.ballots = slices.DeleteFunc(m.ballots, func(b ballot) bool { return b.attempt < below })
}

func saidBy(from int, v Vote) string {
	kind := " said PREPARED in "
	if v.Kind == Committed {
		kind = " said COMMITTED in "
	}
	return "server " + number(uint64(from)) + kind + at(v.Epoch, v.Attempt)
}
