package load

import (
	"bytes"
	"fmt"

	"github.com/teems-go/teems/internal/cell"
)

// submission writes a client's submission for an epoch.
func (s *simulation) submission(e *end, epoch uint64, plain cell.Submission, sc *scratch) {
	plain.Clear()
	plain.SetResultsThrough(e.through)
	if !s.ledger.counts(epoch) {
		return
	}
	p, id, size := s.g.Params(), e.c.id, s.g.MessageBytes()
	if p.ID.Out > 0 {
		plan := s.plan.id(epoch)
		m := plain.Message(s.g.SubmissionCell(0), size)
		m.SetKind(cell.Real)
		m.SetRecipient(plan.to[id])
		m.SetPriority(at(plan.priority, int(id)))
		s.bodies.fill(m.Body(), sc.block[:], idChannel, epoch, id, plan.to[id])
	}
	if p.Token.Out > 0 {
		recipient := s.plan.recipient(tokenChannel, epoch, id)
		t, ok := e.c.out.token(epoch, recipient)
		if !ok {
			s.outOfToken.Add(1)
			return
		}
		m := plain.Message(s.g.SubmissionCell(p.ID.Out), size)
		m.SetToken(&t)
		m.SetKind(cell.Real)
		s.bodies.fill(m.Body(), sc.block[:], tokenChannel, epoch, id, recipient)
	}
}

// control writes a client's control cell for an epoch.
func (s *simulation) control(e *end, epoch uint64, plain cell.Control) {
	plain.Clear()
	plain.SetAckEpoch(e.through)
	copy(plain.AckHead(), e.throughHead[:])
	if s.g.Params().Token.Out == 0 {
		return
	}
	if a, ok := e.c.asks.due(s.plan, epoch, s.cfg.Last); ok {
		r := plain.Request(s.g.ControlRequest(0))
		r.SetKind(cell.KindToken)
		r.SetSender(s.plan.token(a.span).from[e.c.id])
		r.SetE1(a.e1)
		r.SetE2(a.e2)
	}
}

// result takes the result of an epoch.
func (s *simulation) result(e *end, r cell.Result) error {
	epoch := r.Epoch()
	o := outcome{
		void: r.Flags()&cell.FlagVoid != 0, accepted: r.Flags()&cell.FlagAccepted != 0,
		head: r.Head(),
	}
	if o.accepted && (epoch > e.submitted || [cell.TagBytes]byte(r.AcceptedTag()) != e.tags[epoch%4]) {
		return fmt.Errorf("%w: the result of client %d for epoch %d names another submission than the one it sent", ErrProtocol, e.c.id, epoch)
	}
	if !s.ledger.counts(epoch) {
		return nil
	}
	p := s.g.Params()
	for c, on := range [channels]bool{p.ID.Out > 0, p.Token.Out > 0} {
		if !on || o.void {
			continue
		}
		at := 0
		if c == tokenChannel {
			at = p.ID.Out
		}
		status := r.Status(s.g.ResultStatus(at))
		o.taken[c] = status == cell.StatusTaken
		if status != cell.StatusTaken && status != cell.StatusDummy && status != cell.StatusNothing {
			s.onProblem(fmt.Sprintf("epoch %d: client %d's message on the %s channel: %s", epoch, e.c.id, channelNames[c], cell.StatusText(status)))
		}
	}
	t := s.ledger.tally(epoch)
	if t.result(e.c.id, &o) {
		s.ledger.finish(t)
	}
	return nil
}

// delivery takes the delivery of an epoch: every body is compared with what was
// sent, and tokens go to those whom they are for.
func (s *simulation) delivery(e *end, d cell.Delivery, sc *scratch) {
	epoch := d.Epoch()
	copy(e.throughHead[:], d.Head())
	if a, ok := e.c.asks.answered(epoch); ok {
		s.answer(e.c, a, d.Answer(s.g.DeliveryAnswer(0)))
	}
	if !s.ledger.counts(epoch) {
		return
	}
	t := s.ledger.tally(epoch)
	for i := range s.g.Ins() {
		m := d.Cell(s.g.DeliveryCell(i), s.g.DeliveryCellBytes())
		if m.Kind() == cell.Dummy {
			continue
		}
		if s.fault.Load() && s.fault.CompareAndSwap(true, false) {
			switch s.cfg.Fault {
			case FaultFlip:
				m.Body()[0] ^= 1
			case FaultDrop:
				continue
			case FaultDuplicate:
				s.verify(t, e.c.id, i, m, sc)
			}
		}
		s.verify(t, e.c.id, i, m, sc)
	}
	if t.delivered(e.c.id, d.Head()) {
		s.ledger.finish(t)
	}
}

// verify compares a message that arrived in a mailbox cell with what was sent.
func (s *simulation) verify(t *tally, recipient uint32, i int, m cell.Mailbox, sc *scratch) {
	channel := idChannel
	switch first := s.g.TokenCell(); {
	case i == first: // simulated recipients give away slot 0 only
		channel = tokenChannel
	case i > first:
		t.misplaced(recipient, i)
		return
	}
	s.bodies.fill(sc.body, sc.block[:], channel, t.epoch, m.Sender(), recipient)
	t.found(channel, recipient, m.Sender(), bytes.Equal(sc.body, m.Body()))
}

// answer takes the answer to a request for a token.
func (s *simulation) answer(c *client, a ask, answer cell.Answer) {
	t, ok := answer.Token(c.id)
	if ok && t.Kind == cell.KindToken && t.E1 == a.e1 && t.E2 == a.e2 && t.Sender == s.plan.token(a.span).from[c.id] {
		s.issued.Add(1)
		s.clients[t.Sender].out.put(t)
		return
	}
	if answer.Status() != cell.AnswerNone {
		s.refused.Add(1)
		s.onProblem(fmt.Sprintf("client %d's request of epoch %d for a token of epochs %d to %d was refused (status %d)", c.id, a.epoch, a.e1, a.e2, answer.Status()))
	}
	c.asks.again = append(c.asks.again, a)
}
