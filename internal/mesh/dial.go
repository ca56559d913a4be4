package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// errNotMember: a peer that should serve does not hold the cluster's key.
var errNotMember = errors.New("it does not hold the cluster's key")

// dial keeps the link to a server of a higher index up.
func (m *Mesh) dial(ctx context.Context, server int) {
	pause, said := FirstPause, ""
	for ctx.Err() == nil {
		l, err := m.connect(ctx, server)
		if err == nil {
			received := l.raw.received.Load()
			if err = m.serve(ctx, l); err == nil {
				said = ""
				if l.raw.received.Load() > received {
					pause = FirstPause // it was of use
				}
			}
		}
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			m.cfg.Log(fmt.Sprintf("mesh: no link to server %d: %v; trying on", server, err))
		}
		m.cfg.sleep(ctx, pause)
		pause = min(2*pause, LastPause)
	}
}

// connect makes an attested link to a member.
func (m *Mesh) connect(ctx context.Context, server int) (*link, error) {
	conn, raw, who, err := m.cfg.connect(ctx, server)
	if err != nil {
		return nil, err
	}
	if !who.Member {
		raw.Close()
		return nil, errNotMember
	}
	return newLink(who, conn, raw), nil
}

// connect dials and attests a server, within HandshakeTimeout.
func (c *Config) connect(ctx context.Context, server int) (net.Conn, *rawConn, Peer, error) {
	ctx, cancel := c.timeout(ctx, HandshakeTimeout)
	defer cancel()
	socket, err := c.Dial(ctx, server)
	if err != nil {
		return nil, nil, Peer{}, err
	}
	raw := c.newRawConn(socket)
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn, who, err := c.Attester.Client(ctx, raw, server)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil && who.Server != server {
		err = fmt.Errorf("server %d answered", who.Server)
	}
	if err != nil {
		raw.Close()
		return nil, nil, Peer{}, err
	}
	return conn, raw, who, nil
}

// timeout is context.WithTimeout on the injected clock.
func (c *Config) timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := c.AfterFunc(d, func() { cancel(fmt.Errorf("no answer within %v", d)) })
	return ctx, func() { stop(); cancel(nil) }
}

func (c *Config) sleep(ctx context.Context, d time.Duration) {
	done := make(chan struct{})
	stop := c.AfterFunc(d, func() { close(done) })
	defer stop()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// accept takes connections from servers of lower indexes, and from those that
// join, until ctx ends.
func (m *Mesh) accept(ctx context.Context, all *sync.WaitGroup) error {
	slots := make(chan struct{}, handshakes)
	for {
		socket, err := m.cfg.Listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				socket.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("mesh: the listener was closed: %w", err)
		}
		if err != nil { // such as too many open files: it may pass
			m.cfg.Log("mesh: accepting connections: " + err.Error())
			m.cfg.sleep(ctx, FirstPause)
			continue
		}
		select {
		case slots <- struct{}{}:
			all.Go(func() { m.incoming(ctx, socket, func() { <-slots }) })
		default:
			socket.Close() // a flood; servers try again
		}
	}
}

// incoming attests whoever connected and serves the link; attested is called
// when the handshake is over.
func (m *Mesh) incoming(ctx context.Context, socket net.Conn, attested func()) {
	from := socket.RemoteAddr()
	raw := m.cfg.newRawConn(socket)
	conn, who, err := m.greet(ctx, raw)
	attested()
	switch {
	case err != nil:
	case who.Server < 0 || who.Server >= m.cfg.Servers || who.Server == m.cfg.Self:
		err = fmt.Errorf("it claims to be server %d", who.Server)
	case !who.Member:
		err = m.release(ctx, conn, raw, who)
	case who.Server > m.cfg.Self:
		err = fmt.Errorf("server %d dialled, and of each pair the lower index dials", who.Server)
	default:
		if err = m.serve(ctx, newLink(who, conn, raw)); err != nil {
			err = fmt.Errorf("server %d: %w", who.Server, err)
		}
	}
	raw.Close()
	if err != nil && ctx.Err() == nil {
		m.cfg.Log(fmt.Sprintf("mesh: refused a connection from %v: %v", from, err))
	}
}

func (m *Mesh) greet(ctx context.Context, raw *rawConn) (net.Conn, Peer, error) {
	ctx, cancel := m.cfg.timeout(ctx, HandshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn, who, err := m.cfg.Attester.Server(ctx, raw)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return conn, who, err
}
