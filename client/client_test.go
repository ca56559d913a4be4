package client

import (
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/wire"
)

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
		t.Run(name, func(t *testing.T) {
			each(t, nil, func(t *testing.T, f *fake) {
				c := f.start(nil)
				f.ask(1, 9)
				x.do(f)
				select {
				case <-c.Done():
				case <-within(t).Done():
					t.Fatal("it goes on")
				}
				wantErr(t, c.Err(), x.want)
				_, err := c.Send(within(t), text(c, 1, "x"))
				wantErr(t, err, x.want)
			})
		})
	}
	each(t, nil, func(t *testing.T, f *fake) {
		c := f.start(func(cfg *Config) { cfg.Head = &EpochHead{Epoch: 100} })
		f.announce(1, 50)
		<-c.Done()
		wantErr(t, c.Err(), ErrRolledBack)
	})
}

// TestSlowLink: what is late on one link is not a cluster that was set back,
// though the other link is ahead by epochs; in a new connection it is.
func TestSlowLink(t *testing.T) {
	f := newFake(t, manifestOf(t, separate(), nil))
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

// TestBadGateway: nonsense ends the connection and nothing else.
func TestBadGateway(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
		c := f.start(nil)
		f.ask(1, 1)
		s, role := queue(t, c, text(c, 1, "through")), f.home(1).Role
		for name, frame := range map[string][]byte{
			"noise":         []byte("not a frame at all"),
			"long":          wire.Begin(nil, wire.TypeCellDown, 1<<30),
			"client's type": (&wire.Attach{}).Append(nil),
			"wrong server":  (&wire.Attached{Server: 77}).Append(nil),
			"changed cell":  (&wire.CellDown{Type: cell.DownType(role), Epoch: 1, Sealed: make([]byte, cell.DownBytes(f.m.g, role)+16)}).Append(nil),
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
	})
}
