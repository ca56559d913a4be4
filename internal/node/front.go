package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/teems-go/teems/internal/atls"
	"github.com/teems-go/teems/internal/wire"
)

// Bounds of the front port.
const (
	preambleTime    = 10 * time.Second
	maxStrangers    = 512  // connections that have not said what they are for
	maxGateways     = 1024 // gateway links
	maxCoordinators = 16
	acceptPause     = 20 * time.Millisecond
)

// front is the port for gateways, coordinators and, through gateways,
// registrations. Whoever connects there is untrusted.
type front struct {
	n      *Node
	l      *loop
	attest atls.Config
	limits *wire.Limits // of gateways
	links  atomic.Uint32

	gateways, coordinators, registrations, handshakes slots
}

// slots counts down what may run at once.
type slots struct{ used atomic.Int64 }

func (s *slots) take(limit int64) bool {
	if s.used.Add(1) > limit {
		s.used.Add(-1)
		return false
	}
	return true
}

func (s *slots) give() { s.used.Add(-1) }

// sessionLimit is how many sessions one gateway may have: of every client one, in
// whichever role, and as many again that are being replaced.
func (f *front) sessionLimit() int { return 2*f.n.cfg.Manifest.Manifest.Parameters.Capacity + 1024 }

// run accepts connections until ctx ends, and returns when all are closed.
func (f *front) run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	stop := context.AfterFunc(ctx, func() { f.n.cfg.Front.Close() })
	defer stop()
	var strangers slots
	for {
		conn, err := f.n.cfg.Front.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("node: the front listener was closed: %w", err)
		case err != nil: // such as too many open files: it may pass
			f.n.cfg.Log("node: accepting connections: " + err.Error())
			f.pause(ctx, acceptPause)
		case !strangers.take(maxStrangers):
			conn.Close()
		default:
			all.Go(func() { f.serve(ctx, conn, strangers.give) })
		}
	}
}

func (f *front) pause(ctx context.Context, d time.Duration) {
	over := make(chan struct{})
	defer f.n.cfg.AfterFunc(d, func() { close(over) })()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// serve finds out what a connection is for; known is called when that is done.
func (f *front) serve(ctx context.Context, conn net.Conn, known func()) {
	defer f.n.guard(partConnection)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	p, err := f.preamble(conn)
	known()
	if err == nil {
		err = f.dispatch(ctx, conn, p)
	}
	if err != nil && ctx.Err() == nil {
		f.n.cfg.Log(fmt.Sprintf("node: closed the connection from %v: %v", conn.RemoteAddr(), err))
	}
}

func (f *front) preamble(conn net.Conn) (wire.Preamble, error) {
	late := f.n.cfg.AfterFunc(preambleTime, func() { conn.Close() })
	var b [wire.PreambleBytes]byte
	_, err := io.ReadFull(conn, b[:])
	if !late() {
		return wire.Preamble{}, fmt.Errorf("it did not say what it is for within %v", preambleTime)
	}
	if errors.Is(err, io.EOF) {
		return wire.Preamble{}, errors.New("it said nothing")
	}
	if err != nil {
		return wire.Preamble{}, err
	}
	return wire.ParsePreamble(b[:])
}

var errMany = errors.New("there are too many connections of this kind: the others must end first")

func (f *front) dispatch(ctx context.Context, conn net.Conn, p wire.Preamble) error {
	limited := func(s *slots, limit int64, serve func(context.Context, net.Conn) error) error {
		if !s.take(limit) {
			return errMany
		}
		defer s.give()
		return serve(ctx, conn)
	}
	switch p.Service {
	case wire.ServiceGateway:
		return limited(&f.gateways, maxGateways, f.gateway)
	case wire.ServiceCoordinator:
		return limited(&f.coordinators, maxCoordinators, f.coordinator)
	case wire.ServiceRegistration:
		return limited(&f.registrations, maxRegistrations, f.registration)
	}
	return fmt.Errorf("it asks for service %d: clients connect to a gateway, not to a server", p.Service)
}
