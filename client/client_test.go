package client

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/wire"
)

func text(c *Client, id uint32, s string) Outgoing {
	return Outgoing{To: c.m.Address(id), Body: []byte(s)}
}

func queue(t *testing.T, c *Client, m Outgoing) *Sending {
	t.Helper()
	s, err := c.Queue(m)
	must(t, err)
	return s
}

// pending checks that no result is known.
func pending(t *testing.T, s *Sending) {
	t.Helper()
	select {
	case <-s.Done():
		t.Errorf("settled with %v, %v", s.receipt, s.err)
	default:
	}
}

// TestRetry: a message goes again only after a result says that it was not
// taken, and is done when one says that it was.
func TestRetry(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	c := f.start(nil)
	s := queue(t, c, text(c, 1, "hello"))
	goes := func(epoch uint64, want string) *fakeCell {
		t.Helper()
		x := f.ask(1, epoch)
		if got := f.messages(x)[0]; got != want {
			t.Errorf("epoch %d carries %q, want %q", epoch, got, want)
		}
		return x
	}
	final := func(epoch uint64) {
		t.Helper()
		must(t, c.wait(within(t), func() (bool, error) { return c.out.through >= epoch, nil }))
	}
	goes(1, "hello")
	goes(2, "") // announced while 1 is routed: its result is not known yet
	f.result(1, nil, 0)
	final(1)
	f.quiet() // that 2 is open is not new
	pending(t, s)
	x := goes(3, "hello")
	f.result(2, nil, 0)
	f.quiet()
	f.result(3, x, cell.FlagVoid)
	final(3)
	pending(t, s)
	if x := f.take(1); x.epoch != 4 || f.messages(x)[0] != "hello" {
		t.Errorf("the result of epoch 3 is answered for epoch %d with %q", x.epoch, f.messages(x))
	}
	f.result(4, &fakeCell{tag: [cell.TagBytes]byte{1}}, 0, cell.StatusTaken) // somebody else's submission
	final(4)
	pending(t, s)
	x = goes(5, "hello")
	f.result(5, x, 0, cell.StatusTaken)
	if r, err := s.Wait(within(t)); err != nil || r.Epoch != 5 {
		t.Errorf("%v %v", r, err)
	}
	x = goes(6, "")
	if got := cell.Submission(x.plain).ResultsThrough(); got != 5 {
		t.Errorf("results through %d", got)
	}

	for status, want := range map[uint8]error{
		cell.StatusNoRecipient: ErrUnknownRecipient, cell.StatusBadToken: ErrBadToken,
		cell.StatusWindow: ErrTokenExpired, cell.StatusRepeated: ErrTokenUsed, cell.StatusNothing: ErrOutcomeUnknown,
	} {
		epoch := c.Status().Open
		s := queue(t, c, text(c, 1, "status"))
		f.result(epoch, nil, 0)
		x := goes(epoch+1, "status")
		f.result(epoch+1, x, 0, status)
		_, err := s.Wait(within(t))
		wantErr(t, err, want)
		goes(epoch+2, "")
	}
}

// TestResubmission: in a new session an epoch's content is sent again, the
// same, under a new sequence number; no epoch is sealed for backwards.
func TestResubmission(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	c := f.start(nil)
	s := queue(t, c, text(c, 1, "one"))
	first := f.ask(1, 7)
	queue(t, c, text(c, 1, "two"))
	f.announce(1, 7) // again in the same session
	f.result(6, nil, 0)
	f.quiet()
	f.cut(1)
	second := f.ask(1, 7)
	if !bytes.Equal(first.plain, second.plain) || second.sequence <= first.sequence || second.tag == first.tag {
		t.Errorf("sequence %d then %d, same plaintext %v", first.sequence, second.sequence, bytes.Equal(first.plain, second.plain))
	}
	f.cut(1)
	f.boot++ // a server that restarted, and is behind
	f.announce(1, 6)
	f.quiet()
	third := f.ask(1, 7)
	if !bytes.Equal(first.plain, third.plain) || third.sequence <= second.sequence {
		t.Errorf("sequence %d, same plaintext %v", third.sequence, bytes.Equal(first.plain, third.plain))
	}
	f.result(7, second, 0, cell.StatusTaken) // any of them may be the one
	if _, err := s.Wait(within(t)); err != nil {
		t.Error(err)
	}
	if got := f.messages(f.ask(1, 8)); got[0] != "two" {
		t.Errorf("then %q", got)
	}
}

