package mesh

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Buffers of a link, in bytes.
const (
	rawRead  = 128 << 10 // ciphertext taken from the kernel at once
	rawWrite = 256 << 10 // ciphertext given to the kernel at once
	plain    = 64 << 10  // small frames gathered before they are encrypted

	// Beyond so many links they share what as many would have: what a server sends
	// in an epoch does not grow with the number of its peers.
	fullLinks = 8
	leastPart = 16 << 10 // a TLS record
)

// room is the size of a link's buffer, of a size for few peers.
func (c *Config) room(size int) int {
	links := max(c.Servers-1, fullLinks)
	return max(size*fullLinks/links, leastPart)
}

// rawConn lies between TLS and the socket. It reads much at once and, once
// corked, writes only when flushed or full, so that a megabyte of TLS records
// costs a few system calls instead of 64. It counts bytes.
type rawConn struct {
	net.Conn
	in             *bufio.Reader
	sent, received atomic.Uint64

	mu     sync.Mutex // guards what follows; TLS writes from two goroutines
	out    *bufio.Writer
	corked bool
}

func (c *Config) newRawConn(conn net.Conn) *rawConn {
	out := &patient{conn: conn, after: c.AfterFunc}
	return &rawConn{Conn: conn, in: bufio.NewReaderSize(conn, c.room(rawRead)), out: bufio.NewWriterSize(out, c.room(rawWrite))}
}

// patient closes the connection if a write takes longer than WriteTimeout.
type patient struct {
	conn  net.Conn
	after func(time.Duration, func()) func() bool
}

func (p *patient) Write(b []byte) (int, error) {
	stop := p.after(WriteTimeout, func() { p.conn.Close() })
	defer stop()
	return p.conn.Write(b)
}

func (c *rawConn) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.received.Add(uint64(n))
	return n, err
}

func (c *rawConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.out.Write(p)
	if err == nil && !c.corked {
		err = c.out.Flush()
	}
	c.sent.Add(uint64(n))
	return n, err
}

// cork makes writes wait for flush; the handshake must be over.
func (c *rawConn) cork() {
	c.mu.Lock()
	c.corked = true
	c.mu.Unlock()
}

func (c *rawConn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Flush()
}
