package node

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/wire"
)

const (
	chunkBytes = 256 << 10        // written at once
	writeTime  = 30 * time.Second // for as much
	fullBytes  = 2 << 20          // that wait to be written are enough for now
)

var chunks = sync.Pool{New: func() any { b := make([]byte, 0, chunkBytes); return &b }}

// downlink is what waits for one gateway or coordinator, in order, and the
// goroutine that writes it.
type downlink struct {
	name  string
	conn  net.Conn
	limit uint64
	log   func(string)
	after func(time.Duration, func()) func() bool
	room  chan<- struct{} // signalled when a full link has room again; nil: nobody

	cellsOf, cellsEnd uint64 // the loop's: newest epoch whose cells it got, and where they end

	mu      sync.Mutex
	wake    sync.Cond // with mu: there is something to write, or closed
	chunks  []chunk
	flushed bool   // the last chunk may go even if it is not full
	full    bool   // it has enough, as the loop knows; room is signalled when it has not
	queued  uint64 // bytes ever put
	written uint64
	waiters []waiter // by rising position
	closed  bool
}

// chunk is what is written at once: small frames that were gathered, or a batch
// of sealed cells as they lie.
type chunk struct {
	small *[]byte // of the pool
	cells *epoch.ClientCells
}

func (c chunk) bytes() []byte {
	if c.cells != nil {
		return c.cells.Data
	}
	return *c.small
}

// free gives back what a chunk holds.
func (c chunk) free() {
	switch {
	case c.cells != nil:
		c.cells.Sent()
	case cap(*c.small) <= 2*chunkBytes:
		*c.small = (*c.small)[:0]
		chunks.Put(c.small)
	}
}

type waiter struct {
	at uint64
	f  func()
}

func (n *Node) newDownlink(name string, conn net.Conn, limit int) *downlink {
	d := &downlink{name: name, conn: conn, limit: uint64(limit), log: n.cfg.Log, after: n.cfg.AfterFunc}
	d.wake.L = &d.mu
	return d
}

// put appends a frame. It does not block; a queue over the limit cuts the link.
func (d *downlink) put(m wire.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	c := d.gather()
	before := len(*c)
	*c = m.Append(*c)
	d.grown(len(*c) - before)
}

// putCells appends a batch of cells, all of this link's sessions, and gives it
// back when it has been written. It returns where they end, and whether that is
// enough for now: then room is signalled once there is less.
func (d *downlink) putCells(b *epoch.ClientCells) (end uint64, full bool) {
	head := wire.GatewayCellDown{Cell: wire.CellDown{Type: b.Type, Attempt: b.Attempt, Epoch: b.Epoch}}
	stride := cellDownHead + b.Width
	for i, session := range b.Sessions {
		head.Session = uint32(session)
		head.AppendHead(b.Data[i*stride:i*stride:i*stride+cellDownHead], b.Width)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		b.Sent()
		return d.queued, false
	}
	d.chunks = append(d.chunks, chunk{cells: b})
	d.flushed = true
	d.wake.Signal()
	d.grown(len(b.Data))
	if d.queued-d.written >= fullBytes && !d.closed {
		d.full = true
	}
	return d.queued, d.full
}

// drained says whether a link that was full has room again, once.
func (d *downlink) drained() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.full || d.queued-d.written > fullBytes/2 {
		return false
	}
	d.full = false
	return true
}

// cellDownHead is a FrontCellDown without its sealed cell.
const cellDownHead = wire.HeaderBytes + 16

// gather returns the chunk to append a small frame to.
func (d *downlink) gather() *[]byte {
	if k := len(d.chunks); k > 0 {
		if c := d.chunks[k-1].small; c != nil && (len(*c) == 0 || len(*c)+smallFrame <= cap(*c)) {
			return c
		}
		d.wake.Signal()
	}
	c := chunks.Get().(*[]byte)
	d.chunks = append(d.chunks, chunk{small: c})
	return c
}

// smallFrame is about the longest frame that is not a cell's.
const smallFrame = 128

// grown accounts for n bytes more.
func (d *downlink) grown(n int) {
	d.queued += uint64(n)
	if d.queued-d.written > d.limit && !d.closed {
		d.log(fmt.Sprintf("node: %s does not read, %d bytes wait for it: it is cut", d.name, d.queued-d.written))
		d.shut()
	}
}

// flush lets what was put go out.
func (d *downlink) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.chunks) > 0 {
		d.flushed = true
		d.wake.Signal()
	}
}

// end is the position after all that was put.
func (d *downlink) end() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queued
}

// whenWritten calls f, once, when all up to a position has been written, or
// never will be. Positions of successive calls rise.
func (d *downlink) whenWritten(at uint64, f func()) {
	d.mu.Lock()
	if at > d.written && !d.closed {
		d.waiters = append(d.waiters, waiter{at, f})
		d.mu.Unlock()
		return
	}
	d.mu.Unlock()
	f()
}

// shut closes with mu held; write ends and calls those who wait.
func (d *downlink) shut() {
	d.closed = true
	for _, c := range d.chunks {
		c.free()
	}
	d.chunks = nil
	d.wake.Broadcast()
	d.conn.Close()
}

func (d *downlink) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.shut()
	}
}

// write writes until the link is closed.
func (d *downlink) write() {
	for {
		d.mu.Lock()
		for !d.closed && (len(d.chunks) == 0 || len(d.chunks) == 1 && !d.flushed) {
			d.wake.Wait()
		}
		if d.closed {
			waiters := d.waiters
			d.waiters = nil
			d.mu.Unlock()
			for _, w := range waiters {
				w.f()
			}
			return
		}
		c := d.chunks[0]
		d.chunks[0] = chunk{}
		d.chunks = d.chunks[1:]
		if len(d.chunks) == 0 {
			d.flushed = false
		}
		d.mu.Unlock()
		late := d.after(writeTime, func() { d.conn.Close() })
		b := c.bytes()
		_, err := d.conn.Write(b)
		if !late() {
			d.log(fmt.Sprintf("node: %s took nothing for %v: it is cut", d.name, writeTime))
		}
		d.wrote(len(b), err)
		c.free()
	}
}

func (d *downlink) wrote(n int, err error) {
	d.mu.Lock()
	d.written += uint64(n)
	if err != nil && !d.closed {
		d.shut()
	}
	k := 0
	for k < len(d.waiters) && d.waiters[k].at <= d.written {
		k++
	}
	due := append([]waiter(nil), d.waiters[:k]...)
	d.waiters = d.waiters[k:]
	if d.full && d.queued-d.written <= fullBytes/2 && d.room != nil {
		select {
		case d.room <- struct{}{}:
		default: // it is signalled already
		}
	}
	d.mu.Unlock()
	for _, w := range due {
		w.f()
	}
}