// TestHeads: a client stops when the past changes.
func TestHeads(t *testing.T) {
	for name, x := range map[string]struct {
		do   func(f *fake)
		want error
	}{
		"two heads":      {func(f *fake) { f.fork = 1; f.announce(2, 9) }, ErrFork},
		"another result": {func(f *fake) { f.fork = 1; f.result(7, nil, 0) }, ErrFork},
		"set back":       {func(f *fake) { f.deliver(9, nil); f.announce(2, 8) }, ErrRolledBack},
	} {
		f := newFake(t, testManifest(t, nil))
		c := f.start(nil)
		f.ask(1, 9)
		x.do(f)
		select {
		case <-c.Done():
		case <-within(t).Done():
			t.Fatalf("%s: it goes on", name)
		}
		wantErr(t, c.Err(), x.want)
		_, err := c.Send(within(t), text(c, 1, "x"))
		wantErr(t, err, x.want)
	}
	f := newFake(t, testManifest(t, nil))
	c := f.start(func(cfg *Config) { cfg.Head = &Head{Epoch: 100} })
	f.announce(1, 50)
	<-c.Done()
	wantErr(t, c.Err(), ErrRolledBack)
}

// TestSlowLink: what is late on one link is not a cluster that was set back,
// though the other link is ahead by epochs; in a new connection it is.
func TestSlowLink(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	c := f.start(nil)
	f.ask(1, 7)
	f.ask(2, 7)
	for epoch := uint64(7); epoch <= 12; epoch++ {
		f.deliver(epoch, nil)
	}
	must(t, c.wait(within(t), func() (bool, error) { return c.in.received == 12, nil }))
	f.ask(1, 8)
	f.cut(1)
	f.announce(1, 9)
	<-c.Done()
	wantErr(t, c.Err(), ErrRolledBack)
}

