// Package mesh links every server with every other over attested TLS.
//
// Of each pair of servers the one with the lower index dials; a link that
// breaks is made anew, with growing pauses. Frames have the 64-byte header of
// package wire and a bounded payload; between two servers they arrive in the
// order in which they were sent, as long as the link lives, and what was queued
// when it broke is dropped, never sent again: the machines above send again
// what matters.
//
// It guarantees that a frame that is handed on came from the server it names,
// that this server's evidence satisfied the manifest not longer ago than
// [MaxLifetime], and that it holds the cluster's key. A boot of a server that another boot has replaced is not
// spoken to again. It does not check epochs or attempts, and does not hide
// sizes or times of frames, which are public.
//
// A server that does not hold the cluster's secret yet gets it by [Join] from
// any that does: over a link on which both have shown evidence that satisfies
// the same manifest.
package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// Times and limits.
const (
	HandshakeTimeout = 15 * time.Second
	WriteTimeout     = 5 * time.Minute       // without progress; a busy server may not read for long
	FirstPause       = 20 * time.Millisecond // before dialling again; doubles
	LastPause        = time.Second

	handshakes = 64   // incoming connections that are being attested at once
	oldBoots   = 1024 // replaced boots remembered of each server
)

// Peer is who is at the other end of an attested connection.
type Peer struct {
	Server int      // index in the manifest
	Boot   [16]byte // drawn when it started
	Member bool     // it proved that it holds the cluster's key
	// Lifetime is how long that may be relied on; 0: as long as the connection
	// lives.
	Lifetime time.Duration
}

// Attester makes attested connections; both return when ctx ends, and close
// conn when they fail. An error says which check failed.
type Attester interface {
	// Client speaks first, to the given server; the mesh checks that it answered.
	Client(ctx context.Context, conn net.Conn, server int) (net.Conn, Peer, error)
	Server(ctx context.Context, conn net.Conn) (net.Conn, Peer, error)
}

// Handler takes what happens on the links. Of one peer the calls come one at a
// time: PeerUp, then Frame any number of times, then PeerDown; those of several
// peers come at once. A call that blocks holds back that peer only.
type Handler interface {
	PeerUp(peer int, boot [16]byte)
	PeerDown(peer int)
	// Frame hands on a frame; payload may be used until release is called,
	// which must happen once.
	Frame(peer int, h wire.PeerHeader, payload []byte, release func())
}

// Config is what a mesh needs. Listener may be nil if there is one server only.
type Config struct {
	Self     int
	Servers  int
	Limits   *wire.PeerLimits
	Attester Attester
	Listener net.Listener // closed by Run
	Dial     func(ctx context.Context, server int) (net.Conn, error)
	Handler  Handler
	Secret   func() []byte // given to servers that join; nil gives none
	Log      func(string)
	// AfterFunc is the clock: it calls f after d unless stopped. Nil is time.AfterFunc.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)
}

// Mesh is one server's end of all its links.
type Mesh struct {
	cfg  Config
	pool buffers

	mu    sync.Mutex // guards peers
	peers []peer
}

type peer struct {
	link           *link
	boot           [16]byte
	known          bool              // boot is set
	old            map[[16]byte]bool // boots that boot has replaced
	sent, received uint64            // by links that are gone
}

// New checks the configuration. Nothing happens before Run.
func New(cfg Config) (*Mesh, error) {
	switch {
	case cfg.Self < 0 || cfg.Self >= cfg.Servers:
		return nil, fmt.Errorf("mesh: server %d is not one of the %d of the manifest", cfg.Self, cfg.Servers)
	case cfg.Handler == nil || cfg.Limits == nil:
		return nil, errors.New("mesh: a handler and limits are needed")
	case cfg.Servers > 1 && (cfg.Attester == nil || cfg.Dial == nil || cfg.Listener == nil):
		return nil, errors.New("mesh: with more than one server it takes an attester, a dialler and a listener")
	}
	cfg.setDefaults()
	return &Mesh{cfg: cfg, peers: make([]peer, cfg.Servers)}, nil
}

func (c *Config) setDefaults() {
	if c.Log == nil {
		c.Log = func(string) {}
	}
	if c.AfterFunc == nil {
		c.AfterFunc = afterFunc
	}
}

func afterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

// Run keeps the links up until ctx ends. When it returns every link is down,
// its PeerDown and every frame's sent were called, and no goroutine is left.
func (m *Mesh) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	for p := m.cfg.Self + 1; p < m.cfg.Servers; p++ {
		all.Go(func() { m.dial(ctx, p) })
	}
	var err error
	if m.cfg.Listener != nil {
		stop := context.AfterFunc(ctx, func() { m.cfg.Listener.Close() })
		defer stop()
		err = m.accept(ctx, &all)
		m.cfg.Listener.Close()
	} else {
		<-ctx.Done()
	}
	cancel()
	all.Wait()
	return err
}

// Send queues a frame for a peer, in order, and does not block. sent is called
// once, when the parts are no longer read: the frame was written, or dropped
// because the link is down. It may be nil, and must not call the mesh.
func (m *Mesh) Send(peer int, h wire.PeerHeader, parts [][]byte, sent func()) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	h.From, h.Length = uint16(m.cfg.Self), uint32(n)
	i := item{parts: parts, sent: sent}
	h.Append(i.header[:0])
	m.mu.Lock()
	l := m.peers[peer].link
	m.mu.Unlock()
	if l == nil || !l.put(i) {
		i.finish()
	}
}

// Traffic returns the bytes that were written to and read from the network for
// a peer, TLS and handshakes included, on all its links so far.
func (m *Mesh) Traffic(peer int) (sent, received uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &m.peers[peer]
	sent, received = p.sent, p.received
	if p.link != nil {
		sent += p.link.raw.sent.Load()
		received += p.link.raw.received.Load()
	}
	return sent, received
}

// errOldBoot refuses a boot that was replaced: a clone, or a leftover.
var errOldBoot = errors.New("its boot ID is one that a later boot of this server has replaced: a clone, or an old process still runs")

// serve runs a link to its end; one that the peer had before ends first.
func (m *Mesh) serve(ctx context.Context, l *link) error {
	if err := m.admit(ctx, l); err != nil {
		l.raw.Close()
		return err
	}
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	if l.lifetime > 0 {
		defer m.cfg.AfterFunc(l.lifetime, func() {
			l.expired.Store(true)
			l.close()
		})()
	}
	m.cfg.Log(fmt.Sprintf("mesh: server %d is linked", l.peer))
	m.cfg.Handler.PeerUp(l.peer, l.boot)
	err := l.run(m)
	m.mu.Lock()
	p := &m.peers[l.peer]
	p.link = nil
	p.sent += l.raw.sent.Load()
	p.received += l.raw.received.Load()
	m.mu.Unlock()
	m.cfg.Handler.PeerDown(l.peer)
	close(l.done)
	switch {
	case ctx.Err() != nil:
	case l.expired.Load():
		m.cfg.Log(fmt.Sprintf("mesh: the link to server %d was attested %v ago; it is made anew", l.peer, l.lifetime))
	case err != nil:
		m.cfg.Log(fmt.Sprintf("mesh: the link to server %d is down: %v", l.peer, err))
	default:
		m.cfg.Log(fmt.Sprintf("mesh: the link to server %d gives way to a newer one", l.peer))
	}
	return nil
}

// admit makes l the link of its peer.
func (m *Mesh) admit(ctx context.Context, l *link) error {
	for {
		m.mu.Lock()
		p := &m.peers[l.peer]
		if p.old[l.boot] {
			m.mu.Unlock()
			return errOldBoot
		}
		before := p.link
		if before == nil {
			if ctx.Err() != nil {
				m.mu.Unlock()
				return ctx.Err()
			}
			p.take(l.boot)
			p.link = l
			m.mu.Unlock()
			return nil
		}
		m.mu.Unlock()
		before.close()
		<-before.done
	}
}

// take notes the boot of a new link.
func (p *peer) take(boot [16]byte) {
	if p.known && p.boot != boot {
		if p.old == nil || len(p.old) >= oldBoots {
			p.old = make(map[[16]byte]bool)
		}
		p.old[p.boot] = true
	}
	p.boot, p.known = boot, true
}
