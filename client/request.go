package client

import (
	"context"
	"fmt"
	"slices"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
)

// TokenRequest asks for a token for somebody to send to this client.
type TokenRequest struct {
	For    Address // who may send
	Epochs int     // how many epochs it is valid for. 0: the most, Manifest.TokenEpochs
	Start  uint64  // its first epoch. 0: as soon as it can be
}

// PassRequest asks for a pass for somebody to send to this client as a contact.
type PassRequest struct {
	For     Address
	Ceiling uint32 // highest priority that it admits
	Epochs  int    // as in TokenRequest
	Start   uint64
}

// startMargin is from the epoch that carries a request to the token's first
// one, where the client chooses. The servers ask for two; in the third the
// sender can have it.
const (
	startMargin = 3
	startLeast  = 2
)

// asking is what this client asks of its storage server. Guarded by Client.mu.
type asking struct {
	waiting []*request
	flying  map[uint64][]*request // by the epoch of the control cell; by place in it
	slots   []uint64              // the epoch from which on a slot is free, as far as this client knows
	first   int                   // slot to try first
}

// request is one request on its way.
type request struct {
	kind    uint8
	sender  uint32
	ceiling uint32
	epochs  uint64
	start   uint64 // 0: as soon as it can be
	done    chan struct{}

	slot     int    // guarded by Client.mu, like what follows; -1: none
	before   uint64 // what slots held
	tried    []int  // slots that the server said were given away
	e1, e2   uint64 // of the cell that carries it
	finished bool   //
	t        grant  // the answer
	err      error
}

func (a *asking) init(g *geometry.Geometry, random int) {
	a.flying = map[uint64][]*request{}
	a.slots = make([]uint64, g.Params().Token.In)
	if len(a.slots) > 0 {
		a.first = random % len(a.slots)
	}
}

// RequestToken asks this client's storage server for a token, in a slot that is
// free, and waits for the answer. Text of the token is to be handed to the
// sender. Errors: ErrNoSlot (a *SlotsError), ErrTokenWindow, ErrTokenRefused,
// ErrWrongCluster, ErrUnknownRecipient for a sender who cannot exist,
// ErrChannelOff, ErrQueueFull, ctx's, and what stopped the client. A request
// that ctx ended may have taken a slot.
func (c *Client) RequestToken(ctx context.Context, q TokenRequest) (*Token, error) {
	if c.g.Params().Token.In == 0 {
		return nil, ErrChannelOff
	}
	g, err := c.ask(ctx, &request{kind: cell.KindToken, start: q.Start, slot: -1}, q.For, q.Epochs)
	if err != nil {
		return nil, err
	}
	return &Token{g}, nil
}

// RequestPass asks for a pass, like RequestToken; passes take no slots.
func (c *Client) RequestPass(ctx context.Context, q PassRequest) (*Pass, error) {
	if p := c.g.Params().ID; p.Out == 0 || p.Open {
		return nil, fmt.Errorf("%w: it takes no passes", ErrChannelOff)
	}
	g, err := c.ask(ctx, &request{kind: cell.KindPass, ceiling: q.Ceiling, start: q.Start, slot: -1}, q.For, q.Epochs)
	if err != nil {
		return nil, err
	}
	return &Pass{g}, nil
}

func (c *Client) ask(ctx context.Context, r *request, who Address, epochs int) (grant, error) {
	if err := c.m.owns(who); err != nil {
		return grant{}, err
	}
	if epochs == 0 {
		epochs = c.m.TokenEpochs()
	}
	if epochs < 0 || epochs > c.m.TokenEpochs() {
		return grant{}, fmt.Errorf("%w: %d epochs, at most %d can be", ErrTokenWindow, epochs, c.m.TokenEpochs())
	}
	r.sender, r.epochs, r.done = who.ID, uint64(epochs), make(chan struct{})
	c.mu.Lock()
	switch {
	case c.failed != nil:
		c.mu.Unlock()
		return grant{}, c.failed
	case len(c.asking.waiting) >= c.cfg.QueueLimit:
		c.mu.Unlock()
		return grant{}, ErrQueueFull
	}
	c.asking.waiting = append(c.asking.waiting, r)
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.t, r.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.finished {
		return r.t, r.err
	}
	c.asking.waiting = slices.DeleteFunc(c.asking.waiting, func(x *request) bool { return x == r })
	r.finish(grant{}, ctx.Err())
	return grant{}, ctx.Err()
}

// finish settles a request. The caller holds mu.
func (r *request) finish(t grant, err error) {
	if !r.finished {
		r.finished, r.t, r.err = true, t, err
		close(r.done)
	}
}

func (a *asking) fail(err error) {
	for _, r := range a.waiting {
		r.finish(grant{}, err)
	}
	a.waiting = nil
	for epoch, rs := range a.flying {
		for _, r := range rs {
			r.finish(grant{}, err)
		}
		delete(a.flying, epoch)
	}
}

