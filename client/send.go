package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/teems-go/teems/internal/cell"
)

// Outgoing is a message to be sent. With a Token it goes on the token channel,
// else on the ID channel.
type Outgoing struct {
	To    Address // not needed with a Token or a Pass, which say it
	Token *Token
	Pass  *Pass
	// Priority decides on the ID channel which messages a full mailbox keeps.
	// With priorities for passes it counts up to the pass's ceiling, and not at
	// all without a pass.
	Priority uint32
	Body     []byte // copied
}

// Receipt says what became of a message that was taken.
type Receipt struct {
	Epoch uint64 // that carried it
}

// Sending is a message on its way.
type Sending struct {
	c         *Client
	token     *cell.Token // of a token or pass; nil for neither
	onToken   bool        // token channel
	recipient uint32
	priority  uint32
	body      []byte
	done      chan struct{}

	epoch     uint64 // guarded by c.mu, like what follows: submitted for; 0: it waits
	cancelled bool
	finished  bool
	receipt   Receipt
	err       error
}

// Send queues a message and waits for its final result. It returns nil if the
// message was taken; see the package comment for what that means. On the token
// channel it waits for the token's first epoch.
//
// If ctx ends first the message is taken back if that is still possible; else
// the error is ctx's and ErrOutcomeUnknown. Other errors: those of Queue,
// ErrUnknownRecipient, ErrBadToken, ErrTokenExpired, ErrTokenUsed,
// ErrOutcomeUnknown, and what stopped the client.
func (c *Client) Send(ctx context.Context, m Outgoing) (Receipt, error) {
	s, err := c.Queue(m)
	if err != nil {
		return Receipt{}, err
	}
	r, err := s.Wait(ctx)
	if err != nil && ctx.Err() != nil && !s.Cancel() {
		select {
		case <-s.done:
			return s.receipt, s.err
		default:
			return Receipt{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
		}
	}
	return r, err
}

// Queue queues a message for the next epochs and returns at once. Messages of a
// channel go in the order in which they were queued, but for those that wait for
// a token's first epoch, and those that would be the second one of an epoch to
// the same recipient; one that an epoch did not take goes again before those
// that still wait, unless a lost connection let those of the next epoch overtake
// it. Errors: ErrTooLong, ErrWrongCluster, ErrUnknownRecipient,
// ErrBadToken, ErrTokenExpired, ErrChannelOff, ErrQueueFull, ErrConfig, and what
// stopped the client.
func (c *Client) Queue(m Outgoing) (*Sending, error) {
	s, err := c.prepare(m)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failed != nil:
		return nil, c.failed
	case c.out.queued() >= c.cfg.QueueLimit:
		return nil, ErrQueueFull
	case s.token != nil && c.links[0].last+1 >= s.token.E2:
		return nil, ErrTokenExpired
	}
	c.out.add(s)
	return s, nil
}

// prepare checks a message.
func (c *Client) prepare(m Outgoing) (*Sending, error) {
	if limit := c.m.MaxBody(); len(m.Body) > limit {
		return nil, &TooLongError{len(m.Body), limit}
	}
	var g *grant
	switch {
	case m.Token != nil && m.Pass != nil:
		return nil, fmt.Errorf("%w: a message goes with a token or with a pass, not both", ErrConfig)
	case m.Token != nil:
		g = &m.Token.grant
	case m.Pass != nil:
		g = &m.Pass.grant
	}
	to := m.To
	s := &Sending{c: c, onToken: m.Token != nil, priority: m.Priority, done: make(chan struct{})}
	if g != nil {
		t := g.t
		s.token = &t
		switch {
		case g.cluster != c.m.fingerprint():
			return nil, fmt.Errorf("%w: the token", ErrWrongCluster)
		case to != (Address{}) && to != g.Recipient():
			return nil, fmt.Errorf("%w: it is for another recipient", ErrBadToken)
		case t.Sender != c.id.id:
			return nil, fmt.Errorf("%w: it was issued to another sender", ErrBadToken)
		}
		to = g.Recipient()
	}
	if err := c.m.owns(to); err != nil {
		return nil, err
	}
	p := c.g.Params()
	if s.onToken && p.Token.Out == 0 || !s.onToken && p.ID.Out == 0 {
		return nil, ErrChannelOff
	}
	s.recipient = to.ID
	s.body = append([]byte{}, m.Body...)
	return s, nil
}

// Done is closed when the final result is known.
func (s *Sending) Done() <-chan struct{} { return s.done }

// Wait waits for the final result.
func (s *Sending) Wait(ctx context.Context) (Receipt, error) {
	select {
	case <-s.done:
		return s.receipt, s.err
	case <-ctx.Done():
		return Receipt{}, ctx.Err()
	}
}

// Cancel takes a message back. It returns true if the message was not submitted,
// or not taken, and never will be; false if it was taken, failed, or is
// submitted now: if that epoch does not take it, it is not submitted again.
func (s *Sending) Cancel() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.finished {
		return errors.Is(s.err, context.Canceled)
	}
	s.cancelled = true
	if s.epoch != 0 {
		return false
	}
	s.c.out.remove(s)
	s.finish(Receipt{}, context.Canceled)
	return true
}

// finish settles a message. The caller holds c.mu.
func (s *Sending) finish(r Receipt, err error) {
	if s.finished {
		return
	}
	s.finished, s.receipt, s.err = true, r, err
	s.body = nil
	close(s.done)
}
