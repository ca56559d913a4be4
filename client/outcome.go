package client

import "github.com/teems-go/teems/internal/cell"

// take takes what an epoch brought: its result or its delivery, of which the
// other one is nil, or both out of one cell. Of both it takes neither while
// epochs are missing before one: connecting again brings the cell again, whole,
// and a part that moved on alone would start the count of gaps anew each time.
func (c *Client) take(l *link, epoch uint64, r cell.Result, d cell.Delivery) error {
	var opened Delivery
	if d != nil {
		opened = c.open(d) // without the lock: it takes longer for a message than for a dummy
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var newResult, newDelivery bool
	var err error
	if r != nil {
		if err = c.note(l, epoch, r.Head()); err != nil {
			return err
		}
		if newResult, _, err = c.next(l, c.out.through, epoch); err != nil {
			return err
		}
	}
	if d != nil {
		if err = c.note(l, epoch, d.Head()); err != nil {
			return err
		}
		if newDelivery, opened.Missed, err = c.next(l, c.in.received, epoch); err != nil {
			return err
		}
	}
	if c.failed != nil {
		return c.failed
	}
	if newResult {
		c.result(epoch, r)
	}
	if d != nil {
		c.in.arrives(EpochHead{epoch, [32]byte(d.Head())})
	}
	if newDelivery { // else an earlier run of this client may have kept it and then not said so
		c.delivery(opened, d)
	}
	if newResult || newDelivery {
		l.gaps = 0
		c.broadcast()
	}
	return nil
}

// gapAttempts is how often an epoch that was left out is asked for again.
const gapAttempts = 3

// next says what to do with the result or delivery of an epoch, when last is
// the newest one that came (0: none is known of): take it, with so many epochs
// missed, or drop it as one that came before. Results and deliveries come in
// order, so a gap that the servers cannot have made is somebody's on the way:
// connecting again brings what is missing. The caller holds mu.
func (c *Client) next(l *link, last, epoch uint64) (take bool, missed uint64, err error) {
	switch {
	case epoch <= last:
		return false, 0, nil
	case last == 0 || epoch == last+1:
		return true, 0, nil
	}
	open := epoch
	for _, x := range c.links {
		open = max(open, x.open)
	}
	forgotten := open-last > uint64(c.g.Params().DeliveryEpochs)
	if !forgotten && l.gaps < gapAttempts {
		return false, 0, errGap
	}
	return true, epoch - last - 1, nil
}
