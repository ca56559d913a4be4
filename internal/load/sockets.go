package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/teems-go/teems/internal/wire"
)

// Bounds of what many connections take.
const (
	dialling     = 64   // connections that are being made at a time
	perSource    = 5000 // connections from one loopback address
	socketBuffer = 1024 // read at once, grown to the longest frame
)

// sockets attaches every client over connections of its own, one for each of its
// ends, and serves them until ctx is done, then returns nil; or until one fails.
func (s *simulation) sockets(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var conns sync.Map // every net.Conn, to be closed at the end
	stop := context.AfterFunc(ctx, func() {
		conns.Range(func(k, _ any) bool { k.(net.Conn).Close(); return true })
	})
	defer stop()
	var all sync.WaitGroup
	var next atomic.Int64
	for range dialling {
		all.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1) - 1
				if i >= int64(len(s.ends)) {
					return
				}
				e := &s.ends[i]
				gateway := s.cfg.Gateways[int(e.c.id)%len(s.cfg.Gateways)]
				conn, err := dial(ctx, int(i), gateway, hello(e.role, s.attachment(e)))
				if err != nil {
					cancel(fmt.Errorf("%w: %w", ErrConnection, noConnection(gateway, err)))
					return
				}
				conns.Store(conn, nil)
				if ctx.Err() != nil {
					conn.Close()
					return
				}
				all.Go(func() {
					defer conn.Close()
					if err := s.serve(conn, e); err != nil {
						cancel(err)
					}
				})
			}
		})
	}
	<-ctx.Done()
	conns.Range(func(k, _ any) bool { k.(net.Conn).Close(); return true })
	all.Wait()
	return cause(ctx)
}

// cause is why a context was cancelled, nil if nothing went wrong.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); err != context.Canceled {
		return err
	}
	return nil
}

// noConnection says why there is no connection to a gateway, and what would help.
func noConnection(gateway string, err error) error {
	remedy := ""
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		remedy = ": there are too few ports for outgoing connections: sysctl -w net.ipv4.ip_local_port_range='32768 60999', or wait until those of an earlier run are free"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		remedy = ": raise the limit on descriptors (ulimit -n; of all processes: sysctl fs.file-max)"
	case errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ENOBUFS):
		remedy = ": there is too little memory for connections: simulate fewer clients, or use --multiplexed"
	}
	return fmt.Errorf("cannot connect to the gateway at %s: %w%s", gateway, err, remedy)
}

// hello is what a client says first: whose end it is.
func hello(role uint8, attach wire.Attach) []byte {
	return attach.Append(wire.Preamble{Service: wire.ServiceCells, Role: role}.Append(nil))
}

// dial makes the number-th connection and says hello.
func dial(ctx context.Context, number int, gateway string, hello []byte) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	spread(&d, gateway, number/perSource)
	conn, err := d.DialContext(ctx, "tcp", gateway)
	if err != nil {
		return nil, err
	}
	if c, ok := conn.(*net.TCPConn); ok {
		c.SetLinger(0) // reset at the end: nobody waits, and the system forgets it at once
	}
	if _, err := conn.Write(hello); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// serve reads an end's connection until it ends, and answers.
func (s *simulation) serve(conn net.Conn, e *end) error {
	in := wire.NewReader(conn, socketBuffer)
	for {
		typ, payload, err := in.ReadFrame(s.in)
		if err != nil {
			return fmt.Errorf("%w: a connection of client %d: %w", ErrConnection, e.c.id, err)
		}
		sc := s.newScratch()
		sc.out = sc.out[:0]
		err = s.frame(e, typ, payload, -1, sc)
		if err == nil && len(sc.out) > 0 {
			if _, err = conn.Write(sc.out); err != nil {
				err = fmt.Errorf("%w: a connection of client %d: %w", ErrConnection, e.c.id, err)
			}
		}
		s.scratch.Put(sc)
		if err != nil {
			return err
		}
	}
}
