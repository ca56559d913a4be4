package simnet

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/reference"
)

// book is what a test knows of a run: what every client sent in every epoch,
// and what it got.
type book struct {
	w       *World
	sent    map[uint64]map[uint32]reference.Submission
	asked   map[uint64]map[uint32][]reference.Request
	results map[uint64]map[uint32]cell.Result
	mails   map[uint64]map[uint32]cell.Delivery
	grants  []reference.Grant // issued, of both kinds
}

func newBook(w *World) *book {
	return &book{
		w: w, sent: map[uint64]map[uint32]reference.Submission{}, asked: map[uint64]map[uint32][]reference.Request{},
		results: map[uint64]map[uint32]cell.Result{}, mails: map[uint64]map[uint32]cell.Delivery{},
	}
}

func put[T any](m map[uint64]map[uint32]T, epoch uint64, id uint32, x T) {
	if m[epoch] == nil {
		m[epoch] = map[uint32]T{}
	}
	m[epoch][id] = x
}

// chatter is a client that sends at random: to anyone, to a few, with tokens
// that are valid, forged, expired, repeated or another's.
type chatter struct {
	b   *book
	id  uint32
	rng *rand.Rand
	hot int // recipients that most write to; 0: all alike
}

func (c *chatter) recipient() uint32 {
	n := c.b.w.cfg.Simulated
	if c.hot > 0 && c.rng.IntN(4) > 0 {
		return uint32(c.rng.IntN(min(c.hot, n)))
	}
	return uint32(c.rng.IntN(n + n/8 + 1)) // some do not exist
}

func (c *chatter) Submit(epoch uint64, s cell.Submission) {
	g := c.b.w.Geometry
	p := g.Params()
	sub := reference.Submission{Sender: c.id}
	for j := range g.Outs() {
		m := s.Message(g.SubmissionCell(j), g.MessageBytes())
		x := reference.Cell{Real: c.rng.IntN(5) > 0, Body: fmt.Sprintf("epoch %d, %d's message %d", epoch, c.id, j)}
		x.Body += string(make([]byte, p.CellBytes-len(x.Body)))
		x.Grant = c.grant(epoch, j < p.ID.Out)
		if j < p.ID.Out {
			x.Priority = []uint32{0, 1, 5, 5, ^uint32(0)}[c.rng.IntN(5)]
			sub.ID = append(sub.ID, x)
		} else {
			if j > p.ID.Out && c.rng.IntN(3) == 0 {
				x.Grant = sub.Token[len(sub.Token)-1].Grant // a second use
			}
			sub.Token = append(sub.Token, x)
		}
		if x.Real {
			m.SetKind(cell.Real)
		}
		gr := x.Grant
		m.SetRecipient(gr.Recipient)
		m.SetPriority(x.Priority)
		m.SetSlot(gr.Slot)
		m.SetCeiling(gr.Ceiling)
		m.SetEra(gr.Era)
		m.SetGeneration(gr.Generation)
		m.SetE1(gr.E1)
		m.SetE2(gr.E2)
		copy(m.MAC(), gr.MAC[:])
		copy(m.Body(), x.Body)
	}
	put(c.b.sent, epoch, c.id, sub)
}

// grant picks what a cell shows: mostly something valid of this sender's.
func (c *chatter) grant(epoch uint64, id bool) reference.Grant {
	kind := uint8(reference.Token)
	if id {
		kind = reference.Pass
	}
	g := reference.Grant{Kind: kind, Recipient: c.recipient()}
	var own []reference.Grant
	for _, x := range c.b.grants {
		if x.Kind == kind && (x.Sender == c.id || c.rng.IntN(8) == 0) && (x.E1 <= epoch && epoch < x.E2 || c.rng.IntN(8) == 0) {
			own = append(own, x)
		}
	}
	if len(own) > 0 && (!id || c.rng.IntN(2) == 0) {
		g = own[c.rng.IntN(len(own))]
	}
	switch c.rng.IntN(12) {
	case 0:
		g.MAC[c.rng.IntN(16)] ^= 1
	case 1:
		g.E2++
	case 2:
		g.Slot++
	}
	return g
}

func (c *chatter) Control(epoch uint64, ctl cell.Control) {
	g := c.b.w.Geometry
	var asked []reference.Request
	for j := range g.Requests() {
		r := reference.Request{Kind: uint8(c.rng.IntN(4)), Slot: uint16(c.rng.IntN(g.Params().Token.In + 1)), Sender: uint32(c.rng.IntN(c.b.w.cfg.Simulated))}
		r.E1 = epoch + uint64(c.rng.IntN(5))
		r.E2 = r.E1 + uint64(c.rng.IntN(g.Params().TokenEpochs+2))
		r.Ceiling = uint32(c.rng.IntN(7))
		asked = append(asked, r)
		q := ctl.Request(g.ControlRequest(j))
		q.SetKind(r.Kind)
		q.SetSlot(r.Slot)
		q.SetSender(r.Sender)
		q.SetCeiling(r.Ceiling)
		q.SetE1(r.E1)
		q.SetE2(r.E2)
	}
	put(c.b.asked, epoch, c.id, asked)
}

func (c *chatter) Result(epoch uint64, r cell.Result) { put(c.b.results, epoch, c.id, r) }

func (c *chatter) Deliver(epoch uint64, d cell.Delivery) {
	put(c.b.mails, epoch, c.id, d)
	g := c.b.w.Geometry
	for j := range g.Requests() {
		a := d.Answer(g.DeliveryAnswer(j))
		if a.Status() != cell.AnswerIssued {
			continue
		}
		x := reference.Grant{Kind: a.Kind(), Slot: a.Slot(), Sender: a.Sender(), Recipient: c.id, Ceiling: a.Ceiling(), Era: a.Era(), Generation: a.Generation(), E1: a.E1(), E2: a.E2()}
		copy(x.MAC[:], a.MAC())
		c.b.grants = append(c.b.grants, x)
	}
}