// write puts the first requests that wait into an epoch's control cell.
func (a *asking) write(c *Client, epoch uint64, out cell.Control) {
	most := c.g.Requests()
	var going []*request
	a.waiting = slices.DeleteFunc(a.waiting, func(r *request) bool {
		if len(going) == most {
			return false
		}
		if err := a.place(r, epoch, uint64(c.g.Params().HorizonEpochs)); err != nil {
			r.finish(grant{}, err)
			return true
		}
		going = append(going, r)
		return true
	})
	for i, r := range going {
		q := out.Request(c.g.ControlRequest(i))
		q.SetKind(r.kind)
		q.SetSender(r.sender)
		q.SetE1(r.e1)
		q.SetE2(r.e2)
		if r.kind == cell.KindToken {
			q.SetSlot(uint16(r.slot))
		} else {
			q.SetCeiling(r.ceiling)
		}
	}
	if len(going) > 0 {
		a.flying[epoch] = going
	}
}

// place chooses the epochs and the slot of a request that goes in an epoch.
func (a *asking) place(r *request, epoch, horizon uint64) error {
	r.e1 = r.start
	if r.start == 0 {
		r.e1 = epoch + max(startLeast, min(startMargin, horizon-r.epochs))
	}
	r.e2 = r.e1 + r.epochs
	switch {
	case r.e1 < epoch+startLeast:
		return fmt.Errorf("%w: it would be asked for in epoch %d, so it can start in %d, not in %d",
			ErrTokenWindow, epoch, epoch+startLeast, r.e1)
	case r.e2 > epoch+horizon:
		return fmt.Errorf("%w: it would end in epoch %d, asked for in %d at most %d can be", ErrTokenWindow, r.e2, epoch, epoch+horizon)
	}
	if r.kind != cell.KindToken {
		return nil
	}
	free, best := ^uint64(0), -1
	for i := range a.slots {
		j := (a.first + i) % len(a.slots)
		free = min(free, max(a.slots[j], epoch+startLeast))
		if a.slots[j] <= r.e1 && !slices.Contains(r.tried, j) && (best < 0 || a.slots[j] < a.slots[best]) {
			best = j
		}
	}
	if best < 0 {
		return &SlotsError{Free: max(free, r.e1+1)}
	}
	r.slot, r.before = best, a.slots[best]
	a.slots[best] = r.e2
	return nil
}

// answered settles the requests of an epoch by its delivery.
func (a *asking) answered(c *Client, d cell.Delivery) {
	epoch := d.Epoch()
	var again []*request
	for e, rs := range a.flying {
		if e < epoch { // its answers were forgotten, and what they issued
			again = append(again, rs...)
			delete(a.flying, e)
		}
	}
	void := d.Flags()&cell.FlagVoid != 0
	for i, r := range a.flying[epoch] {
		answer := d.Answer(c.g.DeliveryAnswer(i))
		if void || !r.matches(answer) {
			if r.kind == cell.KindToken { // the server never saw it
				a.slots[r.slot] = r.before
			}
			again = append(again, r)
			continue
		}
		if a.settle(c, r, answer) {
			again = append(again, r)
		}
	}
	delete(a.flying, epoch)
	again = slices.DeleteFunc(again, func(r *request) bool { return r.finished })
	a.waiting = append(again, a.waiting...)
}

// matches says whether an answer is to this request: not to none at all, nor to
// one by another program with the same identity.
func (r *request) matches(a cell.Answer) bool {
	return a.Status() != cell.AnswerNone && a.Kind() == r.kind && a.Sender() == r.sender &&
		a.E1() == r.e1 && a.E2() == r.e2 &&
		(r.kind != cell.KindToken || int(a.Slot()) == r.slot) && (r.kind != cell.KindPass || a.Ceiling() == r.ceiling)
}

// settle takes an answer; true if the request is to be made again.
func (a *asking) settle(c *Client, r *request, answer cell.Answer) (again bool) {
	status := answer.Status()
	if t, ok := answer.Token(c.id.id); ok {
		r.finish(grant{t, c.m.fingerprint()}, nil)
		return false
	}
	if r.kind == cell.KindToken {
		a.slots[r.slot] = r.before
	}
	switch status {
	case cell.AnswerOverlap:
		// Somebody, an earlier run of this client as a rule, has given it away.
		a.slots[r.slot] = max(r.before, r.e1+1)
		r.tried = append(r.tried, r.slot)
		return true
	case cell.AnswerWindow:
		r.finish(grant{}, fmt.Errorf("%w: the server says so", ErrTokenWindow))
	default:
		r.finish(grant{}, ErrTokenRefused)
	}
	return false
}
