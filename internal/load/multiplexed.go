package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

const (
	linkBuffer   = 256 << 10 // read at once from a server
	flushFrom    = 64 << 10  // written at once, if more is to be answered
	presenceRows = 1 << 14   // changes in one frame for the coordinator

	startTime = 20 * time.Second // for a server to start
	retryTime = 20 * time.Millisecond
)

// multiplexed attaches all clients over one link to every server, as a gateway
// would, and tells coordinators that they are all there. It serves until ctx is
// done, then returns nil; or until something fails.
func (s *simulation) multiplexed(ctx context.Context, fronts []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	listener, err := net.Listen("tcp", s.cfg.Presence)
	if err != nil {
		return fmt.Errorf("%w: the address for the coordinator: %w", ErrConfig, err)
	}
	var all sync.WaitGroup
	for server, address := range fronts {
		ends := s.endsOf(server)
		if len(ends) == 0 {
			continue
		}
		all.Go(func() {
			if err := s.link(ctx, address, ends); err != nil {
				cancel(fmt.Errorf("%w: the link to server %d: %w", ErrConnection, server, err))
			}
		})
	}
	all.Go(func() { s.presence(ctx, listener, &all) })
	<-ctx.Done()
	listener.Close()
	all.Wait()
	return cause(ctx)
}

// endsOf are the ends towards one server.
func (s *simulation) endsOf(server int) []*end {
	var out []*end
	for i := range s.ends {
		if e := &s.ends[i]; int(e.server) == server {
			out = append(out, e)
		}
	}
	return out
}

// link serves all clients of one server. A session's number is its place among
// the ends.
func (s *simulation) link(ctx context.Context, address string, ends []*end) error {
	conn, err := dialStarting(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	out := wire.NewWriter(conn)
	out.PutBytes(wire.Preamble{Service: wire.ServiceGateway}.Append(nil))
	var front wire.GatewayAttach
	for i, e := range ends {
		a := s.attachment(e)
		front = wire.GatewayAttach{Session: uint32(i), Role: e.role, Client: a.Client, Salt: a.Salt, Proof: a.Proof}
		out.Put(&front)
		if out.Size() >= flushFrom {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	err = s.answerAll(conn, wire.NewReader(conn, linkBuffer), ends)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// dialStarting connects to a server that may be starting still.
func dialStarting(ctx context.Context, address string) (net.Conn, error) {
	for deadline := time.Now().Add(startTime); ; {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return conn, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryTime):
		}
	}
}

// answerAll reads a server's frames and writes the answers, many at once. ends
// are by session.
func (s *simulation) answerAll(conn net.Conn, in *wire.Reader, ends []*end) error {
	limits := wire.ToGateway(s.g)
	sc := s.newScratch()
	sc.out = sc.out[:0]
	for {
		if len(sc.out) > 0 {
			_, _, _, err := wire.Next(in.Buffered(), limits)
			if errors.Is(err, wire.ErrMore) || len(sc.out) >= flushFrom {
				if _, err := conn.Write(sc.out); err != nil {
					return err
				}
				sc.out = sc.out[:0]
			}
		}
		typ, payload, err := in.ReadFrame(limits)
		if err != nil {
			return err
		}
		if typ == wire.TypeStopped {
			var m wire.Stopped
			if err := m.Parse(payload); err != nil {
				return err
			}
			return fmt.Errorf("the server stopped: %s", m.Reason)
		}
		session, rest, err := wire.SplitSession(payload)
		if err != nil {
			return err
		}
		if int(session) >= len(ends) {
			return fmt.Errorf("%w: a frame for session %d, which there is not", ErrProtocol, session)
		}
		if err := s.frame(ends[session], typ, rest, int64(session), sc); err != nil {
			return err
		}
	}
}

// presence tells every coordinator that asks that all clients are attached,
// once they are.
func (s *simulation) presence(ctx context.Context, listener net.Listener, all *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		all.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			p, err := wire.NewReader(conn, wire.PreambleBytes).Preamble()
			if err != nil || p.Service != wire.ServiceConnections {
				return
			}
			select {
			case <-s.allUp:
			case <-ctx.Done():
				return
			}
			if s.tell(conn) == nil {
				io.Copy(io.Discard, conn) // it says nothing: this is its end
			}
		})
	}
}

func (s *simulation) tell(conn net.Conn) error {
	var m wire.Connections
	send := func() error {
		_, err := conn.Write(m.Append(nil))
		m.Changes = m.Changes[:0]
		return err
	}
	for i := range s.ends {
		e := &s.ends[i]
		m.Changes = append(m.Changes, wire.Connection{Client: e.c.id, Role: e.role, Up: true})
		if len(m.Changes) >= presenceRows {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}
