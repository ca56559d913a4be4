package gateway

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/wire"
)

// How many cells a client may send: some at once, and some for each epoch that
// its server says is open. It needs one an epoch, and one more to send it again.
const (
	creditFirst = 8
	creditEpoch = 2
	creditMost  = 32
)

// client is one client's connection to one of its servers: in the joint role, or
// for ingestion or storage where those are two. One goroutine reads from it;
// another lives only while something waits for it to be written.
type client struct {
	g      *Gateway
	conn   net.Conn
	raw    syscall.RawConn // nil: every frame is queued
	role   uint8
	attach wire.Attach
	link   *link // nil before Attach

	session uint32 // guarded by link.mu
	here    bool   // guarded by link.mu: session is in use

	credit atomic.Int32

	mu       sync.Mutex
	queue    []byte        // guarded by mu, like what follows: whole frames, and the rest of one
	queued   int           // bytes in queue and in the flusher's hands
	flushing bool          // there is a flusher
	flushed  chan struct{} // closed when it ends, if somebody waits
	attached bool          // its server has answered, on the link as it is now
	ending   bool          // nothing more is sent
	refused  bool          // its server refused it
}

func newClient(g *Gateway, conn net.Conn, role uint8) *client {
	c := &client{g: g, conn: conn, raw: rawConn(conn), role: role}
	c.credit.Store(creditFirst)
	return c
}

// serve carries frames until the connection ends.
func (c *client) serve() {
	code := c.read()
	if c.link != nil {
		c.link.detach(c)
	}
	c.end(code)
}

// read reads frames until the connection ends or is to be cut with a code.
func (c *client) read() wire.Code {
	buf := make([]byte, wire.HeaderBytes+c.g.cfg.Geometry.ClientUpLimit())
	n := 0
	for {
		typ, payload, size, err := wire.Next(buf[:n], c.g.fromClient)
		switch err {
		case nil:
			if code := c.frame(typ, payload); code != 0 {
				return code
			}
			n = copy(buf, buf[size:n])
			continue
		case wire.ErrMore:
		default:
			c.g.count.malformed.Add(1)
			return wire.CodeWrongSize
		}
		m, err := c.conn.Read(buf[n:])
		n += m
		if err != nil {
			return c.failed(err)
		}
	}
}

// failed says with which code a connection is cut whose reading failed.
func (c *client) failed(err error) wire.Code {
	if !isTimeout(err) {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused {
		return 0
	}
	if c.link == nil {
		c.g.count.silent.Add(1)
	}
	return wire.CodeBusy
}

// frame takes one frame; 0 if it is in order.
func (c *client) frame(typ wire.Type, payload []byte) wire.Code {
	if (typ == wire.TypeAttach) != (c.link == nil) {
		c.g.count.malformed.Add(1)
		return wire.CodeWrongSize
	}
	if typ == wire.TypeAttach {
		return c.open(payload)
	}
	var m wire.CellUp
	if m.Parse(payload) != nil || !c.fits(&m) {
		c.g.count.malformed.Add(1)
		return wire.CodeWrongSize
	}
	if c.credit.Add(-1) < 0 {
		c.g.count.floods.Add(1)
		return wire.CodeAlready
	}
	if !c.link.cell(c, payload) {
		c.g.count.dropped.Add(1)
		c.refuse(wire.Refused{Code: wire.CodeBusy, Epoch: m.Epoch}, nil)
	}
	return 0
}

// fits says whether a cell has the one type and size that its role sends.
func (c *client) fits(m *wire.CellUp) bool {
	return m.Type == cell.UpType(c.role) && len(m.Sealed) == geometry.Sealed(cell.UpBytes(c.g.cfg.Geometry, c.role))
}

// open takes the client's Attach to its server.
func (c *client) open(payload []byte) wire.Code {
	if c.attach.Parse(payload) != nil {
		c.g.count.malformed.Add(1)
		return wire.CodeWrongSize
	}
	link := c.g.linkOf(c.role, c.attach.Client)
	if link == nil {
		c.g.count.refused.Add(1)
		return wire.CodeUnknownClient
	}
	c.conn.SetReadDeadline(time.Now().Add(c.g.cfg.AnswerTimeout))
	c.link = link
	if !link.attach(c) {
		return wire.CodeBusy
	}
	return 0
}

// linkOf returns the link to a client's server for a role, by the public
// tables; nil if there can be no such client, or no server has that role for it.
func (g *Gateway) linkOf(role uint8, id uint32) *link {
	if int64(id) >= int64(g.capacity) {
		return nil
	}
	for _, h := range cell.Assignments(g.cfg.Geometry, id) {
		if h.Role == role {
			return g.links[h.Server]
		}
	}
	return nil
}

// answered notes that the client's server knows it.
func (c *client) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending || c.attached {
		return
	}
	c.attached = true
	c.conn.SetReadDeadline(time.Time{})
	c.g.count.clients.Add(1)
	c.g.presence.add(c.attach.Client, c.role)
}

