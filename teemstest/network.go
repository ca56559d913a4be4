package teemstest

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// network is listeners and connections by address, in memory.
type network struct {
	mu        sync.Mutex
	listeners map[string]*listener // guarded by mu
	conns     map[*conn]string     // guarded by mu: dialled and open, with the address
}

func newNetwork() *network {
	return &network{listeners: map[string]*listener{}, conns: map[*conn]string{}}
}

// listen listens on an address that nobody listens on.
func (n *network) listen(address string) net.Listener {
	l := &listener{n: n, address: address, queue: make(chan net.Conn, 64), done: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[address] != nil {
		panic("teemstest: two listeners on " + address)
	}
	n.listeners[address] = l
	return l
}

// dial connects to an address that somebody listens on.
func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	refused := func(reason error) error {
		return &net.OpError{Op: "dial", Net: "memory", Addr: addr(address), Err: reason}
	}
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, refused(fmt.Errorf("nobody listens on %s", address))
	}
	near, far := newPair(address)
	n.mu.Lock()
	n.conns[near] = address
	n.mu.Unlock()
	near.onClose = func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.conns, near)
	}
	select {
	case l.queue <- far:
		select {
		case <-l.done: // it may have closed before it saw far
			far.Close()
		default:
		}
		return near, nil
	case <-l.done:
		near.Close()
		return nil, refused(net.ErrClosed)
	case <-ctx.Done():
		near.Close()
		return nil, refused(ctx.Err())
	}
}

// cut closes every connection to an address, as a host that fails does.
func (n *network) cut(address string) {
	n.mu.Lock()
	var cut []*conn
	for c, to := range n.conns {
		if to == address {
			cut = append(cut, c)
		}
	}
	n.mu.Unlock()
	for _, c := range cut {
		c.Close()
		c.far.Close()
	}
}

type listener struct {
	n       *network
	address string
	queue   chan net.Conn
	once    sync.Once
	done    chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		if l.n.listeners[l.address] == l {
			delete(l.n.listeners, l.address)
		}
		l.n.mu.Unlock()
		close(l.done)
		for {
			select {
			case c := <-l.queue:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return addr(l.address) }

type addr string

func (addr) Network() string  { return "memory" }
func (a addr) String() string { return string(a) }
