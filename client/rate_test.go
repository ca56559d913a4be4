package client

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/manifest"
)

// TestConstantRate: what a client sends, by size, order and number, and what it
// acknowledges, is the same for a program that does nothing and for one that
// sends, asks for tokens, cancels, and has an inbox that fails and is slow,
// through epochs that take, refuse or lose its messages, and a lost connection.
func TestConstantRate(t *testing.T) {
	each(t, func(p *manifest.Parameters) { p.IDChannel.Out, p.TokenChannel.Out = 2, 2 }, func(t *testing.T, f *fake) {
		idle := trace(t, f, false)
		busy := trace(t, newFake(t, f.m), true)
		if !reflect.DeepEqual(idle, busy) {
			t.Errorf("idle %v\nbusy %v", idle, busy)
		}
		for _, h := range f.homes {
			if n := len(idle[h.Role]); n < 20 {
				t.Errorf("only %d writes in the role %d", n, h.Role)
			}
		}
	})
}

// failing fails twice for every delivery, and takes its time.
type failing struct {
	MemoryInbox
	n int
}

func (b *failing) Put(d Delivery) error {
	time.Sleep(time.Duration(b.n%5) * time.Millisecond)
	if b.n++; b.n%3 != 0 {
		return errors.New("disk full")
	}
	return b.MemoryInbox.Put(d)
}

// trace is what a client sends, by role of the session.
func trace(t *testing.T, f *fake, busy bool) [4][]string {
	m := f.m
	c := f.start(func(cfg *Config) {
		if busy {
			cfg.Inbox = &failing{MemoryInbox: *NewMemoryInbox()}
		}
	})
	token := &Token{grant{cell.Token{Kind: cell.KindToken, Channel: cell.ChannelToken, Sender: self, E1: 3, E2: 9}, m.fingerprint()}}
	var seen [4][]string
	see := func(x *fakeCell) {
		results, ack := uint64(0), uint64(0)
		if x.submission != nil {
			results = x.submission.ResultsThrough()
		}
		if x.control != nil {
			ack = x.control.AckEpoch()
		}
		seen[x.role] = append(seen[x.role], fmt.Sprint(x.epoch, x.sequence, len(x.plain), results, ack))
	}
	asked := func(epoch uint64) (up *fakeCell) {
		for _, h := range f.homes {
			x := f.ask(h.Role, epoch)
			see(x)
			if x.submission != nil {
				up = x
			}
		}
		return up
	}
	real := 0
	for epoch := uint64(1); epoch <= 20; epoch++ {
		if busy {
			for i := range 5 {
				c.Queue(Outgoing{To: m.Address(uint32(i)), Body: []byte(strings.Repeat("x", i*10))})
			}
			s, err := c.Queue(Outgoing{Token: token, Body: []byte("token")})
			if err == nil && epoch%3 == 0 {
				s.Cancel()
			}
			go c.RequestToken(within(t), TokenRequest{For: m.Address(1), Epochs: 2})
			go c.RequestPass(within(t), PassRequest{For: m.Address(2)})
		}
		up := asked(epoch)
		for _, text := range f.messages(up) {
			if text != "" {
				real++
			}
		}
		if epoch == 8 {
			for _, h := range f.homes {
				f.cut(h.Role)
			}
			asked(epoch)
		}
		var status []uint8
		for i := range m.g.Outs() {
			status = append(status, uint8(1+(int(epoch)+i)%5))
		}
		result := f.settling(up, 0, status...)
		switch epoch % 4 {
		case 0:
			result = f.settling(nil, 0)
		case 1:
			result = f.settling(nil, cell.FlagVoid)
		}
		f.bring(cell.RoleJoint, epoch, result, func(d cell.Delivery) {
			for i := range m.g.Ins() {
				if busy {
					f.put(d, i, 1, "hello")
				}
			}
		})
	}
	for _, h := range f.homes {
		see(f.take(h.Role))
	}
	if busy == (real == 0) {
		t.Errorf("busy %v, %d real messages", busy, real)
	}
	c.Close()
	for role := range seen {
		seen[role] = append(seen[role], fmt.Sprint(f.sizes[role]))
	}
	for _, h := range f.homes {
		if sizes := slices.Compact(slices.Clone(f.sizes[h.Role])); len(sizes) != 4 { // attach, cells, attach, cells
			t.Errorf("writes of other sizes: %v", f.sizes[h.Role])
		}
	}
	return seen
}

// held is the system's clock, but for what takes cellTime: the test says when
// that is over.
type held struct {
	systemClock
	over chan func()
}

func (h held) AfterFunc(d time.Duration, f func()) func() bool {
	if d != cellTime {
		return h.systemClock.AfterFunc(d, f)
	}
	h.over <- f
	return func() bool { return false }
}

// TestFixedTime: an answer goes, and the next frame is read, when the time that a
// cell takes is over, not when the client is done with it.
func TestFixedTime(t *testing.T) {
	each(t, nil, func(t *testing.T, f *fake) {
		clock := held{over: make(chan func(), 8)}
		c := f.start(func(cfg *Config) { cfg.Clock = clock })
		queue(t, c, text(c, 1, "hello"))
		f.announce(1, 1)
		for made, ctx := false, within(t); !made; { // nobody is told when a submission is made
			must(t, ctx.Err())
			time.Sleep(time.Millisecond)
			c.mu.Lock()
			made = c.out.flying[1] != nil
			c.mu.Unlock()
		}
		f.quiet()
		(<-clock.over)()
		x := f.take(1)
		f.result(1, x, 0, cell.StatusTaken)
		sent := make(chan struct{})
		go func() { f.announce(1, 2); close(sent) }() // is not read yet
		f.quiet()
		if len(clock.over) != 1 {
			t.Errorf("%d cells are being taken", len(clock.over))
		}
		(<-clock.over)()
		<-sent
		(<-clock.over)()
		f.take(1)
	})
}
