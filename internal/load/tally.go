package load

import (
	"bytes"
	"fmt"
	"sync"
)

// Account is what a simulation counted, over completed epochs.
type Account struct {
	Epochs         int  `json:"E"`
	Sent           int  `json:"sent"`            // messages that a sealed result says were taken
	Delivered      int  `json:"delivered"`       // found with their recipient, every byte right
	Lost           int  `json:"lost"`            // sent, not over the limit, and not delivered
	Unexpected     int  `json:"unexpected"`      // delivered and not sent, altered, twice, or to the wrong client
	OverLimit      int  `json:"over_limit"`      // that the plain reference drops
	ReferenceMatch bool `json:"reference_match"` // see docs: within the limit all arrived, else exactly the best
	Missed         int  `json:"missed"`          // submissions that came too late for their epoch
	Void           int  `json:"void"`            // epochs that were given up as empty
	TokensIssued   int  `json:"tokens_issued"`
	TokensRefused  int  `json:"tokens_refused"`
}

// add adds the account of other epochs.
func (a *Account) add(b *Account) {
	a.Epochs += b.Epochs
	a.Sent += b.Sent
	a.Delivered += b.Delivered
	a.Lost += b.Lost
	a.Unexpected += b.Unexpected
	a.OverLimit += b.OverLimit
	a.ReferenceMatch = a.ReferenceMatch && b.ReferenceMatch
	a.Missed += b.Missed
	a.Void += b.Void
}

// What is known of a message, by sender.
const (
	flagTaken = 1 << iota // the result says that it was taken
	flagGot               // its recipient has it
)

// tally counts one epoch.
type tally struct {
	epoch uint64
	plan  *planner
	limit [channels]int // cells of a mailbox

	mu                  sync.Mutex
	results, deliveries int               // guarded by mu, as all that follows
	flags               [channels][]uint8 // by sender
	unexpected, missed  int
	voids               int
	head                []byte // that the first client was told
	problems            []string
}

// maxProblems is how many problems of an epoch are told in words.
const maxProblems = 4

func newTally(epoch uint64, plan *planner, limit [channels]int) *tally {
	t := &tally{epoch: epoch, plan: plan, limit: limit}
	for c := range t.flags {
		t.flags[c] = make([]uint8, plan.n)
	}
	return t
}

func (t *tally) problem(format string, a ...any) {
	if len(t.problems) < maxProblems {
		t.problems = append(t.problems, fmt.Sprintf("epoch %d: ", t.epoch)+fmt.Sprintf(format, a...))
	}
}

// outcome is what a client's result says.
type outcome struct {
	void, accepted bool
	taken          [channels]bool
	head           []byte
}

// result takes a client's result. It reports whether the epoch is complete.
func (t *tally) result(client uint32, o *outcome) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.results++
	t.sameHead(client, o.head)
	switch {
	case o.void:
		t.voids++
	case !o.accepted:
		t.missed++
	}
	for c, taken := range o.taken {
		if taken {
			t.flags[c][client] |= flagTaken
		}
	}
	return t.complete()
}

// sameHead checks that all clients hear of one history. With mu held.
func (t *tally) sameHead(client uint32, head []byte) {
	if t.head == nil {
		t.head = bytes.Clone(head)
	} else if !bytes.Equal(t.head, head) {
		t.unexpected++
		t.problem("client %d was told another head than others: the servers disagree about the history", client)
	}
}

