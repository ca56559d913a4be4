package client

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
)

// Client is a connected client. Its methods may be called from several
// goroutines at once.
type Client struct {
	cfg  Config
	m    *Manifest
	g    *geometry.Geometry
	id   *Identity
	salt [16]byte // drawn at this start

	links []*link // to each of its homes; the first one ingests

	ctx  context.Context // done: the client is closed or has failed
	stop context.CancelFunc
	wg   sync.WaitGroup
	jobs chan struct{} // holds one: the inbox has work

	mu      sync.Mutex
	changed chan struct{} // guarded by mu, like what follows: closed when anything changes
	failed  error         // why the client stopped
	heads   heads
	out     outbox
	in      incoming
	asking  asking
}

// Start makes a client that connects in the background and stays connected
// until Close. Errors: ErrConfig, ErrWrongCluster, of the inbox, of randomness.
func Start(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg: cfg, m: cfg.Manifest, g: cfg.Manifest.g, id: cfg.Identity,
		jobs: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	var seed [1]byte
	if _, err := io.ReadFull(cfg.Random, c.salt[:]); err != nil {
		return nil, fmt.Errorf("client: no randomness for a salt: %w", err)
	}
	if _, err := io.ReadFull(cfg.Random, seed[:]); err != nil {
		return nil, fmt.Errorf("client: no randomness: %w", err)
	}
	newest, err := cfg.Inbox.Newest()
	if err != nil {
		return nil, fmt.Errorf("client: reading the inbox: %w", err)
	}
	c.in.received, c.in.stored = newest, newest
	c.heads.init(cfg.Head)
	c.out.init()
	c.asking.init(c.g, int(seed[0]))
	c.ctx, c.stop = context.WithCancel(context.Background())
	for _, h := range cell.Assignments(c.g, c.id.id) {
		c.links = append(c.links, c.newLink(h))
	}
	for _, l := range c.links {
		c.wg.Go(l.run)
	}
	c.wg.Go(c.keepInbox)
	return c, nil
}

// Connect is Start and Ready: it returns a client that its servers know. On an
// error nothing of it is left.
func Connect(ctx context.Context, cfg Config) (*Client, error) {
	c, err := Start(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.Ready(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close disconnects, and waits for what the inbox is doing. Messages that wait
// fail with ErrClosed; those whose result has not come also with
// ErrOutcomeUnknown.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	c.wg.Wait()
	return nil
}

// fail stops the client, once.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *Client) failLocked(err error) {
	if c.failed != nil {
		return
	}
	c.failed = err
	c.stop()
	c.out.fail(err)
	c.asking.fail(err)
	c.broadcast()
}

// broadcast wakes whoever waits for a change. The caller holds mu.
func (c *Client) broadcast() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait waits until f, called with mu held, is true or an error, the client has
// stopped, or ctx is done.
func (c *Client) wait(ctx context.Context, f func() (bool, error)) error {
	for {
		c.mu.Lock()
		done, err := f()
		failed, changed := c.failed, c.changed
		c.mu.Unlock()
		switch {
		case done || err != nil:
			return err
		case failed != nil:
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusals is how often in a row a server must say that it does not know this
// client before that is believed: one that registered just now is not known
// everywhere at once.
const refusals = 7

// Ready waits until the client's server, or both of them, know it. Errors:
// ErrNotRegistered, ErrKeyReplaced, ErrClosed, ErrFork, ErrRolledBack; if ctx
// ends first, its error with the reason that connecting failed for last.
func (c *Client) Ready(ctx context.Context) error {
	err := c.wait(ctx, func() (bool, error) {
		ready := true
		for _, l := range c.links {
			ready = ready && l.ready
			if l.refused >= refusals {
				return false, l.err
			}
		}
		return ready, nil
	})
	if err != nil && ctx.Err() != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, l := range c.links {
			if l.err != nil {
				return fmt.Errorf("%w: %w", err, l.err)
			}
		}
	}
	return err
}

// Err returns why the client has stopped; nil if it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// Done is closed when the client has stopped: it was closed, or Err says why.
func (c *Client) Done() <-chan struct{} { return c.ctx.Done() }

// Address is where this client is reached.
func (c *Client) Address() Address { return c.id.Address() }

// Manifest is the manifest that the client runs under.
func (c *Client) Manifest() *Manifest { return c.m }

// Status is what a client knows of itself.
type Status struct {
	Ingestion, Storage bool   // connected, and known there
	Open               uint64 // newest epoch that takes cells
	Received           uint64 // newest epoch delivered to this client
	Stored             uint64 // newest epoch that the inbox has
	Acknowledged       uint64 // newest epoch whose acknowledgement was accepted
	Results            uint64 // newest epoch with a final result
	Queued             int    // messages that wait to be submitted
	Missed             uint64 // deliveries that were lost for good
	Malformed          uint64 // messages left out because their senders broke the layout
	Problem            error  // what failed last, of connections and of the inbox; nil: nothing
}

// Status returns how things are now.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{
		Received: c.in.received, Stored: c.in.stored, Acknowledged: c.in.acknowledged, Results: c.out.through,
		Queued: c.out.queued(), Missed: c.in.missed, Malformed: c.in.malformed, Problem: c.in.err,
	}
	for _, l := range c.links {
		s.Ingestion = s.Ingestion || l.ready && l.ingests()
		s.Storage = s.Storage || l.ready && l.stores()
		s.Open = max(s.Open, l.open)
		if l.err != nil && s.Problem == nil {
			s.Problem = l.err
		}
	}
	return s
}

// WaitEpoch waits until an epoch is final for this client: its result and its
// delivery have come.
func (c *Client) WaitEpoch(ctx context.Context, epoch uint64) error {
	return c.wait(ctx, func() (bool, error) { return min(c.out.through, c.in.received) >= epoch, nil })
}

// WaitAcknowledged waits until the cluster has accepted this client's
// acknowledgement of the delivery of an epoch, and so has forgotten it.
func (c *Client) WaitAcknowledged(ctx context.Context, epoch uint64) error {
	return c.wait(ctx, func() (bool, error) { return c.in.acknowledged >= epoch, nil })
}

// Receive returns the next message from the inbox, and waits for one. The inbox
// must be a Receiver, as the default is. Messages that it has are returned
// after Close as well.
func (c *Client) Receive(ctx context.Context) (Message, error) {
	r, ok := c.cfg.Inbox.(Receiver)
	if !ok {
		return Message{}, fmt.Errorf("%w: this inbox is not one to receive from", ErrConfig)
	}
	both, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(nil) })()
	m, err := r.Receive(both)
	if err != nil && ctx.Err() == nil && c.ctx.Err() != nil {
		return Message{}, c.Err()
	}
	return m, err
}
