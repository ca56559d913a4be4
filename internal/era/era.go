// Package era turns the master secret of a cluster from one era to the next.
//
// Every server of the manifest draws a fresh value and gives it to all others,
// and all compute the next master secret from the one that they hold and all
// values. It is a state machine: it does no I/O but by the [Store] and the
// [Sender] that it is given, and each server says the whole of its state
// whenever that changes, and to whoever is linked anew. The steps of a turn:
//
//  1. Computed: the server has all fresh values, and the next master secret.
//  2. Sealed: all have computed the same; the next secret is durable, beside the
//     one that is in use.
//  3. In the era: all have sealed; the one before is erased.
//
// A turn is of one boot of every server: whoever restarts draws anew, and all
// compute again. Who was in step 3 stays there. A server that holds a secret of
// an earlier era than another one is given the other's; so whoever crashed
// between two steps, lost its disk, or was rolled back comes out with the same.
// No server is in step 3 before all have the secret on disk.
//
// It guarantees that two servers that reach the era hold the same master secret,
// and that one that would hold another is named in an error. That needs servers
// that follow this protocol, which the attestation of their links is for. It
// does not guarantee an end: every server of the manifest must be linked.
package era

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/teems-go/teems/internal/keys"
)

// ErrDisagree: two servers hold different master secrets of one era.
var ErrDisagree = errors.New("era: two servers do not agree on the cluster's secret")

// Held is a master secret and its era.
type Held struct {
	Era    uint32
	Master keys.Master
}

// Store makes secrets durable.
type Store interface {
	// Keep replaces what it kept before, whole or not at all, by the secret that
	// is in use, and by the next one if there is one, which is not in use yet. It
	// returns when that is durable.
	Keep(held Held, next *Held) error
}

// Sender sends to a peer, in order, or drops what it is given with the link. It
// does not call back.
type Sender interface {
	SendState(peer int, s State)
	SendSecret(peer int, h Held)
}

// Config is what a turn is made of.
type Config struct {
	Self, Servers int
	Era           uint32   // of the manifest in force
	Cluster       [32]byte // its id
	Manifest      [32]byte // hash of the one in force
	Boot          [16]byte // of this server
	Fresh         [32]byte // drawn for this boot
	Held          Held     // of the manifest's era or before
	Store         Store
	Sender        Sender
}

// The steps that a server is in.
const (
	collecting = iota
	computed
	sealed
)

// State is what a server says of itself. It tells nothing of the secrets but
// whether they are equal to others; Fresh is secret, and zero in the era.
type State struct {
	Step    uint32
	Era     uint32   // of the secret that it holds
	Held    [32]byte // which one
	Attempt [32]byte // the boots whose fresh values Next was computed from
	Next    [32]byte // which one it computed
	Fresh   [32]byte
}

// Machine is one server's side of the turn. One goroutine at a time may use it.
type Machine struct {
	cfg   Config
	state State
	next  Held
	peers []peer
	err   error
}

type peer struct {
	up    bool
	boot  [16]byte
	known bool // state was said on this link
	state State
	given uint32 // era of the secret that it was given on this link
	wrong bool   // it holds another secret of the era
}

// New begins. With one server, or a secret of the manifest's era, it ends here.
func New(cfg Config) (*Machine, error) {
	if cfg.Held.Era < 1 || cfg.Held.Era > cfg.Era {
		return nil, fmt.Errorf("era: a secret of era %d under a manifest of era %d", cfg.Held.Era, cfg.Era)
	}
	m := &Machine{cfg: cfg, peers: make([]peer, cfg.Servers)}
	m.hold(cfg.Held)
	m.advance()
	return m, m.err
}

// Held is the secret that is in use.
func (m *Machine) Held() Held { return m.cfg.Held }

// Done says whether this server is in the manifest's era.
func (m *Machine) Done() bool { return m.err == nil && m.cfg.Held.Era == m.cfg.Era }

// Err is why the turn ended without an outcome: ErrDisagree, or the store's
// error. Once Done there is none.
func (m *Machine) Err() error { return m.err }

// InEra says whether a peer holds the same secret of the manifest's era as this
// server.
func (m *Machine) InEra(peer int) bool {
	p := &m.peers[peer]
	return m.Done() && p.known && !p.wrong && p.state.Era == m.cfg.Era
}

// Differs says whether a peer holds another secret of the manifest's era.
func (m *Machine) Differs(peer int) bool { return m.peers[peer].wrong }

// PeerUp takes a new link, to a boot of a peer.
func (m *Machine) PeerUp(i int, boot [16]byte) {
	m.peers[i] = peer{up: true, boot: boot}
	m.cfg.Sender.SendState(i, m.state)
}

// PeerDown takes the end of a link.
func (m *Machine) PeerDown(i int) { m.peers[i] = peer{} }

// State takes what a peer says of itself.
func (m *Machine) State(i int, s State) {
	p := &m.peers[i]
	if m.err != nil || !p.up {
		return
	}
	p.known, p.state = true, s
	m.advance()
}

