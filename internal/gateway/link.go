package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

var le = binary.LittleEndian

const (
	sessionBytes  = 4
	linkReadBytes = 1 << 17
	gatherBelow   = 1 << 15 // a write that is shorter waits FlushDelay for more
)

// link carries the sessions of one server's clients.
type link struct {
	g       *Gateway
	server  int
	address string
	poker   *poker // of the goroutine that reads from the server

	mu       sync.Mutex
	up       bool       // guarded by mu, like what follows
	sessions sessions   // of clients, whether the link is up or not
	out      []byte     // frames to be written, none unless up
	spare    []byte     // the other buffer; nil while it is being written
	room     *sync.Cond // out has become shorter, or up false
	wake     chan struct{}
}

func newLink(g *Gateway, server int, address string) *link {
	l := &link{g: g, server: server, address: address, poker: newPoker(), wake: make(chan struct{}, 1)}
	l.room = sync.NewCond(&l.mu)
	return l
}

// run keeps the link up until ctx is done.
func (l *link) run(ctx context.Context) {
	backoff, told := l.g.cfg.BackoffMin, false
	for ctx.Err() == nil {
		start := time.Now()
		spoke, err := l.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if spoke || time.Since(start) > l.g.cfg.DialTimeout+l.g.cfg.BackoffMax {
			backoff, told = l.g.cfg.BackoffMin, false
		}
		if !told {
			l.g.cfg.Log.Warn("no link to a server; trying again until there is", "server", l.server, "address", l.address, "error", err.Error())
			told = true
		}
		sleep(ctx, backoff)
		backoff = min(2*backoff, l.g.cfg.BackoffMax)
	}
}

// once dials the server and carries frames until the link ends. It returns
// whether the server ever sent a frame.
func (l *link) once(ctx context.Context) (spoke bool, err error) {
	dialling, cancel := context.WithTimeout(ctx, l.g.cfg.DialTimeout)
	conn, err := l.g.cfg.Dial(dialling, l.address)
	cancel()
	if err != nil {
		return false, err
	}
	if !l.g.track(conn, 1<<62) {
		conn.Close()
		return false, net.ErrClosed
	}
	defer l.g.untrack(conn)
	l.begin()
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { l.write(ctx, conn, done) })
	spoke, err = l.read(conn)
	conn.Close()
	close(done)
	l.lost()
	writer.Wait()
	return spoke, err
}

// begin opens every session anew.
func (l *link) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = true
	l.out = wire.Preamble{Service: wire.ServiceGateway}.Append(l.out[:0])
	l.sessions.all(func(c *client) { l.appendAttach(c) })
	l.poke()
	l.g.count.linksUp.Add(1)
}

// lost tells every client that the link is gone.
func (l *link) lost() {
	var clients []*client
	l.mu.Lock()
	l.up, l.out = false, l.out[:0]
	l.sessions.all(func(c *client) { clients = append(clients, c) })
	l.room.Broadcast()
	l.mu.Unlock()
	l.g.count.linksLost.Add(1)
	for _, c := range clients {
		c.lost(l.poker)
	}
}

// attach opens a session for a client, now or when the link is up; false if
// there are too many.
func (l *link) attach(c *client) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ok bool
	if c.session, ok = l.sessions.add(c); !ok {
		return false
	}
	c.here = true
	if l.up {
		l.appendAttach(c)
		l.poke()
	}
	return true
}

func (l *link) appendAttach(c *client) {
	m := wire.GatewayAttach{Session: c.session, Role: c.role, Client: c.attach.Client, Salt: c.attach.Salt, Proof: c.attach.Proof}
	l.out = m.Append(l.out)
}

// detach closes a client's session if it has one.
func (l *link) detach(c *client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.here {
		return
	}
	c.here = false
	l.sessions.remove(c.session)
	if l.up {
		m := wire.Detach{Session: c.session}
		l.out = m.Append(l.out)
		l.poke()
	}
}

// cell carries a client's cell, whose payload is not kept; it waits while too
// much is to be written already. False if the link is not up.
func (l *link) cell(c *client, payload []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.up && len(l.out) > l.g.cfg.LinkQueueBytes {
		l.room.Wait()
	}
	if !l.up || !c.here {
		return false
	}
	l.out = wire.Begin(l.out, wire.TypeGatewayCellUp, sessionBytes+len(payload))
	l.out = le.AppendUint32(l.out, c.session)
	l.out = append(l.out, payload...)
	l.g.count.cellsUp.Add(1)
	if len(l.out) <= l.g.cfg.LinkQueueBytes {
		l.room.Signal() // each who waited wakes the next one, in turn
	}
	l.poke()
	return true
}

