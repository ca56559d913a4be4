package client

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/manifest"
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
	each(t, nil, func(t *testing.T, f *fake) {
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
		if got := x.submission.ResultsThrough(); got != 5 {
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
	})
}

// TestResubmission: in a new session an epoch's content is sent again, the
// same, under a new sequence number; no epoch is sealed for backwards.
func TestResubmission(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
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
	})
}

// TestForgotten: after a long absence there is no result for what was
// submitted before, so the message is neither taken nor sent again.
func TestForgotten(t *testing.T) {
	each(t, func(p *manifest.Parameters) { p.DeliveryEpochs = 4 }, func(t *testing.T, f *fake) {
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
	})
}

func TestCancel(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
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
	})
}

// TestOnePerRecipient: no submission holds two messages that would count as one.
func TestOnePerRecipient(t *testing.T) {
	each(t, func(p *manifest.Parameters) { p.IDChannel.Out, p.TokenChannel.Out = 3, 3 }, func(t *testing.T, f *fake) {
		c := f.start(nil)
		for i, to := range []uint32{1, 1, 2, 1, 3, 2} {
			queue(t, c, text(c, to, string('a'+rune(i))))
		}
		for epoch, want := range [][]string{{"a", "c", "e"}, {"b", "f", ""}, {"d", "", ""}} {
			if got := f.messages(f.ask(1, uint64(epoch+1)))[:3]; !slices.Equal(got, want) {
				t.Errorf("epoch %d: %q, want %q", epoch+1, got, want)
			}
		}
	})
}
