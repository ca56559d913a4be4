package client

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/manifest"
)

// left waits until the client has left a connection for a reason.
func (f *fake) left(c *Client, role uint8, want error) {
	f.t.Helper()
	f.gone(role)
	must(f.t, c.wait(within(f.t), func() (bool, error) {
		return slices.ContainsFunc(c.links, func(l *link) bool { return l.role&role != 0 && errors.Is(l.err, want) }), nil
	}))
}

// TestStatus: a session tells of the roles that its server has, and of no other.
func TestStatus(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
		var log bytes.Buffer
		c := f.start(func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		f.ask(1, 4)
		if s := c.Status(); !s.Ingestion || s.Storage != f.joint() || s.Open != 4 {
			t.Errorf("%+v", s)
		}
		if !f.joint() {
			f.ask(2, 4)
		}
		must(t, c.Ready(within(t)))
		if s := c.Status(); !s.Ingestion || !s.Storage || s.Problem != nil {
			t.Errorf("%+v", s)
		}
		f.bring(cell.RoleJoint, 4, nil, nil)
		must(t, c.WaitEpoch(within(t), 4))
		c.Close()
		if joint := strings.Contains(log.String(), `role="ingestion and storage"`); joint != f.joint() {
			t.Errorf("the log says\n%s", &log)
		}
	})
}

// TestOneAnswer: what one server brings of an epoch is answered once, with a
// submission and a control cell, and goes again as it was.
func TestOneAnswer(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	c := f.start(nil)
	x := f.ask(3, 1)
	s := queue(t, c, text(c, 1, "hello"))
	a := askToken(t, c, TokenRequest{For: f.m.Address(5)})
	f.bring(cell.RoleJoint, 1, f.settling(x, 0), func(d cell.Delivery) { f.put(d, 0, 5, "one") })
	x = f.take(3)
	if x.epoch != 2 || f.messages(x)[0] != "hello" || f.request(x, 0).Sender() != 5 || x.submission.ResultsThrough() != 1 {
		t.Errorf("for epoch %d: %q, a request for %d, results through %d", x.epoch, f.messages(x), f.request(x, 0).Sender(), x.submission.ResultsThrough())
	}
	f.quiet()
	f.cut(3)
	again := f.ask(3, 2)
	if !bytes.Equal(again.plain, x.plain) || again.sequence <= x.sequence {
		t.Errorf("sequence %d after %d, same plaintext %v", again.sequence, x.sequence, bytes.Equal(again.plain, x.plain))
	}
	f.bring(cell.RoleJoint, 1, f.settling(nil, 0), func(d cell.Delivery) { f.put(d, 0, 5, "one") }) // came before
	f.quiet()
	f.bring(cell.RoleJoint, 2, f.settling(x, 0, cell.StatusTaken), f.answering(x, 0, cell.AnswerIssued))
	if x = f.take(3); x.epoch != 3 || f.messages(x)[0] != "" || f.request(x, 0).Kind() != cell.KindNone || x.control.AckEpoch() != 1 {
		t.Errorf("for epoch %d: %q, a request of kind %d, acknowledges %d", x.epoch, f.messages(x), f.request(x, 0).Kind(), x.control.AckEpoch())
	}
	if r, err := s.Wait(within(t)); err != nil || r.Epoch != 2 {
		t.Error(r, err)
	}
	if <-a.done; a.err != nil {
		t.Error(a.err)
	}
	if m, err := c.Receive(within(t)); err != nil || string(m.Body) != "one" {
		t.Errorf("%q %v", m.Body, err)
	}
	if s := c.Status(); s.Results != 2 || s.Received != 2 || s.Missed != 0 {
		t.Errorf("%+v", s)
	}
}

