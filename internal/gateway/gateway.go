// Package gateway is the untrusted process part that ends many clients' TCP
// connections and carries their frames to the servers, over one link to each.
//
// It guarantees that a client that floods, talks nonsense, reads too slowly or
// says nothing is cut without the others noticing; that what it holds for
// clients and servers is bounded; and that it never waits for one client while
// others have something to be carried. A link that is lost is dialled again:
// its clients are told CodeBusy, once, and stay; when the link is back their
// sessions are opened anew with the salts that they first sent, and they get a
// second Attached. A cell that comes in between is refused with CodeBusy and
// may be sent again, as it was.
//
// It guarantees nothing about what it carries, and needs no trust: it sees
// ciphertext, and which clients are connected, which is public. A client's
// word for its ID is passed on; only its server can tell whether it is true.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/wire"
)

// Gateway is one gateway. Make it with New; Serve runs it.
type Gateway struct {
	cfg      Config
	links    []*link // by server; nil for one without clients
	presence *presence
	count    counters
	inTurn   atomic.Uint32 // registrations

	storages []int // role index -> server
	capacity int

	registrations chan struct{} // holds one for each that is under way
	coordinators  chan struct{}
	farewells     chan struct{} // connections refused for want of room

	fromClient, toGateway *wire.Limits

	mu     sync.Mutex
	conns  map[net.Conn]struct{} // guarded by mu
	closed bool                  // guarded by mu: Serve is ending
	wg     sync.WaitGroup        // every goroutine but Serve's
}

// New checks the configuration. Errors are of kind ErrConfig.
func New(cfg Config) (*Gateway, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg:           cfg,
		links:         make([]*link, len(cfg.Fronts)),
		presence:      newPresence(),
		storages:      cfg.Geometry.Storages(),
		capacity:      cfg.Geometry.Params().Capacity,
		registrations: make(chan struct{}, cfg.MaxRegistrations),
		coordinators:  make(chan struct{}, cfg.MaxCoordinators),
		farewells:     make(chan struct{}, 32),
		fromClient:    wire.FromClient(cfg.Geometry),
		toGateway:     wire.ToGateway(cfg.Geometry),
		conns:         make(map[net.Conn]struct{}),
	}
	for s, roles := range cfg.Geometry.Params().Servers {
		if roles.Roles&(geometry.Ingestion|geometry.Storage) == 0 {
			continue
		}
		if cfg.Fronts[s] == "" {
			return nil, fmt.Errorf("%w: server %d has no front address", ErrConfig, s)
		}
		g.links[s] = newLink(g, s, cfg.Fronts[s])
	}
	return g, nil
}

// Serve takes connections from ln until ctx is done, and then closes ln and
// every connection and returns nil, with no goroutine left. It returns earlier,
// with an error, only if ln cannot go on. It is called once.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, l := range g.links {
		if l != nil {
			g.wg.Go(func() { l.run(ctx) })
		}
	}
	g.wg.Go(func() {
		<-ctx.Done()
		ln.Close()
		g.closeAll()
	})
	err := g.accept(ctx, ln)
	if ctx.Err() != nil {
		err = nil
	}
	cancel()
	g.wg.Wait()
	return err
}

// accept takes connections. Running out of descriptors or memory passes; what
// is wrong with the listener itself does not.
func (g *Gateway) accept(ctx context.Context, ln net.Listener) error {
	const wait, longest = 5 * time.Millisecond, time.Second
	delay := wait
	var full rarely
	for {
		conn, err := ln.Accept()
		if err != nil {
			var passing interface{ Temporary() bool }
			if ctx.Err() != nil || !errors.As(err, &passing) || !passing.Temporary() {
				return err
			}
			g.cfg.Log.Warn("cannot accept connections now: "+err.Error(), "retry_in", delay)
			sleep(ctx, delay)
			delay = min(2*delay, longest)
			continue
		}
		delay = wait
		g.count.accepted.Add(1)
		if !g.track(conn, g.cfg.MaxConnections) {
			n := g.count.full.Add(1)
			if full.now() {
				g.cfg.Log.Warn("the limit on connections is reached, so new ones are refused: start another gateway or raise the limit",
					"limit", g.cfg.MaxConnections, "refused_so_far", n)
			}
			g.turnAway(conn)
			continue
		}
		g.wg.Go(func() { g.handle(ctx, conn) })
	}
}

// turnAway tells a few that there is no room, and just closes on the others.
func (g *Gateway) turnAway(conn net.Conn) {
	select {
	case g.farewells <- struct{}{}:
		g.wg.Go(func() {
			defer func() { <-g.farewells }()
			farewell(conn, wire.CodeBusy)
		})
	default:
		conn.Close()
	}
}

// handle serves one connection to its end.
func (g *Gateway) handle(ctx context.Context, conn net.Conn) {
	g.count.connections.Add(1)
	defer g.count.connections.Add(-1)
	defer g.untrack(conn)
	conn.SetReadDeadline(time.Now().Add(g.cfg.AttachTimeout))
	var first [wire.PreambleBytes]byte
	if !g.readAll(conn, first[:]) {
		return
	}
	// A client that registers may name a storage server in the last byte.
	chosen := 0
	if wire.Service(first[5]) == wire.ServiceRegistration {
		chosen, first[7] = int(first[7]), 0
	}
	p, err := wire.ParsePreamble(first[:])
	if err != nil {
		g.count.malformed.Add(1)
		if !errors.Is(err, wire.ErrMagic) {
			farewell(conn, wire.CodeWrongSize)
		}
		return
	}
	switch p.Service {
	case wire.ServiceCells:
		newClient(g, conn, p.Role).serve()
	case wire.ServiceRegistration:
		g.register(ctx, conn, chosen)
	case wire.ServiceConnections:
		g.report(conn)
	default:
		g.count.malformed.Add(1)
		farewell(conn, wire.CodeWrongSize)
	}
}

// readAll fills b, or counts whoever did not say enough.
func (g *Gateway) readAll(conn net.Conn, b []byte) bool {
	for n := 0; n < len(b); {
		m, err := conn.Read(b[n:])
		n += m
		if err != nil && n < len(b) {
			if isTimeout(err) {
				g.count.silent.Add(1)
			}
			return false
		}
	}
	return true
}

// track makes sure that the end of Serve closes conn; false if Serve is ending
// or limit connections are open.
func (g *Gateway) track(conn net.Conn, limit int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.conns) >= limit {
		return false
	}
	g.conns[conn] = struct{}{}
	return true
}

func (g *Gateway) untrack(conn net.Conn) {
	conn.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, conn)
}

func (g *Gateway) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for conn := range g.conns {
		conn.Close()
	}
}

// farewell tells a client why it is cut, and waits a moment for it to close, or
// what is unread would take the answer back.
func farewell(conn net.Conn, code wire.Code) {
	conn.SetDeadline(time.Now().Add(lingerTime))
	m := wire.Refused{Code: code}
	if _, err := conn.Write(m.Append(nil)); err == nil {
		linger(conn)
	}
	conn.Close()
}

// Bounds of a farewell.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 1 << 18
)

// linger ends writing, and reads until the other side closes too, within the
// read deadline.
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	var b [512]byte
	for n := 0; n < lingerBytes; {
		m, err := conn.Read(b[:])
		if err != nil {
			return
		}
		n += m
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// rarely says when something that happens often may be logged again.
type rarely struct{ last time.Time }

func (r *rarely) now() bool {
	t := time.Now()
	if !r.last.IsZero() && t.Sub(r.last) < 10*time.Second {
		return false
	}
	r.last = t
	return true
}
