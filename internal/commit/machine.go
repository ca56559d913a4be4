package commit

import (
	"errors"
	"slices"
	"strconv"
)

// Machine is one server's part in the decision. It is not safe for concurrent
// use. It writes nothing itself: Ready hands out batches of writes, and votes
// whose writes are durable. See the package comment for the driver's duties.
type Machine struct {
	self, servers int
	store         Reader

	epoch    uint64     // being decided
	head     EpochHead  // of epoch-1
	last     *outcome   // of epoch-1, nil in epoch 1
	prepared []prepared // of epoch, queued or durable, by rising attempt
	listed   []uint16   // attempts in the list of epoch, queued or durable
	decided  *outcome   // COMMITTED of epoch, queued or durable, or nil

	begun    uint16   // the attempt that Begin allowed last, 0 for none
	ballots  []ballot // PREPARED of peers in epoch, none below the highest prepared here
	agreed   []bool   // by server: said COMMITTED equal to decided
	answered []bool   // by server: was sent last since the last Tick
	out      []outgoing
	stop     error // why the machine stopped for good

	writes    []Write // for the next batch
	handed    uint64  // number of the last batch that Ready handed out
	persisted uint64  // number of the last batch known to be durable
}

// New returns the machine of server self (from 0) of servers, with what the
// store has: nothing at all in a new cluster. genesis is head_0. The first Ready
// may hand out writes that finish what a crash interrupted.
//
// After a restart the caller calls PeerUp for each link that comes up, and if
// Decided is true has to be ready to take an outcome that it may have taken
// before: its own state must say up to which epoch it did.
//
// Errors: ErrServers, ErrCorrupt, ErrStore.
func New(self, servers int, store Reader, genesis EpochHead) (*Machine, error) {
	if servers < 1 || servers > 1<<16-1 || self < 0 || self >= servers {
		return nil, fail(ErrServers, "server "+strconv.Itoa(self)+" of "+strconv.Itoa(servers))
	}
	m := &Machine{self: self, servers: servers, store: store, epoch: 1, head: genesis}
	m.agreed = make([]bool, servers)
	m.answered = make([]bool, servers)
	if err := m.load(genesis); err != nil {
		return nil, err
	}
	return m, nil
}

// Epoch returns the epoch being decided: the newest final one and 1. It is also
// the only one that may begin: e+1 begins after R3 and Finish of e.
func (m *Machine) Epoch() uint64 { return m.epoch }

// Head returns the head of epoch Epoch()-1, which is the Previous of every
// attempt at Epoch(). Both, Epoch()-1 and Head(), are what Sync tells a peer.
func (m *Machine) Head() EpochHead { return m.head }

// Before returns the head of epoch Epoch()-2, and head_0 while there is none.
func (m *Machine) Before() EpochHead {
	if m.last != nil {
		return m.last.prev
	}
	return m.head
}

// Conflict returns why the server must stop, or nil: ErrConflict or
// ErrRolledBack with the evidence, or ErrStore or ErrCorrupt when it no longer
// knows what is durable. Once set, every call returns it and nothing is said.
func (m *Machine) Conflict() error { return m.stop }

// Begin tells whether this server may work on an attempt, and remembers it as
// the one that may be prepared. It may be called again, for any attempt above
// the highest prepared one. Errors: ErrEpoch, ErrDecided, ErrAttempt.
func (m *Machine) Begin(epoch uint64, attempt uint16) error {
	if m.stop != nil {
		return m.stop
	}
	if epoch != m.epoch {
		return fail(ErrEpoch, "epoch "+number(epoch)+" asked for, "+number(m.epoch)+" is being decided")
	}
	if err := m.mayPrepare(attempt); err != nil {
		return err
	}
	m.begun = attempt
	return nil
}

// mayPrepare is the second half of R1.
func (m *Machine) mayPrepare(attempt uint16) error {
	if m.decided != nil {
		return fail(ErrDecided, at(m.epoch, attempt)+" after COMMITTED of attempt "+number(uint64(m.decided.attempt)))
	}
	if attempt <= m.highest() {
		return fail(ErrAttempt, at(m.epoch, attempt)+", highest is "+number(uint64(m.highest())))
	}
	return nil
}

// highest returns the highest attempt prepared in this epoch, 0 for none.
func (m *Machine) highest() uint16 {
	if len(m.prepared) == 0 {
		return 0
	}
	return m.prepared[len(m.prepared)-1].attempt
}

// Prepare queues the outcome of the begun attempt to be made durable (state is
// the concatenation of its parts, tag fresh random bits). PREPARED is said once
// it is. The parts are leased until then. With a single server Prepare also
// queues COMMITTED. Errors: ErrNotBegun, ErrDecided, ErrAttempt, ErrTag.
func (m *Machine) Prepare(attempt uint16, a ID, tag Tag, state ...[]byte) error {
	if m.stop != nil {
		return m.stop
	}
	if err := m.mayPrepare(attempt); err != nil {
		return err
	}
	if attempt != m.begun {
		return fail(ErrNotBegun, at(m.epoch, attempt))
	}
	if tag == (Tag{}) {
		return fail(ErrTag, at(m.epoch, attempt))
	}
	m.queuePrepared(prepared{vote: vote{attempt, a, tag}}, state)
	m.begun = 0
	m.dropBallots(attempt)
	p := m.prepared[len(m.prepared)-1]
	m.sayAll(m.preparedVote(p), p.batch)
	m.tryCommit()
	return nil
}