// TestWrongParts: a cell that authenticates is taken only if it is of the
// session's type and all of its parts are of its epoch and attempt.
func TestWrongParts(t *testing.T) {
	none := func([]byte) {}
	for name, x := range map[string]struct {
		role, typ        uint8 // of the session and what it holds; of the role that the cell's type is for
		result, delivery func([]byte)
	}{
		"result's epoch":           {1, 1, func(r []byte) { cell.Result(r).SetEpoch(2) }, none},
		"result's attempt":         {1, 1, func(r []byte) { cell.Result(r).SetAttempt(1) }, none},
		"delivery's epoch":         {2, 2, none, func(d []byte) { cell.Delivery(d).SetEpoch(2) }},
		"delivery's attempt":       {2, 2, none, func(d []byte) { cell.Delivery(d).SetAttempt(1) }},
		"joint result's epoch":     {3, 3, func(r []byte) { cell.Result(r).SetEpoch(2) }, none},
		"joint result's attempt":   {3, 3, func(r []byte) { cell.Result(r).SetAttempt(1) }, none},
		"joint delivery's epoch":   {3, 3, none, func(d []byte) { cell.Delivery(d).SetEpoch(2) }},
		"joint delivery's attempt": {3, 3, none, func(d []byte) { cell.Delivery(d).SetAttempt(1) }},
		"delivery for ingestion":   {1, 2, none, none},
		"both for ingestion":       {1, 3, none, none},
		"result for storage":       {2, 1, none, none},
		"both for storage":         {2, 3, none, none},
		"result for both":          {3, 1, none, none},
		"delivery for both":        {3, 2, none, none},
	} {
		t.Run(name, func(t *testing.T) {
			servers := make([]manifest.Server, 2)
			if x.role != cell.RoleJoint {
				servers = separate()
			}
			f := newFake(t, manifestOf(t, servers, nil))
			c := f.start(nil)
			f.ask(x.role, 1)
			plain := make([]byte, cell.DownBytes(f.m.g, x.role))
			r, d := cell.CutDown(f.m.g, x.role, plain)
			head := f.head(1)
			if r != nil {
				r.SetEpoch(1)
				copy(r.Head(), head[:])
				x.result(r)
			}
			if d != nil {
				d.SetEpoch(1)
				copy(d.Head(), head[:])
				x.delivery(d)
			}
			f.down(x.role, cell.DownType(x.typ), 1, plain)
			f.left(c, x.role, errProtocol)
			if s := c.Status(); s.Results != 0 || s.Received != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestTwoHeadsInOneCell: parts that contradict each other stop the client.
func TestTwoHeadsInOneCell(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	c := f.start(nil)
	f.ask(3, 1)
	f.bring(cell.RoleJoint, 1, nil, func(d cell.Delivery) { d.Head()[0]++ })
	<-c.Done()
	wantErr(t, c.Err(), ErrFork)
	if s := c.Status(); s.Results != 0 || s.Received != 0 {
		t.Errorf("%+v", s)
	}
}

// TestGapInOnePart: while one part of a cell comes after a gap nothing of it is
// taken, and that the other part does not does not begin the count of attempts
// anew, though each connection brings a newer epoch.
func TestGapInOnePart(t *testing.T) {
	f := newFake(t, testManifest(t, nil))
	inbox := NewMemoryInbox()
	must(t, inbox.Put(Delivery{Epoch: 5}))
	c := f.start(func(cfg *Config) { cfg.Inbox = inbox })
	epoch := uint64(9)
	for range gapAttempts {
		f.ask(3, 20)
		f.bring(cell.RoleJoint, epoch, nil, nil)
		f.left(c, 3, errGap)
		if s := c.Status(); s.Results != 0 || s.Received != 5 {
			t.Fatalf("%+v", s)
		}
		epoch++
	}
	f.ask(3, 20)
	f.bring(cell.RoleJoint, epoch, nil, nil)
	must(t, c.WaitEpoch(within(t), epoch))
	if s := c.Status(); s.Missed != epoch-6 {
		t.Errorf("%+v", s)
	}
}

// TestInboxHoldsTheCell: while the inbox fails there is no control cell, and no
// submission where it shares the control cell's; then there are both, with what
// has been queued meanwhile.
func TestInboxHoldsTheCell(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
		inbox := &gated{MemoryInbox: NewMemoryInbox(), pass: make(chan error)}
		c := f.start(func(cfg *Config) { cfg.Inbox = inbox })
		t.Cleanup(func() { close(inbox.pass) })
		for _, h := range f.homes {
			f.ask(h.Role, 1)
		}
		bring := func(epoch uint64) { f.bring(cell.RoleJoint, epoch, nil, nil) }
		bring(1)
		for _, h := range f.homes {
			f.take(h.Role)
		}
		bring(2) // 1 is due
		if !f.joint() {
			f.take(1)
		}
		inbox.pass <- errors.New("disk full")
		f.quiet()
		must(t, c.wait(within(t), func() (bool, error) { return c.in.err != nil, nil }))
		queue(t, c, text(c, 1, "meanwhile"))
		inbox.pass <- nil
		x := f.take(2)
		if x.epoch != 3 || x.control.AckEpoch() != 1 {
			t.Errorf("the cell for epoch %d acknowledges %d", x.epoch, x.control.AckEpoch())
		}
		if f.joint() && f.messages(x)[0] != "meanwhile" {
			t.Errorf("it holds %q", f.messages(x))
		}
	})
}
