package load

import (
	"sync"

	"github.com/teems-go/teems/internal/cell"
)

// outbox holds the tokens that a sender was handed by those it writes to.
type outbox struct {
	mu     sync.Mutex
	tokens []cell.Token // guarded by mu; at most a few
}

// put hands over a token.
func (o *outbox) put(t cell.Token) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tokens = append(o.tokens, t)
}

// token is the one for a recipient in an epoch. Tokens that have ended before
// are dropped.
func (o *outbox) token(epoch uint64, recipient uint32) (cell.Token, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.tokens[:0]
	var found cell.Token
	ok := false
	for _, t := range o.tokens {
		if t.E2 <= epoch {
			continue
		}
		kept = append(kept, t)
		if t.Recipient == recipient && t.E1 <= epoch {
			found, ok = t, true
		}
	}
	o.tokens = kept
	return found, ok
}

// ask is a request for a token of a span.
type ask struct {
	epoch  uint64 // that carried it; 0: none
	span   uint64
	e1, e2 uint64
}

// asks is what one recipient asked for, by epoch, and what it asks for next.
// Its client's end towards storage owns it.
type asks struct {
	sent  [8]ask // by epoch mod 8
	next  uint64 // span never asked for yet
	again []ask  // that were not answered
}

// due is what a recipient asks for in an epoch: the token of the next span
// Lead epochs before it begins, or one that it did not get, for what is left
// of its span. ok is false if there is nothing.
func (a *asks) due(p *planner, epoch, last uint64) (ask, bool) {
	for len(a.again) > 0 {
		r := a.again[0]
		a.again = a.again[1:]
		r.e1 = max(r.e1, epoch+2)
		if r.e1 < r.e2 {
			return a.note(r, epoch), true
		}
	}
	begin := p.begin(a.next)
	if begin > last || epoch+Lead < begin {
		return ask{}, false
	}
	r := ask{span: a.next, e1: max(begin, epoch+2), e2: p.begin(a.next + 1)}
	a.next++
	if r.e1 >= r.e2 {
		return ask{}, false
	}
	return a.note(r, epoch), true
}

func (a *asks) note(r ask, epoch uint64) ask {
	r.epoch = epoch
	a.sent[epoch%uint64(len(a.sent))] = r
	return r
}

// answered takes what was asked for in an epoch, if anything was.
func (a *asks) answered(epoch uint64) (ask, bool) {
	at := &a.sent[epoch%uint64(len(a.sent))]
	r := *at
	if r.epoch != epoch || epoch == 0 {
		return ask{}, false
	}
	*at = ask{}
	return r, true
}