// Prepared returns the durable state of a prepared attempt of this epoch, once
// the epoch is Final or after a restart. If the store fails, ok is false and
// Conflict says why.
func (m *Machine) Prepared(attempt uint16) (state []byte, ok bool) {
	for _, p := range m.prepared {
		if p.attempt == attempt && m.stop == nil {
			got, state, err := m.readPrepared(attempt)
			if err == nil && got.vote != p.vote {
				err = fail(ErrCorrupt, namePrepared(m.epoch, attempt)+" changed")
			}
			if err != nil {
				m.halt(err)
				return nil, false
			}
			return state, true
		}
	}
	return nil, false
}

// Decided returns what this server has COMMITTED in the current epoch. It may
// not be durable yet, and must not be delivered before Final. tags must not be
// modified.
func (m *Machine) Decided() (attempt uint16, a ID, tags []Tag, head EpochHead, ok bool) {
	if m.decided == nil {
		return 0, ID{}, nil, EpochHead{}, false
	}
	d := m.decided
	return d.attempt, d.a, d.tags, d.head, true
}

// Final is R3: all M servers have said COMMITTED with the same head, this one
// durably. Only now may the outcome be delivered and acknowledged.
func (m *Machine) Final() bool {
	if m.stop != nil || m.decided == nil || !m.durable(m.decided.batch) {
		return false
	}
	for s, ok := range m.agreed {
		if !ok && s != m.self {
			return false
		}
	}
	return true
}

// Finish moves on to the next epoch, after the caller has made the outcome part
// of its own durable state. It queues the deletion of the data of all attempts
// (R4) and keeps what was committed, for a peer that has yet to learn it. After a
// crash before these writes are durable, the epoch has to be finished again.
// Error: ErrNotFinal.
func (m *Machine) Finish() error {
	if m.stop != nil {
		return m.stop
	}
	if !m.Final() {
		return fail(ErrNotFinal, "epoch "+number(m.epoch))
	}
	m.put(nameFinal, m.decided.encode())
	m.clear(m.epoch, m.listed)
	m.last, m.head, m.epoch = m.decided, m.decided.head, m.epoch+1
	m.prepared, m.listed, m.decided, m.begun, m.ballots = nil, nil, nil, 0, nil
	m.agreed = make([]bool, m.servers)
	m.dropPrepared()
	return nil
}

// halt stops the machine for good and takes back what was not yet handed out.
func (m *Machine) halt(err error) error {
	if m.stop == nil {
		m.stop = err
		m.out, m.writes = nil, nil
	}
	return m.stop
}

// commit is R2: written once, and said when that is durable. From here on R1
// forbids to say PREPARED in this epoch, so votes that still wait are dropped.
func (m *Machine) commit(o *outcome) {
	o.batch = m.put(nameDecided, o.encode())
	m.decided = o
	m.ballots = nil
	m.dropPrepared()
	m.sayAll(o.vote(), o.batch)
}

// dropPrepared drops the PREPARED votes that were not handed out.
func (m *Machine) dropPrepared() {
	m.out = slices.DeleteFunc(m.out, func(o outgoing) bool { return o.Vote.Kind == Prepared })
}

// put queues a write and returns the number of its batch.
func (m *Machine) put(name string, parts ...[]byte) uint64 {
	return m.queue(Write{Name: name, Parts: parts})
}

func (m *Machine) queuePrepared(p prepared, state [][]byte) {
	size := uint64(0)
	for _, part := range state {
		size += uint64(len(part))
	}
	if !slices.Contains(m.listed, p.attempt) {
		listed := append(slices.Clone(m.listed), p.attempt)
		slices.Sort(listed)
		m.put(nameAttempts, encodeAttempts(m.epoch, listed))
		m.listed = listed
	}
	parts := append([][]byte{encodePrepared(m.epoch, p, size)}, state...)
	p.batch = m.put(namePrepared(m.epoch, p.attempt), parts...)
	m.prepared = append(m.prepared, p)
}

// clear queues the deletion of what an epoch that is final leaves behind.
func (m *Machine) clear(epoch uint64, listed []uint16) {
	names := make([]string, 0, len(listed)+2)
	for _, a := range listed {
		names = append(names, namePrepared(epoch, a))
	}
	for _, name := range append(names, nameAttempts, nameDecided) {
		m.queue(Write{Name: name, Delete: true})
	}
}

func notFound(err error) bool { return errors.Is(err, ErrNotFound) }
