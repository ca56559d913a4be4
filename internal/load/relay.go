package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/teems-go/teems/internal/wire"
)

// A process has too few descriptors for the connections of many clients. So
// relays hold them: processes that are what a gateway is, the other way round.
// Over one link the simulator sends a relay what clients send, and gets what they
// get, framed as between a gateway and a server; the relay makes every client's
// connections to its gateway, and carries the frames. It opens none.

// relayQueue is how many bytes wait for the simulator; then connections do.
const relayQueue = 8 << 20

// relay carries frames between the simulator and clients' connections.
type relay struct {
	s     *simulation
	conns map[uint32]net.Conn // by session; the goroutine's that reads the link
	all   sync.WaitGroup

	mu     sync.Mutex
	moved  sync.Cond // with mu: out or closed has changed
	out    []byte    // guarded by mu, as closed
	closed bool
}

// relayed attaches every client over two connections of its own, which relays
// hold, and serves them until ctx is done, then returns nil; or until one fails.
func (s *simulation) relayed(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	relays := len(s.cfg.Relays)
	for i, address := range s.cfg.Relays {
		var ends []*end
		for c := i * len(s.clients) / relays; c < (i+1)*len(s.clients)/relays; c++ {
			ends = append(ends, &s.clients[c].ends[0], &s.clients[c].ends[1])
		}
		all.Go(func() {
			if err := s.link(ctx, address, ends); err != nil {
				cancel(fmt.Errorf("%w: the connections of clients that relay %d holds: %w", ErrConnection, i, err))
			}
		})
	}
	<-ctx.Done()
	all.Wait()
	return cause(ctx)
}

// relay holds connections for the simulator that connects to an address, until
// that leaves or ctx is done.
func (s *simulation) relay(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.cfg.Relay)
	if err != nil {
		return fmt.Errorf("%w: the address of a relay: %w", ErrConfig, err)
	}
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	link, err := listener.Accept()
	listener.Close()
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConnection, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { link.Close() })()
	r := &relay{s: s, conns: map[uint32]net.Conn{}}
	r.moved.L = &r.mu
	r.all.Go(func() { r.write(link); link.Close() })
	err = r.read(ctx, link)
	cancel()
	r.close()
	for _, conn := range r.conns {
		conn.Close()
	}
	r.all.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// read takes the simulator's frames.
func (r *relay) read(ctx context.Context, link net.Conn) error {
	in, limits := wire.NewReader(link, linkBuffer), wire.FromGateway(r.s.g)
	if _, err := in.Preamble(); err != nil {
		return err
	}
	var attach wire.FrontAttach
	var cell wire.FrontCellUp
	var out []byte
	for {
		typ, payload, err := in.ReadFrame(limits)
		if err != nil {
			return err
		}
		switch typ {
		case wire.TypeFrontAttach:
			if err := attach.Parse(payload); err != nil {
				return err
			}
			c := &r.s.clients[int(attach.Client)%len(r.s.clients)]
			e := &end{c: c, role: attach.Role, salt: attach.Salt} // the one that c has is of the simulator's process
			gateway := r.s.cfg.Gateways[int(attach.Client)%len(r.s.cfg.Gateways)]
			conn, err := r.s.dial(ctx, int(attach.Session), gateway, e)
			if err != nil {
				r.stopped(fmt.Sprintf("cannot connect to the gateway at %s: %v", gateway, err))
				continue
			}
			session := attach.Session
			r.conns[session] = conn
			r.all.Go(func() { r.carry(conn, session) })
		case wire.TypeFrontCellUp:
			if err := cell.Parse(payload); err != nil {
				return err
			}
			if conn := r.conns[cell.Session]; conn != nil {
				out = cell.Cell.Append(out[:0])
				conn.Write(out) // if it fails, reading does
			}
		}
	}
}

// fronts are the frames to clients, and what they are behind a session.
var fronts = map[wire.Type]wire.Type{
	wire.TypeAttached: wire.TypeFrontAttached, wire.TypeCellDown: wire.TypeFrontCellDown, wire.TypeRefused: wire.TypeFrontRefused,
}

// carry reads a client's connection until it ends.
func (r *relay) carry(conn net.Conn, session uint32) {
	in := wire.NewReader(conn, socketBuffer)
	for {
		typ, payload, err := in.ReadFrame(r.s.in)
		if err != nil {
			r.stopped(fmt.Sprintf("a connection of client %d: %v", session/2, err))
			return
		}
		front, ok := fronts[typ]
		if !ok {
			r.stopped(fmt.Sprintf("client %d got a frame of type %d", session/2, typ))
			return
		}
		if !r.put(func(out []byte) []byte { return wire.AppendFront(out, front, session, payload) }) {
			return
		}
	}
}

// stopped tells the simulator that a connection is lost; it ends then.
func (r *relay) stopped(reason string) {
	r.put((&wire.Stopped{Reason: reason}).Append)
}

// put appends a frame to what waits for the simulator; false if it is gone.
func (r *relay) put(frame func([]byte) []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.out) >= relayQueue && !r.closed {
		r.moved.Wait()
	}
	if r.closed {
		return false
	}
	if len(r.out) == 0 {
		r.moved.Broadcast()
	}
	r.out = frame(r.out)
	return true
}

func (r *relay) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.moved.Broadcast()
}

// write writes what waits, many frames at once.
func (r *relay) write(link net.Conn) {
	var out []byte
	for {
		r.mu.Lock()
		for len(r.out) == 0 && !r.closed {
			r.moved.Wait()
		}
		if r.closed {
			r.mu.Unlock()
			return
		}
		out, r.out = r.out, out[:0]
		r.moved.Broadcast()
		r.mu.Unlock()
		if _, err := link.Write(out); err != nil {
			r.close()
			return
		}
	}
}