// found takes a message that a client has found in its mailbox, on a channel;
// same says that the body is the one that its sender sends in this epoch.
func (t *tally) found(channel int, recipient, sender uint32, same bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := channelNames[channel]
	switch {
	case int(sender) >= t.plan.n:
		t.unexpected++
		t.problem("client %d got a message on the %s channel from client %d, which does not exist", recipient, name, sender)
	case t.plan.recipient(channel, t.epoch, sender) != recipient:
		t.unexpected++
		t.problem("client %d got a message on the %s channel from client %d, which sent it none", recipient, name, sender)
	case !same:
		t.unexpected++
		t.problem("client %d got a message on the %s channel from client %d whose body is not what was sent", recipient, name, sender)
	case t.flags[channel][sender]&flagGot != 0:
		t.unexpected++
		t.problem("client %d got the same message on the %s channel from client %d twice", recipient, name, sender)
	default:
		t.flags[channel][sender] |= flagGot
	}
}

// misplaced takes a message in a cell where it cannot be.
func (t *tally) misplaced(recipient uint32, cell int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unexpected++
	t.problem("client %d has a message in cell %d, where nothing was sent", recipient, cell)
}

// delivered notes that a client's delivery was looked through. It reports
// whether the epoch is complete.
func (t *tally) delivered(client uint32, head []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deliveries++
	t.sameHead(client, head)
	return t.complete()
}

func (t *tally) complete() bool { return t.results == t.plan.n && t.deliveries == t.plan.n }

// close is the account of the complete epoch, and what was wrong, in words.
func (t *tally) close() (Account, []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := Account{Epochs: 1, ReferenceMatch: true, Missed: t.missed, Unexpected: t.unexpected}
	if t.voids > 0 {
		a.Epochs, a.Void = 0, 1
		if t.voids != t.plan.n {
			a.Unexpected++
			t.problem("it is void to %d of %d clients", t.voids, t.plan.n)
		}
	}
	for c := range t.flags {
		t.compare(c, &a)
	}
	a.Lost = a.Sent - a.Delivered - a.OverLimit
	if a.Lost != 0 {
		t.problem("%d messages were lost (%d sent, %d delivered, %d over the limit)", a.Lost, a.Sent, a.Delivered, a.OverLimit)
	}
	a.ReferenceMatch = a.ReferenceMatch && a.Unexpected == 0 && a.Lost == 0
	return a, t.problems
}

// inbox is what one recipient was sent on a channel.
type inbox struct {
	sent, got      int
	worstGot       uint32 // lowest priority that arrived
	bestMissing    uint32 // highest that did not
	any, missesAny bool
}

// compare is the plain reference: what each recipient was sent, and what of it
// it must have.
func (t *tally) compare(channel int, a *Account) {
	boxes := make([]inbox, t.plan.n)
	var priority []uint32
	if channel == idChannel && t.limit[idChannel] > 0 {
		priority = t.plan.id(t.epoch).priority
	}
	for s, f := range t.flags[channel] {
		if f == 0 {
			continue
		}
		recipient := t.plan.recipient(channel, t.epoch, uint32(s))
		if f == flagGot {
			a.Unexpected++
			t.problem("client %d has a message from client %d, whose result says that it was not taken", recipient, s)
			continue
		}
		boxes[recipient].add(f&flagGot != 0, at(priority, s))
	}
	limit := t.limit[channel]
	for r := range boxes {
		b := &boxes[r]
		within := min(b.sent, limit)
		a.Sent += b.sent
		a.Delivered += b.got
		a.OverLimit += b.sent - within
		if b.got != within || b.any && b.missesAny && b.worstGot < b.bestMissing {
			a.ReferenceMatch = false
			t.problem("client %d was sent %d messages on the %s channel and has %d, lowest priority %d, highest of those dropped %d (limit %d)",
				r, b.sent, channelNames[channel], b.got, b.worstGot, b.bestMissing, limit)
		}
	}
}

func (b *inbox) add(got bool, priority uint32) {
	b.sent++
	if got {
		if b.got++; !b.any || priority < b.worstGot {
			b.worstGot = priority
		}
		b.any = true
		return
	}
	b.bestMissing = max(b.bestMissing, priority)
	b.missesAny = true
}

func at(s []uint32, i int) uint32 {
	if s == nil {
		return 0
	}
	return s[i]
}
