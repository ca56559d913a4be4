package coordinator

import (
	"fmt"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// Machine decides when an epoch or another attempt at it starts. Inputs are
// only noted; Tick acts on them. Same inputs and times, same outputs. Not safe
// for concurrent use.
type Machine struct {
	cfg     Config
	normal  int // attempts above it are void
	clients *clients
	servers []server
	events  []Event // for the next Tick

	epoch   uint64 // the one that was last proposed or is next; 0: not known yet
	attempt uint16 // highest one proposed or seen for epoch
	started bool   // this coordinator has proposed it
	since   time.Duration
	ready   bool          // all servers are there, and since is when that began
	offered time.Duration // when gateways had been handed all of the epoch before; -1: not yet
	running bool          // an attempt is under way, from at
	at      time.Duration
	broken  string        // what was lost during the attempt; "": nothing
	whole   time.Duration // when, broken, all were there again; -1: not yet
	late    int           // AttemptTimeout is doubled so many times

	any   bool          // an epoch was started
	free  bool          // StartWhen has returned true
	tick  time.Duration // no epoch starts before, if Period is not 0
	apart time.Duration // since when servers differ; -1: they do not

	report reporting
}

type server struct {
	up      bool
	known   bool // status is of this link
	stopped bool
	status  wire.Status
}

const never = time.Duration(-1)

// longest doubling of AttemptTimeout.
const maxLate = 3

// New makes a machine that knows no server to be up and no client connected.
func New(cfg Config) (*Machine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Machine{
		cfg:     cfg,
		offered: never,
		normal:  cfg.Geometry.Params().Attempts,
		clients: newClients(cfg.Geometry),
		servers: make([]server, cfg.Geometry.Servers()),
		report:  reporting{latest: make([]wire.EpochReport, cfg.Geometry.Servers())},
		whole:   never,
		apart:   never,
	}, nil
}

// ServerUp notes that the link to a server is there. Its Status comes next.
func (m *Machine) ServerUp(s int) {
	m.lose(s, "was connected anew")
	m.servers[s] = server{up: true, status: m.servers[s].status}
	m.note(Event{Kind: ServerBack, Server: s})
}

// ServerDown notes that the link to a server, and maybe the server, is gone.
func (m *Machine) ServerDown(s int) {
	if !m.servers[s].up {
		return
	}
	m.servers[s].up, m.servers[s].known = false, false
	m.lose(s, "was lost")
	m.note(Event{Kind: ServerLost, Server: s})
}

// Status takes what a server says of itself. The machine keeps a copy.
func (m *Machine) Status(s int, status *wire.Status) {
	at := &m.servers[s]
	users := append(at.status.Users[:0], status.Users...)
	at.status = *status
	at.status.Users = users
	at.known = true
	if int(status.Peers) < len(m.servers)-1 {
		m.lose(s, "does not reach all others")
	}
	m.report.take(s, &status.Newest)
}

// Stopped notes that a server has stopped for good, and why.
func (m *Machine) Stopped(s int, reason string) {
	m.servers[s].stopped = true
	m.note(Event{Kind: Stopped, Server: s, Reason: reason})
}

// Connections notes which clients attached or detached at a gateway.
func (m *Machine) Connections(gateway int, changes []wire.Connection) {
	for _, c := range changes {
		for bit := range bitsPerClient {
			if c.Role>>bit&1 == 1 {
				m.clients.set(gateway, bit, int(c.Client), c.Up)
			}
		}
	}
}

// GatewayDown notes that a gateway is gone, and all its connections with it.
// When it is back it says which ones there are.
func (m *Machine) GatewayDown(gateway int) { m.clients.gatewayDown(gateway) }

// Connected returns how many clients that exist are connected for submission
// and for delivery.
func (m *Machine) Connected() (submission, delivery int) {
	return m.clients.present[ingestion], m.clients.present[storage]
}

// lose notes that what is under way will hardly come to its end.
func (m *Machine) lose(s int, what string) {
	if m.running && m.broken == "" {
		m.broken = fmt.Sprintf("server %d %s", s, what)
	}
}

func (m *Machine) note(e Event) { m.events = append(m.events, e) }

// Tick acts on what was noted, at a time that never falls. It is called after
// inputs, and at the latest at the time that Next returns.
func (m *Machine) Tick(now time.Duration) Output {
	propose := m.step(now)
	m.finishReport(now)
	out := Output{Propose: propose, Events: m.events}
	m.events = nil
	for i := range out.Events {
		out.Events[i].At = now
	}
	return out
}

// step looks at the servers, and proposes if it is time.
func (m *Machine) step(now time.Duration) *wire.Propose {
	low, high, all := m.survey()
	if !all {
		m.ready, m.whole, m.apart = false, never, never
		return nil
	}
	if low != high {
		m.diverge(now, low, high)
		return nil
	}
	m.apart = never
	m.clients.setUsers(m.servers[0].status.Users)
	if m.epoch != low+1 {
		m.advanceEpoch(now, low)
	}
	for s := range m.servers {
		m.attempt = max(m.attempt, m.servers[s].status.Attempt)
	}
	if !m.ready {
		m.ready, m.since = true, now
	}
	if m.offered == never && m.allOffered(low) {
		m.offered = now
	}
	if m.cfg.LastEpoch != 0 && m.epoch > m.cfg.LastEpoch {
		return nil
	}
	switch {
	case m.running:
		return m.again(now)
	case m.attempt > 0 && !m.started:
		// Another coordinator, or this one before it restarted, began it.
		m.running, m.at = true, now
		m.broken, m.whole = "the coordinator started anew", now
		return nil
	case m.due(now):
		return m.begin(now)
	}
	return nil
}

// survey returns the lowest and highest committed epoch, and whether all
// servers are up and reach each other.
func (m *Machine) survey() (low, high uint64, all bool) {
	for s := range m.servers {
		at := &m.servers[s]
		if !at.up || !at.known || at.stopped || int(at.status.Peers) < len(m.servers)-1 {
			return 0, 0, false
		}
		if s == 0 {
			low = at.status.Committed
		}
		low, high = min(low, at.status.Committed), max(high, at.status.Committed)
	}
	return low, high, true
}

// allOffered says whether gateways have been handed all cells of an epoch.
func (m *Machine) allOffered(epoch uint64) bool {
	for s := range m.servers {
		if m.servers[s].status.Offered < epoch {
			return false
		}
	}
	return true
}

// diverge waits for servers to tell each other what is committed; nothing that
// a coordinator could propose would help.
func (m *Machine) diverge(now time.Duration, low, high uint64) {
	if m.apart == never {
		m.apart = now
		return
	}
	if now-m.apart >= m.cfg.AttemptTimeout {
		m.apart = now
		m.note(Event{Kind: Diverged, Reason: fmt.Sprintf("some servers have committed epoch %d and others only epoch %d", high, low)})
	}
}

// advanceEpoch goes on to the epoch after the one that all have committed.
func (m *Machine) advanceEpoch(now time.Duration, committed uint64) {
	if m.started && committed >= m.epoch {
		m.note(Event{Kind: EpochCommitted, Epoch: committed, Attempt: m.attempt})
		if m.attempt == 1 && m.late > 0 {
			m.late--
		}
		m.openReport(now, committed)
	}
	m.epoch, m.attempt, m.started = committed+1, 0, false
	m.running, m.broken, m.whole = false, "", never
	m.ready, m.offered = false, never
}

// timeout is how long an attempt may take now.
func (m *Machine) timeout() time.Duration { return m.cfg.AttemptTimeout << m.late }

// again proposes another attempt if the one under way has failed.
func (m *Machine) again(now time.Duration) *wire.Propose {
	if m.broken != "" {
		if m.whole == never {
			m.whole = now
		}
		if now-m.whole < m.cfg.RestartDelay {
			return nil
		}
		return m.propose(now, m.broken)
	}
	if now-m.at < m.timeout() {
		return nil
	}
	took := m.timeout()
	m.late = min(m.late+1, maxLate)
	return m.propose(now, fmt.Sprintf("it was not done after %v", took))
}

// due says whether the epoch may start.
func (m *Machine) due(now time.Duration) bool {
	on := &m.clients.present
	if !m.free {
		if m.cfg.StartWhen != nil && !m.cfg.StartWhen(on[ingestion], on[storage]) {
			return false
		}
		m.free, m.since = true, now
	}
	if m.cfg.Period > 0 && (!m.any || now < m.tick) {
		return !m.any
	}
	return now >= m.clientDeadline() || m.complete()
}

// clientDeadline is until when clients have time to answer the outcome of the last
// epoch, by which they learn that this one is open. It counts from when gateways
// had been handed all of it, but one that takes nothing puts it off by no more
// than a period.
func (m *Machine) clientDeadline() time.Duration {
	longest, answer := m.cfg.SubmitTimeout, m.cfg.SubmitTimeout
	if m.cfg.Period > 0 {
		longest, answer = m.cfg.Period, m.cfg.Period/2
	}
	from := m.since + longest
	if m.offered != never {
		from = min(from, max(m.since, m.offered))
	}
	return from + answer
}

// complete says whether the cells of all connected clients are there.
func (m *Machine) complete() bool {
	on := &m.clients.present
	submissions, controls := 0, 0
	for s := range m.servers {
		if status := &m.servers[s].status; status.Open == m.epoch {
			submissions += int(status.Submissions)
			controls += int(status.Controls)
		}
	}
	return on[ingestion]+on[storage] > 0 && submissions >= on[ingestion] && controls >= on[storage]
}

// begin proposes the first attempt at an epoch.
func (m *Machine) begin(now time.Duration) *wire.Propose {
	if p := m.cfg.Period; p > 0 {
		if !m.any {
			m.tick = now
		}
		m.tick = max(m.tick+p, now+p/2)
	}
	m.any = true
	return m.propose(now, "")
}

// propose proposes the next attempt, with the roster of now.
func (m *Machine) propose(now time.Duration, reason string) *wire.Propose {
	if m.attempt < 1<<16-1 {
		m.attempt++
	}
	m.running, m.at = true, now
	m.broken, m.whole = "", never
	p := &wire.Propose{Epoch: m.epoch, Attempt: m.attempt}
	e := Event{Kind: AttemptStarted, Epoch: m.epoch, Attempt: m.attempt, Reason: reason}
	if int(m.attempt) > m.normal {
		p.Roster, e.Void = *wire.NewRoster(0), true
	} else {
		p.Roster = wire.Roster{
			Limit:     uint32(m.clients.limit),
			Ingestion: m.clients.roster(ingestion),
			Storage:   m.clients.roster(storage),
		}
		e.Ingestion, e.Storage = p.Roster.Counts()
	}
	if !m.started {
		first := e
		first.Kind, first.Reason = EpochStarted, ""
		m.note(first)
		m.started = true
	}
	m.note(e)
	return p
}

// Next returns when Tick is to be called at the latest if nothing else happens
// until then; false if never.
func (m *Machine) Next() (time.Duration, bool) {
	next, ok := time.Duration(0), false
	earliest := func(t time.Duration) {
		if !ok || t < next {
			next, ok = t, true
		}
	}
	if len(m.report.open) > 0 {
		earliest(m.report.open[0].until)
	}
	if m.apart != never {
		earliest(m.apart + m.cfg.AttemptTimeout)
	}
	switch {
	case !m.ready || m.cfg.LastEpoch != 0 && m.epoch > m.cfg.LastEpoch:
	case m.running && m.broken != "" && m.whole != never:
		earliest(m.whole + m.cfg.RestartDelay)
	case m.running:
		earliest(m.at + m.timeout())
	case m.cfg.Period > 0 && m.any && m.complete():
		earliest(m.tick)
	case m.cfg.Period > 0 && m.any:
		earliest(max(m.tick, m.clientDeadline()))
	case m.cfg.Period == 0 && m.free:
		earliest(m.clientDeadline())
	}
	return next, ok
}
