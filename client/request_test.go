package client

import (
	"errors"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/manifest"
)

// asked is a request that a test waits for.
type asked struct {
	token *Token
	pass  *Pass
	err   error
	done  chan struct{}
}

func (a *asked) settled() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// askToken asks in the background and returns once the request waits.
func askToken(t *testing.T, c *Client, q TokenRequest) *asked {
	t.Helper()
	a := &asked{done: make(chan struct{})}
	return a.start(t, c, func() { a.token, a.err = c.RequestToken(within(t), q) })
}

func (a *asked) start(t *testing.T, c *Client, f func()) *asked {
	t.Helper()
	c.mu.Lock()
	before := len(c.asking.waiting)
	c.mu.Unlock()
	go func() { f(); close(a.done) }()
	for ctx := within(t); ctx.Err() == nil && !a.settled(); {
		c.mu.Lock()
		n := len(c.asking.waiting)
		c.mu.Unlock()
		if n > before {
			break
		}
	}
	return a
}

// answering fills a delivery with answers to the requests of a control cell; a
// status of AnswerNone says nothing of the request.
func (f *fake) answering(control *fakeCell, flags uint16, status ...uint8) func(cell.Delivery) {
	return func(d cell.Delivery) {
		d.SetFlags(flags)
		for i, s := range status {
			q := f.request(control, i)
			if s == cell.AnswerNone {
				continue
			}
			a := d.Answer(f.m.g.DeliveryAnswer(i))
			a.SetStatus(s)
			a.SetKind(q.Kind())
			a.SetSlot(q.Slot())
			a.SetSender(q.Sender())
			a.SetCeiling(q.Ceiling())
			a.SetE1(q.E1())
			a.SetE2(q.E2())
			a.MAC()[0] = 7
		}
	}
}

// answer delivers the epoch of a control cell with answers to its requests.
func (f *fake) answer(control *fakeCell, flags uint16, status ...uint8) {
	f.t.Helper()
	f.deliver(control.epoch, f.answering(control, flags, status...))
}

func (f *fake) request(c *fakeCell, i int) cell.Request {
	return c.control.Request(f.m.g.ControlRequest(i))
}

// TestRequests: a request goes again until a delivery answers it, to another
// slot if its own was given away, and epochs are chosen anew each time.
func TestRequests(t *testing.T) {
	each(t, func(p *manifest.Parameters) { p.TokenChannel.In = 2 }, func(t *testing.T, f *fake) {
		c := f.start(nil)
		x := f.ask(2, 1)
		a := askToken(t, c, TokenRequest{For: f.m.Address(5), Epochs: 10})
		f.answer(x, 0)
		received := func(epoch uint64) {
			t.Helper()
			must(t, c.wait(within(t), func() (bool, error) { return c.in.received >= epoch, nil }))
		}
		goes := func(epoch uint64) *fakeCell {
			t.Helper()
			x := f.ask(2, epoch)
			if q := f.request(x, 0); q.Kind() != cell.KindToken || q.Sender() != 5 || q.E1() != epoch+startMargin || q.E2() != q.E1()+10 {
				t.Errorf("epoch %d asks for kind %d, sender %d, epochs %d to %d", epoch, q.Kind(), q.Sender(), q.E1(), q.E2())
			}
			return x
		}
		x = goes(2)
		slot := f.request(x, 0).Slot()
		f.answer(x, cell.FlagVoid, cell.AnswerIssued)
		received(2)
		x = goes(3)
		f.answer(x, 0, cell.AnswerNone) // the control cell came too late
		received(3)
		x = goes(4)
		if f.request(x, 0).Slot() != slot {
			t.Error("another slot, though nothing was given away")
		}
		f.answer(x, 0, cell.AnswerOverlap)
		received(4)
		x = goes(5)
		if f.request(x, 0).Slot() == slot || a.settled() {
			t.Error("a slot that was given away is asked for again")
		}
		f.answer(x, 0, cell.AnswerIssued)
		if <-a.done; a.err != nil || a.token.Slot() == int(slot) || a.token.First() != 8 || a.token.Recipient() != c.Address() || a.token.t.MAC[0] != 7 {
			t.Errorf("%v %v", a.token, a.err)
		}

		// Both slots are given away, as far as this client knows.
		x = f.take(2)
		a = askToken(t, c, TokenRequest{For: f.m.Address(5), Epochs: 10})
		f.answer(x, 0)
		x = goes(7)
		f.answer(x, 0, cell.AnswerOverlap)
		var slots *SlotsError
		if <-a.done; !errors.As(a.err, &slots) || !errors.Is(a.err, ErrNoSlot) || slots.Free <= 9 {
			t.Errorf("%v", a.err)
		}
	})
}

// TestRefusedRequests: what cannot be is said, and nothing else waits for it.
func TestRefusedRequests(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
		c := f.start(nil)
		x := f.ask(2, 1)
		late := askToken(t, c, TokenRequest{For: f.m.Address(5), Start: 3})
		far := askToken(t, c, TokenRequest{For: f.m.Address(5), Start: 10_000})
		window := askToken(t, c, TokenRequest{For: f.m.Address(5)})
		bad := askToken(t, c, TokenRequest{For: f.m.Address(6)})
		pass := &asked{done: make(chan struct{})}
		pass.start(t, c, func() {
			pass.pass, pass.err = c.RequestPass(within(t), PassRequest{For: f.m.Address(7), Ceiling: 9, Epochs: 1})
		})
		f.answer(x, 0)
		f.answer(f.ask(2, 2), 0, cell.AnswerWindow, cell.AnswerBadRequest, cell.AnswerIssued)
		for _, a := range []*asked{late, far, window, bad, pass} {
			<-a.done
		}
		wantErr(t, late.err, ErrTokenWindow)
		wantErr(t, far.err, ErrTokenWindow)
		wantErr(t, window.err, ErrTokenWindow)
		wantErr(t, bad.err, ErrTokenRefused)
		if pass.err != nil || pass.pass.Ceiling() != 9 || pass.pass.End() != pass.pass.First()+1 {
			t.Errorf("%v %v", pass.pass, pass.err)
		}
		for name, q := range map[string]TokenRequest{
			"too many epochs": {For: f.m.Address(5), Epochs: 257},
			"nobody":          {For: f.m.Address(99)},
			"elsewhere":       {For: Address{ID: 5}},
		} {
			if _, err := c.RequestToken(t.Context(), q); !errors.Is(err, ErrTokenWindow) && !errors.Is(err, ErrUnknownRecipient) && !errors.Is(err, ErrWrongCluster) {
				t.Errorf("%s: %v", name, err)
			}
		}
		waits := askToken(t, c, TokenRequest{For: f.m.Address(5)})
		c.Close()
		<-waits.done
		wantErr(t, waits.err, ErrClosed)
	})
}
