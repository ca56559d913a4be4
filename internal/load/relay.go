package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/wire"
)

// A process has too few descriptors for the connections of many clients. So
// relays hold them: processes that are what a gateway is, the other way round.
// Over one link the simulator sends a relay what clients send, and gets what they
// get, framed as between a gateway and a server; the relay makes every client's
// connections to its gateway, and carries the frames. It opens none, and knows
// nothing of a client but its session.

// relay carries frames between the simulator and clients' connections.
type relay struct {
	cfg   *Config
	g     *geometry.Geometry
	down  *wire.Limits // of what clients get
	conns connections

	mu   sync.Mutex
	link net.Conn // guarded by mu: what is written to it
}

// connections are the clients' connections of a relay, by session. One goroutine
// opens and writes, one serves.
type connections interface {
	// open makes the session's connection and sends hello.
	open(session uint32, gateway string, hello []byte) error
	// write sends frames to the session's gateway. If that fails, so does reading.
	write(session uint32, frames []byte)
	// serve hands on what comes, until stop. take gets whole frames of a session and
	// returns them framed for the link; send gets those, of many sessions at once;
	// lost is told of a connection that ended.
	serve(take func(out []byte, session uint32, frames []byte) ([]byte, int, error), send func([]byte), lost func(session uint32, err error))
	// stop ends serve; close closes all connections after that.
	stop()
	close()
}

// relayed attaches every client over connections of its own, which relays hold,
// and serves them until ctx is done, then returns nil; or until one fails.
func (s *simulation) relayed(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	relays := len(s.cfg.Relays)
	for i, address := range s.cfg.Relays {
		var ends []*end
		for c := i * len(s.clients) / relays; c < (i+1)*len(s.clients)/relays; c++ {
			for j := range s.clients[c].ends {
				ends = append(ends, &s.clients[c].ends[j])
			}
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

// relayFor holds connections for the simulator that connects to an address, until
// that leaves or ctx is done.
func relayFor(ctx context.Context, cfg *Config, g *geometry.Geometry) error {
	listener, err := net.Listen("tcp", cfg.Relay)
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
	defer context.AfterFunc(ctx, func() { link.Close() })()
	conns, err := newConnections(wire.HeaderBytes + g.ClientDownLimit())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConnection, err)
	}
	r := &relay{cfg: cfg, g: g, down: wire.ToClient(g), conns: conns, link: link}
	var served sync.WaitGroup
	served.Go(func() { conns.serve(r.take, r.send, r.lost) })
	err = r.read(link)
	link.Close()
	conns.stop()
	served.Wait()
	conns.close()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// read takes the simulator's frames.
func (r *relay) read(link net.Conn) error {
	in, limits := wire.NewReader(link, linkBuffer), wire.FromGateway(r.g)
	if _, err := in.Preamble(); err != nil {
		return err
	}
	var attach wire.GatewayAttach
	var cell wire.GatewayCellUp
	var out []byte
	for {
		typ, payload, err := in.ReadFrame(limits)
		if err != nil {
			return err
		}
		switch typ {
		case wire.TypeGatewayAttach:
			if err := attach.Parse(payload); err != nil {
				return err
			}
			gateway := r.cfg.Gateways[int(attach.Client)%len(r.cfg.Gateways)]
			if err := r.conns.open(attach.Session, gateway, hello(attach.Role, wire.Attach{Client: attach.Client, Salt: attach.Salt, Proof: attach.Proof})); err != nil {
				r.stopped(noConnection(gateway, err).Error())
			}
		case wire.TypeGatewayCellUp:
			if err := cell.Parse(payload); err != nil {
				return err
			}
			out = cell.Cell.Append(out[:0])
			r.conns.write(cell.Session, out)
		}
	}
}

// fronts are the frames to clients, and what they are behind a session.
var fronts = map[wire.Type]wire.Type{
	wire.TypeAttached: wire.TypeGatewayAttached, wire.TypeCellDown: wire.TypeGatewayCellDown, wire.TypeRefused: wire.TypeGatewayRefused,
}

// take frames what a session's connection got for the link, and returns how much
// of it that was: whole frames.
func (r *relay) take(out []byte, session uint32, in []byte) ([]byte, int, error) {
	for done := 0; ; {
		typ, payload, n, err := wire.Next(in[done:], r.down)
		if errors.Is(err, wire.ErrMore) {
			return out, done, nil
		}
		if err != nil {
			return out, done, err
		}
		front, ok := fronts[typ]
		if !ok {
			return out, done, fmt.Errorf("a frame of type %d", typ)
		}
		out = wire.AppendGateway(out, front, session, payload)
		done += n
	}
}

// lost tells the simulator that a connection has ended; it ends then as well.
func (r *relay) lost(session uint32, err error) {
	r.stopped(fmt.Sprintf("a connection of client %d: %v", session/2, err))
}

func (r *relay) stopped(reason string) { r.send((&wire.Stopped{Reason: reason}).Append(nil)) }

// send writes frames to the simulator. If that fails, the simulator has gone, and
// read ends.
func (r *relay) send(frames []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.link.Write(frames)
}