// unanswered notes that the client's server does not know it any more, and
// returns whether it did.
func (c *client) unanswered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.attached
	if was {
		c.attached = false
		c.g.count.clients.Add(-1)
		c.g.presence.remove(c.attach.Client, c.role)
	}
	return was
}

// lost tells the client that the link to its server is gone.
func (c *client) lost(p *poker) {
	if c.unanswered() {
		c.refuse(wire.Refused{Code: wire.CodeBusy}, p)
	}
}

// rejected ends a client that its server will not have: the frame that says so
// has been sent. Whoever reads from it wakes up and cuts it.
func (c *client) rejected() {
	c.unanswered()
	c.g.count.refused.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ending {
		c.refused = true
		c.conn.SetReadDeadline(time.Now())
	}
}

func (c *client) refuse(m wire.Refused, p *poker) { c.send(m.Append(nil), p) }

// send writes a frame if that is possible without waiting, and queues the rest.
// p is the caller's own; nil: queue all of it. The frame is not kept.
func (c *client) send(frame []byte, p *poker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return
	}
	c.g.count.bytesDown.Add(int64(len(frame)))
	if !c.flushing && c.raw != nil && p != nil {
		n, err := p.poke(c.raw, frame)
		if err != nil {
			c.cut()
			return
		}
		if frame = frame[n:]; len(frame) == 0 {
			return
		}
	}
	if c.queued+len(frame) > c.g.cfg.ClientQueueBytes || c.g.count.queuedBytes.Load() > int64(c.g.cfg.QueueBytes) {
		c.g.count.slow.Add(1)
		c.cut()
		return
	}
	c.queue = append(c.queue, frame...)
	c.queued += len(frame)
	c.g.count.queuedBytes.Add(int64(len(frame)))
	if !c.flushing {
		c.flushing = true
		c.g.wg.Go(c.flush)
	}
}

// cut ends the connection at once. The caller holds mu.
func (c *client) cut() {
	c.ending = true
	c.conn.Close()
}

// flush writes the queue until it is empty or the client is too slow.
func (c *client) flush() {
	for {
		c.mu.Lock()
		data := c.queue
		c.queue = nil
		if len(data) == 0 {
			c.conn.SetWriteDeadline(time.Time{})
			c.flushing = false
			if c.flushed != nil {
				close(c.flushed)
			}
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		c.conn.SetWriteDeadline(time.Now().Add(c.g.cfg.WriteTimeout))
		_, err := c.conn.Write(data)
		c.g.count.queuedBytes.Add(-int64(len(data)))
		c.mu.Lock()
		c.queued -= len(data)
		if err != nil {
			if isTimeout(err) {
				c.g.count.slow.Add(1)
			}
			c.g.count.queuedBytes.Add(-int64(len(c.queue)))
			c.queued, c.queue = 0, nil
			c.cut()
		}
		c.mu.Unlock()
	}
}

// end closes the connection: after what waits for the client, and a last frame
// if there is a code, have been written; unless it was cut.
func (c *client) end(code wire.Code) {
	c.unanswered()
	if code != 0 {
		c.refuse(wire.Refused{Code: code}, nil)
	}
	c.mu.Lock()
	kind := !c.ending && (code != 0 || c.refused)
	c.ending = true
	var flushed chan struct{}
	if kind && c.flushing {
		flushed = make(chan struct{})
		c.flushed = flushed
	}
	c.mu.Unlock()
	if flushed != nil {
		<-flushed
	}
	if kind {
		c.conn.SetReadDeadline(time.Now().Add(lingerTime))
		linger(c.conn)
	}
	c.conn.Close()
}
