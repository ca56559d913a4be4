package client

import (
	"bytes"
	"errors"
	"testing"

	"github.com/teems-go/teems/internal/cell"
)

// TestAcknowledge: what an epoch's control cell acknowledges is what had arrived
// when the epoch before was opened; while the inbox does not have that, there is
// no answer. Repeats are dropped.
func TestAcknowledge(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
		inbox := &gated{MemoryInbox: NewMemoryInbox(), pass: make(chan error)}
		c := f.start(func(cfg *Config) { cfg.Inbox = inbox })
		wantAck := func(got *fakeCell, open, want uint64) {
			t.Helper()
			x, head := got.control, f.head(want)
			if want == 0 {
				head = [32]byte{}
			}
			if got.epoch != open || x.AckEpoch() != want || !bytes.Equal(x.AckHead(), head[:]) {
				t.Errorf("the cell for epoch %d acknowledges %d, want %d for %d", got.epoch, x.AckEpoch(), want, open)
			}
		}
		acks := func(open, want uint64) {
			t.Helper()
			wantAck(f.ask(2, open), open, want)
		}
		received := func(epoch uint64) {
			t.Helper()
			must(t, c.wait(within(t), func() (bool, error) { return c.in.received >= epoch, nil }))
		}
		acks(1, 0)
		f.deliver(1, func(d cell.Delivery) {
			f.put(d, 0, 5, "a contact's")
			f.put(d, 2, 6, "a stranger's")
			f.put(d, f.m.g.TokenCell()+3, 7, "a token's")
			f.put(d, 1, 7, "broken")
			d.Cell(f.m.g.DeliveryCell(1), f.m.g.DeliveryCellBytes()).Body()[0] = 9
		})
		wantAck(f.take(2), 2, 0)                                          // though it has arrived
		f.deliver(2, func(d cell.Delivery) { d.SetFlags(cell.FlagVoid) }) // 1 is due, and not kept
		f.quiet()
		inbox.pass <- errors.New("disk full")
		f.quiet()
		inbox.pass <- nil
		wantAck(f.take(2), 3, 1)
		f.deliver(1, nil)
		inbox.pass <- nil
		f.quiet()
		f.deliver(3, nil)
		wantAck(f.take(2), 4, 2)
		inbox.pass <- nil
		f.deliver(4, nil)
		wantAck(f.take(2), 5, 3)
		inbox.pass <- nil
		f.cut(2)
		acks(5, 3) // the same again
		acks(6, 4) // announced while 5 is routed
		acks(7, 4)
		f.deliver(5, func(d cell.Delivery) { d.SetAckedThrough(2) })
		must(t, c.WaitAcknowledged(within(t), 2))
		received(5)
		inbox.pass <- nil

		want := []Message{
			{Epoch: 1, Cell: 0, From: f.m.Address(5), Channel: IDChannel, Contact: true, Body: []byte("a contact's")},
			{Epoch: 1, Cell: 2, From: f.m.Address(6), Channel: IDChannel, Body: []byte("a stranger's")},
			{Epoch: 1, Cell: f.m.g.TokenCell() + 3, From: f.m.Address(7), Channel: TokenChannel, Slot: 3, Body: []byte("a token's")},
		}
		for _, w := range want {
			m, err := c.Receive(within(t))
			must(t, err)
			if !bytes.Equal(m.Body, w.Body) || m.From != w.From || m.Epoch != w.Epoch || m.Cell != w.Cell ||
				m.Channel != w.Channel || m.Contact != w.Contact || m.Slot != w.Slot {
				t.Errorf("received %+v, want %+v", m, w)
			}
		}
		if s := c.Status(); s.Malformed != 1 || s.Missed != 0 {
			t.Errorf("%+v", s)
		}
		c.Close()
		_, err := c.Receive(within(t))
		wantErr(t, err, ErrClosed)
	})
}

// gated waits for the test at every Put.
type gated struct {
	*MemoryInbox
	pass chan error
}

func (b *gated) Put(d Delivery) error {
	if err := <-b.pass; err != nil {
		return err
	}
	return b.MemoryInbox.Put(d)
}

// TestKeptBefore: what an earlier run kept and did not acknowledge is dropped
// when it comes again, and acknowledged.
func TestKeptBefore(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
		inbox := NewMemoryInbox()
		must(t, inbox.Put(Delivery{Epoch: 4}))
		c := f.start(func(cfg *Config) { cfg.Inbox = inbox })
		f.ask(2, 6)
		for epoch := uint64(3); epoch <= 5; epoch++ {
			f.deliver(epoch, func(d cell.Delivery) { f.put(d, 0, 1, string('0'+rune(epoch))) })
			if epoch == 4 {
				if x := f.ask(2, 7).control; x.AckEpoch() != 0 {
					t.Errorf("acknowledges %d", x.AckEpoch())
				}
			}
		}
		if x := f.ask(2, 8).control; x.AckEpoch() != 4 {
			t.Errorf("acknowledges %d", x.AckEpoch())
		}
		m, err := c.Receive(within(t))
		if err != nil || string(m.Body) != "5" {
			t.Errorf("%q %v", m.Body, err)
		}
	})
}

// TestGap: an epoch that the gateway leaves out is asked for by connecting
// again; only when that does not help it counts as missed.
func TestGap(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
		c := f.start(nil)
		f.ask(2, 9)
		f.deliver(1, nil)
		f.deliver(3, nil)
		f.gone(2)
		f.ask(2, 9)
		f.deliver(2, nil)
		f.deliver(3, nil)
		must(t, c.wait(within(t), func() (bool, error) { return c.in.received == 3, nil }))
		for range gapAttempts {
			f.deliver(6, nil)
			f.gone(2)
			f.ask(2, 9)
		}
		f.deliver(6, nil)
		must(t, c.wait(within(t), func() (bool, error) { return c.in.stored == 6, nil }))
		if s := c.Status(); s.Missed != 2 {
			t.Errorf("%+v", s)
		}
	})
}