// crowd makes a cluster with all clients but every silent-th connected.
func crowd(t testing.TB, cfg Config, hot, silent int) (*World, *book) {
	t.Helper()
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := newBook(w)
	for id := range uint32(cfg.Simulated) {
		c := w.Add(id, &chatter{b: b, id: id, rng: w.fork(fmt.Sprint("chatter ", id)), hot: hot})
		if silent == 0 || int(id)%silent != silent-1 {
			c.Connect()
		}
	}
	return w, b
}

// parameters are the reference's, for the clients at genesis.
func (b *book) parameters() *reference.Parameters {
	g := b.w.Geometry
	p := g.Params()
	users := make([]uint32, g.VirtualShards())
	for id := range b.w.cfg.Simulated {
		users[id%len(users)]++
	}
	return &reference.Parameters{
		Open: p.ID.Open, Contact: p.ID.Contact, Stranger: p.ID.Stranger, Slots: p.Token.In,
		Lmax: uint64(p.TokenEpochs), Hmax: uint64(p.HorizonEpochs), Eras: []uint32{1},
		Users: users, Generations: make([]uint32, len(users)),
	}
}

// check compares every epoch up to last with the reference: statuses, mailboxes
// cell by cell, and answers.
func (b *book) check(t testing.TB, last uint64) (messages, overLimit, tokens int) {
	t.Helper()
	g, params := b.w.Geometry, b.parameters()
	verify := func(x reference.Grant) bool {
		var in [48]byte
		var out [16]byte
		channel := cell.ChannelToken
		if x.Kind == reference.Pass {
			channel = cell.ChannelID
		}
		d := cell.Message(make([]byte, 64))
		d.SetSlot(x.Slot)
		d.SetRecipient(x.Recipient)
		d.SetCeiling(x.Ceiling)
		d.SetEra(x.Era)
		d.SetGeneration(x.Generation)
		d.SetE1(x.E1)
		d.SetE2(x.E2)
		d.PutMACInput(in[:], x.Kind, channel, x.Sender)
		b.w.Schedule.Tags(x.Kind, in[:], out[:])
		return out == x.MAC
	}
	control := &reference.Control{}
	for e := uint64(1); e <= last; e++ {
		tie := func(sender uint32, index uint16) uint64 {
			out := []uint64{0}
			b.w.Schedule.Ties(e, []uint64{uint64(sender)<<16 | uint64(index)}, out)
			return out[0]
		}
		var accepted []reference.Submission
		void := false
		for id := range uint32(b.w.cfg.Simulated) {
			r := b.results[e][id]
			if r == nil {
				continue
			}
			void = void || r.Flags()&cell.FlagVoid != 0
			if r.Flags()&cell.FlagAccepted != 0 {
				accepted = append(accepted, b.sent[e][id])
			}
		}
		if void {
			for id, d := range b.mails[e] {
				if d.Flags()&cell.FlagVoid == 0 {
					t.Fatalf("epoch %d is void for some, not for client %d", e, id)
				}
			}
			continue
		}
		want := reference.Epoch(params, e, accepted, tie, verify)
		for id, r := range b.results[e] {
			for j := range g.Outs() {
				expect := byte(cell.StatusNothing)
				if st := want.Statuses[id]; st != nil {
					expect = st[j]
				}
				if got := r.Status(g.ResultStatus(j)); got != expect {
					t.Fatalf("epoch %d: client %d learnt status %d of its cell %d, want %d", e, id, got, j, expect)
				}
			}
		}
		for id, d := range b.mails[e] {
			box := want.Mailboxes[id]
			for j := range g.Ins() {
				c := d.Cell(g.DeliveryCell(j), g.DeliveryCellBytes())
				var m reference.Message
				if box != nil {
					m = box[j]
				}
				if !m.Real {
					m.Body = string(make([]byte, g.Params().CellBytes))
				}
				if (c.Kind() == cell.Real) != m.Real || c.Sender() != m.Sender || string(c.Body()) != m.Body {
					t.Fatalf("epoch %d: cell %d of client %d holds kind %d from %d %.40q, want %v from %d %.40q", e, j, id, c.Kind(), c.Sender(), c.Body(), m.Real, m.Sender, m.Body)
				}
				if m.Real {
					messages++
				}
			}
			overLimit += want.OverLimit[id]
		}
		for id := range uint32(b.w.cfg.Simulated) {
			d := b.mails[e][id]
			if d == nil {
				continue
			}
			asked := b.asked[e][id]
			none := true
			for j := range g.Requests() {
				none = none && d.Answer(g.DeliveryAnswer(j)).Status() == cell.AnswerNone
			}
			if none && !anyRequest(asked) {
				continue
			}
			if none && anyRequest(asked) {
				continue // its control cell came too late
			}
			for j, a := range control.Answer(params, e, 1, id, asked) {
				got := d.Answer(g.DeliveryAnswer(j))
				if got.Status() != a.Status {
					t.Fatalf("epoch %d: request %d of client %d was answered %d, want %d: %+v", e, j, id, got.Status(), a.Status, asked[j])
				}
				if a.Status == reference.AnswerIssued {
					tokens++
				}
			}
		}
	}
	return messages, overLimit, tokens
}

func anyRequest(rs []reference.Request) bool {
	for _, r := range rs {
		if r.Kind != 0 {
			return true
		}
	}
	return false
}
