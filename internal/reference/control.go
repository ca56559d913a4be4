package reference

// Statuses of answers.
const (
	AnswerNone    = 0
	AnswerIssued  = 1
	AnswerWindow  = 2
	AnswerOverlap = 3
	AnswerBad     = 4
)

// Request is what a recipient asks its storage server for.
type Request struct {
	Kind    uint8 // 0 nothing
	Slot    uint16
	Sender  uint32
	Ceiling uint32
	E1, E2  uint64
}

// Answer is what it gets. Grant's MAC is not set.
type Answer struct {
	Status uint8
	Grant  Grant // only if issued
}

// Control remembers every token that was ever issued, to whomever, and issues
// none that overlaps.
type Control struct {
	Issued []Grant
}

// Clone returns a copy that shares nothing with c.
func (c *Control) Clone() *Control { return &Control{append([]Grant(nil), c.Issued...)} }

// Answer returns the answers to the requests of client in one control cell,
// carried by epoch now, in order. The era is the current one.
func (c *Control) Answer(p *Parameters, now uint64, era, client uint32, requests []Request) []Answer {
	var answers []Answer
	for _, r := range requests {
		answers = append(answers, c.answer(p, now, era, client, r))
	}
	return answers
}

func (c *Control) answer(p *Parameters, now uint64, era, client uint32, r Request) Answer {
	g := Grant{Kind: r.Kind, Sender: r.Sender, Recipient: client, Era: era,
		Generation: p.Generation(client), E1: r.E1, E2: r.E2}
	switch r.Kind {
	case 0:
		return Answer{Status: AnswerNone}
	case Token:
		g.Slot = r.Slot
		if int(r.Slot) >= p.Slots {
			return Answer{Status: AnswerBad}
		}
	case Pass:
		if p.Open || p.Contact == 0 {
			return Answer{Status: AnswerBad}
		}
		g.Ceiling = r.Ceiling
	default:
		return Answer{Status: AnswerBad}
	}
	if r.E1 < now+2 || r.E2 <= r.E1 || r.E2-r.E1 > p.Lmax || r.E2 > now+p.Hmax {
		return Answer{Status: AnswerWindow}
	}
	if r.Kind == Token {
		for _, old := range c.Issued {
			// Not merely overlap: a slot's tokens are issued in rising order.
			if old.Recipient == client && old.Slot == r.Slot && old.E2 > r.E1 {
				return Answer{Status: AnswerOverlap}
			}
		}
		c.Issued = append(c.Issued, g)
	}
	return Answer{AnswerIssued, g}
}
