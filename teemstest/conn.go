package teemstest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBytes is how much may lie between writer and reader.
const pipeBytes = 256 << 10

// conn is one end of a connection in memory.
type conn struct {
	in, out     *pipe
	local, peer addr
	far         *conn
	once        sync.Once
	onClose     func()
}

// newPair makes the two ends of a connection to an address.
func newPair(address string) (near, far *conn) {
	up, down := newPipe(), newPipe()
	near = &conn{in: down, out: up, local: "client", peer: addr(address)}
	far = &conn{in: up, out: down, local: addr(address), peer: "client"}
	near.far, far.far = far, near
	return near, far
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b) }

// CloseWrite lets the other end read to the end.
func (c *conn) CloseWrite() error {
	c.out.set(func(p *pipe) { p.ended = true })
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.out.set(func(p *pipe) { p.ended, p.writerGone = true, true; p.writeDeadline.stop() })
		c.in.set(func(p *pipe) { p.readerGone = true; p.data = nil; p.readDeadline.stop() })
		if c.onClose != nil {
			c.onClose()
		}
	})
	return nil
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.peer }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.deadline(func(p *pipe) *deadline { return &p.readDeadline }, t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.deadline(func(p *pipe) *deadline { return &p.writeDeadline }, t)
	return nil
}

// pipe is one direction: bytes that were written and not read.
type pipe struct {
	mu   sync.Mutex
	cond sync.Cond // with mu; everything below is guarded by mu
	data []byte

	ended      bool // no more will be written
	readerGone bool
	writerGone bool

	readDeadline, writeDeadline deadline
}

// deadline is over once its timer has fired.
type deadline struct {
	over  bool
	timer *time.Timer
	round int // tells timers that came too late
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.round++
}

func newPipe() *pipe {
	p := &pipe{}
	p.cond.L = &p.mu
	return p
}

func (p *pipe) set(f func(*pipe)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
	p.cond.Broadcast()
}

func (p *pipe) deadline(which func(*pipe) *deadline, t time.Time) {
	p.set(func(p *pipe) {
		d := which(p)
		d.stop()
		d.over = false
		if t.IsZero() || p.readerGone && d == &p.readDeadline || p.writerGone && d == &p.writeDeadline {
			return
		}
		left := time.Until(t)
		if d.over = left <= 0; d.over {
			return
		}
		round := d.round
		d.timer = time.AfterFunc(left, func() {
			p.set(func(*pipe) { d.over = d.over || d.round == round })
		})
	})
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.readerGone:
			return 0, net.ErrClosed
		case p.readDeadline.over:
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case len(p.data) > 0:
			n := copy(b, p.data)
			if p.data = p.data[n:]; len(p.data) == 0 {
				p.data = nil
			}
			p.cond.Broadcast()
			return n, nil
		case p.ended:
			return 0, io.EOF
		}
		p.cond.Wait()
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.ended:
			return n, net.ErrClosed
		case p.readerGone:
			return n, io.ErrClosedPipe
		case p.writeDeadline.over:
			return n, os.ErrDeadlineExceeded
		case len(b) == 0:
			return n, nil
		}
		if room := min(pipeBytes-len(p.data), len(b)); room > 0 {
			p.data = append(p.data, b[:room]...)
			n, b = n+room, b[room:]
			p.cond.Broadcast()
			continue
		}
		p.cond.Wait()
	}
}
