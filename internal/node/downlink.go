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

	cellsOf, cellsEnd uint64 // the loop's: newest epoch whose cells it got, and where they end

	mu      sync.Mutex
	wake    sync.Cond // with mu: there is something to write, or closed
	chunks  []*[]byte
	flushed bool   // the last chunk may go even if it is not full
	queued  uint64 // bytes ever put
	written uint64
	waiters []waiter // by rising position
	closed  bool
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
	c := d.room(0)
	before := len(*c)
	*c = m.Append(*c)
	d.grown(len(*c) - before)
}

// putCells appends cells [from, to) of a batch, whose sessions are all of
// this link, and returns where they end.
func (d *downlink) putCells(b *epoch.ClientCells, from, to int) (end uint64) {
	head := wire.FrontCellDown{Cell: wire.CellDown{Type: b.Type, Attempt: b.Attempt, Epoch: b.Epoch}}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := from; i < to && !d.closed; i++ {
		c := d.room(cellDownHead + b.Width)
		before := len(*c)
		head.Session = uint32(b.Sessions[i])
		*c = head.AppendHead(*c, b.Width)
		*c = append(*c, b.Data[i*b.Width:(i+1)*b.Width]...)
		d.grown(len(*c) - before)
	}
	return d.queued
}

// cellDownHead is a FrontCellDown without its sealed cell.
const cellDownHead = wire.HeaderBytes + 16

// room returns the chunk to append n bytes to.
func (d *downlink) room(n int) *[]byte {
	if k := len(d.chunks); k > 0 {
		if c := d.chunks[k-1]; len(*c) == 0 || len(*c)+max(n, 128) <= cap(*c) {
			return c
		}
		d.wake.Signal()
	}
	c := chunks.Get().(*[]byte)
	d.chunks = append(d.chunks, c)
	return c
}

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
		d.chunks = d.chunks[1:]
		if len(d.chunks) == 0 {
			d.flushed = false
		}
		d.mu.Unlock()
		late := d.after(writeTime, func() { d.conn.Close() })
		_, err := d.conn.Write(*c)
		if !late() {
			d.log(fmt.Sprintf("node: %s took nothing for %v: it is cut", d.name, writeTime))
		}
		d.wrote(len(*c), err)
		if cap(*c) <= 2*chunkBytes {
			*c = (*c)[:0]
			chunks.Put(c)
		}
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
	d.mu.Unlock()
	for _, w := range due {
		w.f()
	}
}
