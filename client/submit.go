package client

import (
	"context"
	"fmt"
	"slices"

	"github.com/teems-go/teems/internal/cell"
)

// outbox is what this client sends. Guarded by Client.mu.
type outbox struct {
	queues  [2][]*Sending // ID channel, token channel; messages that wait
	flying  map[uint64]*submitted
	through uint64 // newest epoch whose result came; 0: none has
}

// submitted is what was submitted for an epoch and has no result yet.
type submitted struct {
	tags  [][cell.TagBytes]byte // of all sealings of the same content
	cells []*Sending            // by message cell; nil for a dummy
}

func (o *outbox) init() { o.flying = map[uint64]*submitted{} }

func (o *outbox) queue(s *Sending) *[]*Sending {
	if s.onToken {
		return &o.queues[1]
	}
	return &o.queues[0]
}

func (o *outbox) add(s *Sending) {
	q := o.queue(s)
	*q = append(*q, s)
}

func (o *outbox) remove(s *Sending) {
	q := o.queue(s)
	if i := slices.Index(*q, s); i >= 0 {
		*q = slices.Delete(*q, i, i+1)
	}
}

func (o *outbox) queued() int { return len(o.queues[0]) + len(o.queues[1]) }

// fail settles everything.
func (o *outbox) fail(err error) {
	for i, q := range o.queues {
		for _, s := range q {
			s.finish(Receipt{}, err)
		}
		o.queues[i] = nil
	}
	for epoch, sub := range o.flying {
		sub.lost(err)
		delete(o.flying, epoch)
	}
}

// lost settles messages of which no result can come.
func (sub *submitted) lost(err error) {
	for _, s := range sub.cells {
		if s != nil {
			s.finish(Receipt{}, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err))
		}
	}
}

// submission fills an epoch's submission, which is all zero, with what waits. It
// is called once an epoch. The caller holds mu.
func (c *Client) submission(epoch uint64, out cell.Submission) {
	g, p := c.g, c.g.Params()
	sub := &submitted{cells: make([]*Sending, g.Outs())}
	c.out.flying[epoch] = sub
	out.SetResultsThrough(c.out.through)
	c.out.pick(0, epoch, sub.cells[:p.ID.Out])
	c.out.pick(1, epoch, sub.cells[p.ID.Out:])
	for i, s := range sub.cells {
		if s != nil {
			s.write(out.Message(g.SubmissionCell(i), g.MessageBytes()))
		}
	}
}

// pick fills cells with the first messages of a queue that can go in an epoch,
// and settles those whose token has expired.
func (o *outbox) pick(queue int, epoch uint64, cells []*Sending) {
	n := 0
	taken := func(s *Sending) bool {
		for _, x := range cells[:n] {
			if x.recipient == s.recipient && (!s.onToken || x.token.Slot == s.token.Slot) {
				return true
			}
		}
		return false
	}
	o.queues[queue] = slices.DeleteFunc(o.queues[queue], func(s *Sending) bool {
		if s.token != nil && epoch >= s.token.E2 {
			s.finish(Receipt{}, ErrTokenExpired)
			return true
		}
		if n == len(cells) || s.token != nil && epoch < s.token.E1 || taken(s) {
			return false
		}
		s.epoch = epoch
		cells[n] = s
		n++
		return true
	})
}

// write writes a message into its cell, which is all zero.
func (s *Sending) write(m cell.Message) {
	m.SetKind(cell.Real)
	if s.token != nil {
		m.SetToken(s.token)
	}
	m.SetRecipient(s.recipient)
	if !s.onToken {
		m.SetPriority(s.priority)
	}
	putBody(m.Body(), s.body)
}

// sealed notes the tag by which a result will name the submission: that of the
// cell that holds it.
func (c *Client) sealed(epoch uint64, sealed []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if sub := c.out.flying[epoch]; sub != nil {
		sub.tags = append(sub.tags, cell.Tag(sealed))
	}
}

// result settles what was submitted for an epoch. The caller holds mu.
func (c *Client) result(epoch uint64, r cell.Result) {
	c.out.through = epoch
	for e, sub := range c.out.flying {
		if e < epoch { // its result was forgotten
			sub.lost(fmt.Errorf("epoch %d was over for too long when this client connected again", e))
			delete(c.out.flying, e)
		}
	}
	if sub := c.out.flying[epoch]; sub != nil {
		delete(c.out.flying, epoch)
		accepted := r.Flags()&cell.FlagAccepted != 0 && r.Flags()&cell.FlagVoid == 0 &&
			slices.Contains(sub.tags, [cell.TagBytes]byte(r.AcceptedTag()))
		c.settle(sub, epoch, accepted, r)
	}
}

// settle finishes messages that were taken or refused, and puts those that were
// not accepted back to the front of their queues, in order.
func (c *Client) settle(sub *submitted, epoch uint64, accepted bool, r cell.Result) {
	for i := len(sub.cells) - 1; i >= 0; i-- {
		s := sub.cells[i]
		if s == nil {
			continue
		}
		if accepted {
			s.finish(outcome(epoch, r.Status(c.g.ResultStatus(i))))
			continue
		}
		s.epoch = 0
		if s.cancelled {
			s.finish(Receipt{}, context.Canceled)
			continue
		}
		q := c.out.queue(s)
		*q = slices.Insert(*q, 0, s)
	}
}

// outcome is what the status of an accepted cell means.
func outcome(epoch uint64, status uint8) (Receipt, error) {
	switch status {
	case cell.StatusTaken:
		return Receipt{Epoch: epoch}, nil
	case cell.StatusNoRecipient:
		return Receipt{}, ErrUnknownRecipient
	case cell.StatusBadToken:
		return Receipt{}, ErrBadToken
	case cell.StatusWindow:
		return Receipt{}, ErrTokenExpired
	case cell.StatusRepeated:
		return Receipt{}, ErrTokenUsed
	}
	return Receipt{}, fmt.Errorf("%w: status %d", ErrOutcomeUnknown, status)
}