func (l *link) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// write writes what gathers in out, in as few calls as possible.
func (l *link) write(ctx context.Context, conn net.Conn, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-l.wake:
		}
		l.mu.Lock()
		short := len(l.out) < gatherBelow
		l.mu.Unlock()
		if short && l.g.cfg.FlushDelay > 0 {
			sleep(ctx, l.g.cfg.FlushDelay)
		}
		l.mu.Lock()
		data := l.out
		l.out, l.spare = l.spare[:0], nil
		l.room.Signal()
		l.mu.Unlock()
		if len(data) > 0 {
			conn.SetWriteDeadline(time.Now().Add(l.g.cfg.WriteTimeout))
			if _, err := conn.Write(data); err != nil {
				conn.Close() // whoever reads sees it
				return
			}
			l.g.count.writesUp.Add(1)
			l.g.count.bytesUp.Add(int64(len(data)))
		}
		l.mu.Lock()
		l.spare = data
		l.mu.Unlock()
	}
}

// read hands the server's frames to clients until the link ends. A client's
// frame is cut out of the buffer where it lies.
func (l *link) read(conn net.Conn) (spoke bool, err error) {
	buf := make([]byte, max(linkReadBytes, wire.HeaderBytes+l.g.cfg.Geometry.GatewayDownLimit()))
	start, end := 0, 0
	for {
		typ, payload, n, err := wire.Next(buf[start:end], l.g.toGateway)
		switch err {
		case nil:
			if !spoke {
				l.g.cfg.Log.Info("link to a server is up", "server", l.server, "address", l.address)
				spoke = true
			}
			if err := l.frame(typ, payload, buf[start:start+n]); err != nil {
				return spoke, err
			}
			start += n
			continue
		case wire.ErrMore:
		default:
			return spoke, err
		}
		if start == end {
			start, end = 0, 0
		} else if start+n > len(buf) {
			end = copy(buf, buf[start:end])
			start = 0
		}
		m, err := conn.Read(buf[end:])
		end += m
		if err != nil && m == 0 {
			if errors.Is(err, io.EOF) {
				err = errors.New("the server closed the link")
			}
			return spoke, err
		}
	}
}

// frame hands one frame to its client. whole is the frame with its header; it
// is overwritten.
func (l *link) frame(typ wire.Type, payload, whole []byte) error {
	if typ == wire.TypeStopped {
		var m wire.Stopped
		if err := m.Parse(payload); err != nil {
			return err
		}
		l.g.cfg.Log.Error("a server has stopped for good: "+m.Reason, "server", l.server)
		return nil
	}
	session, rest, err := wire.SplitSession(payload)
	if err != nil {
		return err
	}
	l.mu.Lock()
	c := l.sessions.find(session)
	l.mu.Unlock()
	if c == nil {
		return nil // it has gone since
	}
	// The client's frame has the same payload without the session, so its
	// header fits where the session ends.
	own := whole[sessionBytes:]
	le.PutUint32(own, uint32(len(rest)))
	own[4] = byte(wire.ClientType(typ))
	switch typ {
	case wire.TypeGatewayAttached:
		c.answered()
	case wire.TypeGatewayCellDown:
		l.g.count.cellsDown.Add(1)
		c.opened() // whatever a server seals for a client says that an epoch is open
	case wire.TypeGatewayRefused:
		c.send(own, l.poker)
		if c.final(wire.Code(le.Uint16(rest))) {
			c.rejected()
		}
		return nil
	}
	c.send(own, l.poker)
	return nil
}

// opened lets the client send cells for one epoch more.
func (c *client) opened() {
	for {
		old := c.credit.Load()
		if old >= creditMost || c.credit.CompareAndSwap(old, min(old+creditEpoch, creditMost)) {
			return
		}
	}
}

// final says whether a refusal ends the session: the client is not known, its
// server has no such session, or the refusal is the answer to its Attach.
func (c *client) final(code wire.Code) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return code == wire.CodeUnknownClient || code == wire.CodeNotOpen || !c.attached
}
