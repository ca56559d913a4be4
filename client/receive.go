package client

import (
	"github.com/teems-go/teems/internal/cell"
)

// incoming is what this client receives. Guarded by Client.mu.
type incoming struct {
	received     uint64     // newest epoch delivered; 0: not known
	stored       uint64     // newest epoch that the inbox has
	arrived      EpochHead  // newest delivery that has arrived in this run
	due          EpochHead  // what arrived had been when an epoch was opened last: what the next one acknowledges
	acknowledged uint64     // the server has this client's acknowledgement up to here
	waiting      []Delivery // the inbox does not have them yet
	missed       uint64
	malformed    uint64
	err          error // of the inbox
}

// arrives notes the head of a delivery that came, for the first time or again.
func (in *incoming) arrives(h EpochHead) {
	if h.Epoch > in.arrived.Epoch {
		in.arrived = h
	}
}

// acknowledge returns what the control cell of a newly opened epoch
// acknowledges: what had arrived when the epoch before was opened, no more and no
// less. So it says when deliveries came, which whoever delivered them knows, and
// not how long the inbox took. It is called once an epoch. The caller holds mu.
func (in *incoming) acknowledge() EpochHead {
	ack := in.due
	in.due = in.arrived
	return ack
}

// untilKept waits until the inbox has everything up to an epoch.
func (c *Client) untilKept(epoch uint64) error {
	return c.wait(c.ctx, func() (bool, error) { return c.in.stored >= epoch, nil })
}

// control fills an epoch's control cell, which is all zero. The caller holds mu.
func (c *Client) control(epoch uint64, ack EpochHead, out cell.Control) {
	if ack.Epoch != 0 {
		out.SetAckEpoch(ack.Epoch)
		copy(out.AckHead(), ack.Hash[:])
	}
	c.asking.write(c, epoch, out)
}

// delivery takes the mailbox of an epoch, and what was read out of it. The caller
// holds mu.
func (c *Client) delivery(opened Delivery, d cell.Delivery) {
	c.in.received = opened.Epoch
	c.in.acknowledged = max(c.in.acknowledged, d.AckedThrough())
	c.in.missed += opened.Missed
	c.in.malformed += uint64(opened.Malformed)
	c.in.waiting = append(c.in.waiting, opened)
	c.asking.answered(c, d)
	select {
	case c.jobs <- struct{}{}:
	default:
	}
}

// open reads the messages out of a delivery.
func (c *Client) open(d cell.Delivery) Delivery {
	g, p := c.g, c.g.Params()
	out := Delivery{Epoch: d.Epoch()}
	if d.Flags()&cell.FlagVoid != 0 {
		return out
	}
	for i := range g.Ins() {
		box := d.Cell(g.DeliveryCell(i), g.DeliveryCellBytes())
		if box.Kind() != cell.Real {
			continue
		}
		body, ok := getBody(box.Body())
		if !ok {
			out.Malformed++
			continue
		}
		m := Message{Epoch: out.Epoch, Cell: i, From: c.m.Address(box.Sender()), Channel: IDChannel, Body: body}
		switch {
		case i >= g.TokenCell():
			m.Channel, m.Slot = TokenChannel, i-g.TokenCell()
		case i < p.ID.Contact:
			m.Contact = true
		}
		out.Messages = append(out.Messages, m)
	}
	return out
}

// keepInbox gives deliveries to the inbox, one after the other.
func (c *Client) keepInbox() {
	backoff := c.cfg.BackoffMin
	for {
		c.mu.Lock()
		var next *Delivery
		if len(c.in.waiting) > 0 {
			next = &c.in.waiting[0]
		}
		c.mu.Unlock()
		if next == nil {
			select {
			case <-c.jobs:
				continue
			case <-c.ctx.Done():
				return
			}
		}
		if c.ctx.Err() != nil {
			return // it comes again to whoever connects next
		}
		err := c.cfg.Inbox.Put(*next)
		c.kept(next, err)
		if err == nil {
			backoff = c.cfg.BackoffMin
			continue
		}
		c.cfg.Log.Error("the inbox failed; trying again", "error", err.Error())
		sleep(c.ctx, c.cfg.Clock, backoff)
		backoff = min(2*backoff, c.cfg.BackoffMax)
	}
}

func (c *Client) kept(d *Delivery, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.err = err
	if err == nil {
		c.in.stored = d.Epoch
		c.in.waiting[0] = Delivery{}
		c.in.waiting = c.in.waiting[1:]
	}
	c.broadcast()
}
