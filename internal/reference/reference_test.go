package reference

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// honest says that a MAC is right if its first byte is 1.
func honest(g Grant) bool { return g.MAC[0] == 1 }

func sent(recipient uint32, priority uint32, body string) Cell {
	return Cell{Real: true, Priority: priority, Grant: Grant{Recipient: recipient}, Body: body}
}

// TestByHand works an epoch out by hand: three clients, of which client 2 can
// get one contact and one stranger and has one slot.
func TestByHand(t *testing.T) {
	p := &Parameters{Contact: 1, Stranger: 1, Slots: 1, Eras: []uint32{1},
		Users: []uint32{3}, Generations: []uint32{0}}
	admitted := func(c Cell, ceiling uint32) Cell {
		c.Grant.Ceiling, c.Grant.Era, c.Grant.E1, c.Grant.E2, c.Grant.MAC = ceiling, 1, 5, 6, [16]byte{1}
		return c
	}
	token := admitted(sent(2, 0, "token"), 0)
	submissions := []Submission{
		{Sender: 0, ID: []Cell{sent(2, 9, "stranger"), sent(2, 9, "again"), admitted(sent(2, 9, "low"), 3)}, Token: []Cell{token, token}},
		{Sender: 1, ID: []Cell{admitted(sent(2, 4, "high"), 8), sent(3, 0, "nobody"), {}}, Token: []Cell{sent(2, 0, "forged"), {}}},
		{Sender: 2, ID: []Cell{sent(2, 0, "to myself"), sent(0, 0, "hello"), {}}, Token: []Cell{{}, {}}},
	}
	tie := func(sender uint32, _ uint16) uint64 { return uint64(10 - sender) } // the later sender wins
	want := Outcome{
		Mailboxes: map[uint32][]Message{
			2: {{true, 1, "high"}, {true, 2, "to myself"}, {true, 0, "token"}},
			0: {{}, {true, 2, "hello"}, {}},
		},
		Statuses: map[uint32][]byte{
			0: {StatusTaken, StatusRepeated, StatusTaken, StatusTaken, StatusRepeated},
			1: {StatusTaken, StatusNoRecipient, StatusDummy, StatusBadToken, StatusDummy},
			2: {StatusTaken, StatusTaken, StatusDummy, StatusDummy, StatusDummy},
		},
		OverLimit: map[uint32]int{2: 2},
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		got := Epoch(p, 5, submissions, tie, honest)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("\n got %v\nwant %v", got, want)
		}
		// The order in which submissions come does not matter.
		rng.Shuffle(len(submissions), func(i, j int) {
			submissions[i], submissions[j] = submissions[j], submissions[i]
		})
	}
	// A passed epoch: the grants are no longer valid.
	got := Epoch(p, 6, submissions, tie, honest)
	if got.Statuses[0][3] != StatusNotValidNow || got.Mailboxes[2][0].Real {
		t.Errorf("after the grants' end: %v", got)
	}
}

// TestControlByHand issues a slot's tokens one after the other.
func TestControlByHand(t *testing.T) {
	p := &Parameters{Contact: 1, Slots: 2, Lmax: 4, Hmax: 8, Users: []uint32{3}, Generations: []uint32{0}}
	c := &Control{}
	for i, step := range []struct {
		kind   uint8
		slot   uint16
		e1, e2 uint64
		want   uint8
	}{
		{Token, 0, 11, 13, AnswerWindow}, // now is 10
		{Token, 0, 12, 16, AnswerIssued},
		{Token, 0, 15, 17, AnswerOverlap},
		{Token, 0, 12, 13, AnswerOverlap},
		{Token, 1, 15, 17, AnswerIssued},
		{Token, 1, 12, 14, AnswerOverlap}, // watermarks only rise
		{Token, 0, 16, 18, AnswerIssued},
		{Token, 0, 18, 19, AnswerWindow},
		{Token, 0, 18, 18, AnswerWindow},
		{Token, 2, 12, 13, AnswerBad},
		{Pass, 9, 12, 16, AnswerIssued},
		{Pass, 9, 12, 16, AnswerIssued},
		{Pass, 0, 12, 17, AnswerWindow},
		{3, 0, 12, 13, AnswerBad},
		{0, 0, 0, 0, AnswerNone},
	} {
		r := Request{Kind: step.kind, Slot: step.slot, E1: step.e1, E2: step.e2}
		if got := c.Answer(p, 10, 1, 2, []Request{r})[0]; got.Status != step.want {
			t.Errorf("step %d: status %d, want %d", i, got.Status, step.want)
		}
	}
	// Where passes have no use there are none.
	for _, p := range []*Parameters{{Lmax: 4, Hmax: 8, Contact: 1, Open: true}, {Lmax: 4, Hmax: 8, Slots: 1}} {
		p.Users, p.Generations = []uint32{3}, []uint32{0}
		if got := c.Answer(p, 10, 1, 2, []Request{{Kind: Pass, E1: 12, E2: 14}})[0]; got.Status != AnswerBad {
			t.Errorf("a pass in %+v: status %d", *p, got.Status)
		}
	}
}
