package mesh

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// link is one attested connection to a peer.
type link struct {
	peer int
	boot [16]byte
	conn net.Conn // encrypts; on top of raw
	raw  *rawConn
	done chan struct{} // closed when nothing of the link is left

	lifetime time.Duration // 0: no limit
	expired  atomic.Bool   // closed because lifetime was over

	mu     sync.Mutex
	wake   sync.Cond // with mu: the queue is not empty, or closed
	queue  []item
	closed bool
}

// item is a frame that waits to be written.
type item struct {
	header [wire.PeerHeaderBytes]byte
	parts  [][]byte
	sent   func()
}

func (i *item) finish() {
	if i.sent != nil {
		i.sent()
	}
}

func newLink(who Peer, conn net.Conn, raw *rawConn) *link {
	l := &link{peer: who.Server, boot: who.Boot, lifetime: who.Lifetime, conn: conn, raw: raw, done: make(chan struct{})}
	l.wake.L = &l.mu
	return l
}

// put queues a frame, and reports whether it did.
func (l *link) put(i item) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.queue = append(l.queue, i)
	l.wake.Signal()
	return true
}

// take waits for frames and returns all that are queued; ok is false when the
// link is closed.
func (l *link) take(into []item) (items []item, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.wake.Wait()
	}
	if l.closed {
		return nil, false
	}
	items, l.queue = l.queue, into[:0]
	return items, true
}

// close ends both directions; run then returns. It may be called often.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.wake.Broadcast()
	l.mu.Unlock()
	l.raw.Close()
}

// drop gives back what was never written.
func (l *link) drop() {
	l.mu.Lock()
	items := l.queue
	l.queue = nil
	l.mu.Unlock()
	for k := range items {
		items[k].finish()
	}
}

// write sends queued frames until the link is closed. Small frames share a
// record; the large part of a payload goes to the cipher as it lies.
func (l *link) write(m *Mesh) error {
	w := bufio.NewWriterSize(l.conn, m.cfg.room(plain))
	var spare []item
	for {
		items, ok := l.take(spare)
		if !ok {
			return nil
		}
		var err error
		for k := range items {
			if err == nil {
				err = items[k].write(w)
			}
			items[k].finish()
			items[k] = item{}
		}
		if err == nil {
			err = w.Flush()
		}
		if err == nil {
			err = l.raw.flush()
		}
		if err != nil {
			return err
		}
		spare = items
	}
}

func (i *item) write(w *bufio.Writer) error {
	if _, err := w.Write(i.header[:]); err != nil {
		return err
	}
	for _, p := range i.parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// read hands on frames until the connection ends or breaks the protocol.
func (l *link) read(m *Mesh) error {
	r := wire.NewReader(l.conn, m.cfg.room(plain))
	var h wire.PeerHeader
	for {
		if err := r.ReadPeer(&h, m.cfg.Limits); err != nil {
			return refuse(err, &h)
		}
		if int(h.From) != l.peer {
			return fmt.Errorf("it sent a frame in the name of server %d", h.From)
		}
		payload, release := m.pool.get(int(h.Length))
		if err := r.ReadFull(payload); err != nil {
			release()
			return err
		}
		m.cfg.Handler.Frame(l.peer, h, payload, release)
	}
}

// refuse says which frame was wrong; errors of the connection stay as they are.
func refuse(err error, h *wire.PeerHeader) error {
	switch {
	case errors.Is(err, wire.ErrType), errors.Is(err, wire.ErrLength),
		errors.Is(err, wire.ErrValue), errors.Is(err, wire.ErrReserved):
		return fmt.Errorf("it sent a frame of kind %d with %d rows and %d bytes: %w", h.Kind, h.Rows, h.Length, err)
	}
	return err
}

// run serves the link until it ends, and says why it did; nil for one that was
// closed here.
func (l *link) run(m *Mesh) error {
	l.raw.cork()
	wrote := make(chan error, 1)
	go func() {
		err := l.write(m)
		l.close() // a link that cannot write ends
		wrote <- err
	}()
	err := l.read(m)
	l.mu.Lock()
	here := l.closed
	l.mu.Unlock()
	l.close()
	werr := <-wrote
	l.drop()
	switch {
	case werr != nil:
		return werr
	case here:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it closed the connection")
	}
	return err
}