// TestAcknowledge: what an epoch's control cell acknowledges is what had arrived
// when the epoch before was opened; while the inbox does not have that, there is
// no answer. Repeats are dropped.
func TestAcknowledge(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	inbox := &gated{MemoryInbox: NewMemoryInbox(), pass: make(chan error)}
	c := f.start(func(cfg *Config) { cfg.Inbox = inbox })
	wantAck := func(got *fakeCell, open, want uint64) {
		t.Helper()
		x, head := cell.Control(got.plain), f.head(want)
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
	f := newFake(t, testManifest(t, nil))
	inbox := NewMemoryInbox()
	must(t, inbox.Put(Delivery{Epoch: 4}))
	c := f.start(func(cfg *Config) { cfg.Inbox = inbox })
	f.ask(2, 6)
	for epoch := uint64(3); epoch <= 5; epoch++ {
		f.deliver(epoch, func(d cell.Delivery) { f.put(d, 0, 1, string('0'+rune(epoch))) })
		if epoch == 4 {
			if x := cell.Control(f.ask(2, 7).plain); x.AckEpoch() != 0 {
				t.Errorf("acknowledges %d", x.AckEpoch())
			}
		}
	}
	if x := cell.Control(f.ask(2, 8).plain); x.AckEpoch() != 4 {
		t.Errorf("acknowledges %d", x.AckEpoch())
	}
	m, err := c.Receive(within(t))
	if err != nil || string(m.Body) != "5" {
		t.Errorf("%q %v", m.Body, err)
	}
}

// TestGap: an epoch that the gateway leaves out is asked for by connecting
// again; only when that does not help it counts as missed.
func TestGap(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	c := f.start(nil)
	gone := func(role uint8) {
		t.Helper()
		e := f.end(role)
		for f.end(role) == e {
			if _, err := e.conn.Write(nil); err != nil {
				f.cut(role)
				return
			}
		}
	}
	f.ask(2, 9)
	f.deliver(1, nil)
	f.deliver(3, nil)
	gone(2)
	f.ask(2, 9)
	f.deliver(2, nil)
	f.deliver(3, nil)
	must(t, c.wait(within(t), func() (bool, error) { return c.in.received == 3, nil }))
	for range gapAttempts {
		f.deliver(6, nil)
		gone(2)
		f.ask(2, 9)
	}
	f.deliver(6, nil)
	must(t, c.wait(within(t), func() (bool, error) { return c.in.stored == 6, nil }))
	if s := c.Status(); s.Missed != 2 {
		t.Errorf("%+v", s)
	}
}

// TestForgotten: after a long absence there is no result for what was
// submitted before, so the message is neither taken nor sent again.
func TestForgotten(t *testing.T) {
	f := newFake(t, testManifest(t, func(p *manifest.Parameters) { p.DeliveryEpochs = 4 }))
	c := f.start(nil)
	x := f.ask(1, 1)
	s := queue(t, c, text(c, 1, "lost"))
	f.result(1, x, 0) // opens 2, so the client may answer at once
	f.ask(1, 2)
	f.cut(1)
	f.ask(1, 40)
	f.result(36, nil, 0)
	_, err := s.Wait(within(t))
	wantErr(t, err, ErrOutcomeUnknown)
	if got := f.messages(f.ask(1, 41)); got[0] != "" {
		t.Errorf("sent again: %q", got)
	}
}

func TestCancel(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	c := f.start(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Send(ctx, text(c, 1, "never"))
	wantErr(t, err, context.Canceled)
	s := queue(t, c, text(c, 1, "once"))
	f.ask(1, 1)
	if s.Cancel() {
		t.Error("a submitted message was taken back")
	}
	f.result(1, nil, 0)
	_, err = s.Wait(within(t))
	wantErr(t, err, context.Canceled)
	if got := f.messages(f.ask(1, 2)); got[0] != "" {
		t.Errorf("sent again: %q", got)
	}
	s = queue(t, c, text(c, 1, "flying"))
	f.result(2, nil, 0)
	f.ask(1, 3)
	c.Close()
	_, err = s.Wait(within(t))
	wantErr(t, err, ErrOutcomeUnknown)
	wantErr(t, err, ErrClosed)
}

// TestOnePerRecipient: no submission holds two messages that would count as one.
func TestOnePerRecipient(t *testing.T) {
	f := newFake(t, testManifest(t, func(p *manifest.Parameters) { p.IDChannel.Out, p.TokenChannel.Out = 3, 3 }))
	c := f.start(nil)
	for i, to := range []uint32{1, 1, 2, 1, 3, 2} {
		queue(t, c, text(c, to, string('a'+rune(i))))
	}
	for epoch, want := range [][]string{{"a", "c", "e"}, {"b", "f", ""}, {"d", "", ""}} {
		if got := f.messages(f.ask(1, uint64(epoch+1)))[:3]; !slices.Equal(got, want) {
			t.Errorf("epoch %d: %q, want %q", epoch+1, got, want)
		}
	}
}

// TestBadGateway: nonsense ends the connection and nothing else.
func TestBadGateway(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	c := f.start(nil)
	f.ask(1, 1)
	s := queue(t, c, text(c, 1, "through"))
	for name, frame := range map[string][]byte{
		"noise":         []byte("not a frame at all"),
		"long":          wire.Begin(nil, wire.TypeCellDown, 1<<30),
		"client's type": (&wire.Attach{}).Append(nil),
		"wrong server":  (&wire.Attached{Server: 77}).Append(nil),
		"changed cell":  (&wire.CellDown{Type: cell.TypeResult, Epoch: 1, Sealed: make([]byte, f.m.g.ResultBytes()+16)}).Append(nil),
		"wrong link":    (&wire.CellDown{Type: cell.TypeDelivery, Epoch: 1, Sealed: make([]byte, 16)}).Append(nil),
		"refused":       (&wire.Refused{Code: wire.CodeNotOpen}).Append(nil),
		"unknown":       (&wire.Refused{Code: wire.CodeUnknownClient}).Append(nil),
	} {
		e := f.end(1)
		e.conn.Write(frame)
		for {
			if _, err := e.conn.Write(make([]byte, 4096)); err != nil {
				break
			}
		}
		f.cut(1)
		if x := f.ask(1, 1); x.epoch != 1 {
			t.Errorf("%s: %v", name, x)
		}
	}
	for _, code := range []wire.Code{wire.CodeWrongEpoch, wire.CodeAlready, wire.CodeBusy, wire.CodeSequence} {
		f.end(1).conn.Write((&wire.Refused{Code: code, Epoch: 1}).Append(nil))
	}
	f.result(1, nil, 0)
	x := f.ask(1, 2)
	f.result(2, x, 0, cell.StatusTaken)
	if _, err := s.Wait(within(t)); err != nil {
		t.Error(err)
	}
}