// Secret takes a secret from a peer that holds one of a later era.
func (m *Machine) Secret(i int, h Held) {
	p := &m.peers[i]
	if m.err != nil || !p.known || h.Era <= m.cfg.Held.Era {
		return // another one gave it before
	}
	if h.Era > m.cfg.Era || h.Era != p.state.Era || m.name(h) != p.state.Held {
		m.fail(i, h.Era)
		return
	}
	m.take(h)
	m.advance()
}

// advance does all that follows from what is known.
func (m *Machine) advance() {
	for m.err == nil && m.compare() && m.give() && m.cfg.Held.Era < m.cfg.Era && m.step() {
	}
}

// compare finds peers with another secret of the same era. A server that is in
// the era goes on without them.
func (m *Machine) compare() bool {
	newest, of := m.state.Era, m.state.Held
	for i := range m.peers {
		if p := &m.peers[i]; p.known && p.state.Era > newest && p.state.Era <= m.cfg.Era {
			newest, of = p.state.Era, p.state.Held
		}
	}
	for i := range m.peers {
		p := &m.peers[i]
		p.wrong = p.known && (p.state.Era > m.cfg.Era || p.state.Era == newest && p.state.Held != of ||
			p.state.Era == m.state.Era && p.state.Held != m.state.Held)
		if p.wrong && m.cfg.Held.Era < m.cfg.Era {
			m.fail(i, p.state.Era)
			return false
		}
	}
	return true
}

// give gives the secret to those with an older one, and have not sealed it.
func (m *Machine) give() bool {
	for i := range m.peers {
		p := &m.peers[i]
		if p.known && p.state.Era < m.state.Era && p.given < m.state.Era && !(p.state.Step == sealed && p.state.Next == m.state.Held) {
			p.given = m.state.Era
			m.cfg.Sender.SendSecret(i, m.cfg.Held)
		}
	}
	return true
}

// step goes one step on; false if it must wait.
func (m *Machine) step() bool {
	for i := range m.peers {
		if p := &m.peers[i]; m.state.Step == sealed && p.known && p.state.Era == m.cfg.Era && p.state.Held == m.state.Next {
			return m.take(m.next) // that one saw that all have sealed it
		}
	}
	for i := range m.peers {
		if i != m.cfg.Self && (!m.peers[i].known || m.peers[i].state.Era != m.state.Era) {
			return false // not linked, or one of the two is to be given a secret
		}
	}
	if attempt := m.attempt(); m.state.Step == collecting || m.state.Attempt != attempt {
		m.compute(attempt)
		return true
	}
	for i := range m.peers {
		p := &m.peers[i]
		switch {
		case i == m.cfg.Self:
		case p.state.Attempt != m.state.Attempt || p.state.Step < m.state.Step:
			return false
		case p.state.Next != m.state.Next:
			m.fail(i, m.cfg.Era)
			return false
		}
	}
	if m.state.Step == sealed {
		return m.take(m.next)
	}
	if m.err = m.cfg.Store.Keep(m.cfg.Held, &m.next); m.err != nil {
		return false
	}
	m.state.Step = sealed
	m.say()
	return true
}

// attempt names the boots of all servers.
func (m *Machine) attempt() [32]byte {
	b := make([]byte, 0, 64+16*len(m.peers))
	b = append(b, "teems/1 era attempt"...)
	b = binary.LittleEndian.AppendUint32(b, m.cfg.Era)
	for i := range m.peers {
		boot := m.peers[i].boot
		if i == m.cfg.Self {
			boot = m.cfg.Boot
		}
		b = append(b, boot[:]...)
	}
	return keys.Hash(b)
}

func (m *Machine) compute(attempt [32]byte) {
	fresh := make([][]byte, len(m.peers))
	for i := range m.peers {
		fresh[i] = m.peers[i].state.Fresh[:]
	}
	fresh[m.cfg.Self] = m.cfg.Fresh[:]
	m.next = Held{Era: m.cfg.Era, Master: m.cfg.Held.Master.Next(fresh...)}
	m.state.Step, m.state.Attempt, m.state.Next = computed, attempt, m.name(m.next)
	m.say()
}

// take makes a secret the one in use.
func (m *Machine) take(h Held) bool {
	if m.err = m.cfg.Store.Keep(h, nil); m.err != nil {
		return false
	}
	m.hold(h)
	m.say()
	return true
}

func (m *Machine) hold(h Held) {
	m.cfg.Held, m.next = h, Held{}
	m.state = State{Era: h.Era, Held: m.name(h)}
	if h.Era < m.cfg.Era {
		m.state.Fresh = m.cfg.Fresh
	}
}

func (m *Machine) say() {
	for i := range m.peers {
		if m.peers[i].up {
			m.cfg.Sender.SendState(i, m.state)
		}
	}
}

// name is by which servers compare secrets: only who holds one can compute it,
// and it is of no other use.
func (m *Machine) name(h Held) [32]byte {
	return keys.New(h.Master, m.cfg.Cluster, h.Era).Derive("era", binary.LittleEndian.AppendUint32(nil, h.Era), m.cfg.Manifest[:])
}

func (m *Machine) fail(i int, era uint32) {
	m.err = fmt.Errorf("%w: server %d has another one of era %d: see which of the servers' folders were exchanged, or put back to an earlier time", ErrDisagree, i, era)
}
