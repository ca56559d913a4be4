package reference

import "sort"

// Statuses that a sender learns of its cells.
const (
	StatusDummy       = 0
	StatusTaken       = 1
	StatusNoRecipient = 2
	StatusBadToken    = 3
	StatusNotValidNow = 4
	StatusRepeated    = 5
)

// Cell is a message cell of a submission. Grant's sender is not looked at: it is
// whoever sent the submission.
type Cell struct {
	Real     bool
	Priority uint32 // asked for; ID channel
	Grant    Grant  // its Recipient is where the message goes
	Body     string
}

// Submission is what one client sent for the epoch, as accepted.
type Submission struct {
	Sender uint32
	ID     []Cell
	Token  []Cell
}

// Message is a cell of a mailbox. The zero Message is a dummy.
type Message struct {
	Real   bool
	Sender uint32
	Body   string
}

// Outcome is all that an epoch does to messages.
type Outcome struct {
	// Mailboxes holds the cells of every client that got a message: contacts
	// by rank, strangers by rank, token slots.
	Mailboxes map[uint32][]Message
	// Statuses holds a status per cell of each sender, ID channel first.
	Statuses map[uint32][]byte
	// OverLimit says how many of the messages to a client did not survive.
	OverLimit map[uint32]int
}

// candidate is a message of the ID channel that is contested.
type candidate struct {
	message  Message
	priority uint32
	tie      uint64
	sender   uint32
	index    int
}

// Epoch returns the outcome of the epoch. Ties are drawn by tie; verify checks
// MACs. No sender occurs twice in submissions.
func Epoch(p *Parameters, epoch uint64, submissions []Submission,
	tie func(sender uint32, index uint16) uint64, verify func(Grant) bool) Outcome {
	out := Outcome{map[uint32][]Message{}, map[uint32][]byte{}, map[uint32]int{}}
	mailbox := func(c uint32) []Message {
		if out.Mailboxes[c] == nil {
			out.Mailboxes[c] = make([]Message, p.Contact+p.Stranger+p.Slots)
		}
		return out.Mailboxes[c]
	}
	var contested [2]map[uint32][]candidate
	contested[0], contested[1] = map[uint32][]candidate{}, map[uint32][]candidate{}

	for _, s := range submissions {
		statuses := []byte{}
		strange := map[uint32]bool{} // recipients this sender was a stranger to
		for index, c := range s.ID {
			to := c.Grant.Recipient
			class, priority := p.admit(epoch, s.Sender, c, verify)
			status := byte(StatusTaken)
			switch {
			case !c.Real:
				status = StatusDummy
			case !p.Exists(to):
				status = StatusNoRecipient
			case class == 1 && strange[to]:
				status = StatusRepeated
			default:
				strange[to] = strange[to] || class == 1
				contested[class][to] = append(contested[class][to], candidate{
					Message{true, s.Sender, c.Body}, priority,
					tie(s.Sender, uint16(index)), s.Sender, index})
			}
			statuses = append(statuses, status)
		}
		used := map[[2]uint32]bool{}
		for _, c := range s.Token {
			g := c.Grant
			g.Kind, g.Sender, g.Ceiling = Token, s.Sender, 0
			use := [2]uint32{g.Recipient, uint32(g.Slot)}
			valid, proven := p.valid(g, epoch, verify)
			status := byte(StatusTaken)
			switch {
			case !c.Real:
				status = StatusDummy
			case !p.Exists(g.Recipient):
				status = StatusNoRecipient
			case !proven:
				status = StatusBadToken
			case !valid:
				status = StatusNotValidNow
			case used[use]:
				status = StatusRepeated
			default:
				used[use] = true
				mailbox(g.Recipient)[p.Contact+p.Stranger+int(g.Slot)] = Message{true, s.Sender, c.Body}
			}
			statuses = append(statuses, status)
		}
		out.Statuses[s.Sender] = statuses
	}

	for class, room := range []int{p.Contact, p.Stranger} {
		first := class * p.Contact
		for to, all := range contested[class] {
			sort.Slice(all, func(i, j int) bool { return all[i].before(all[j]) })
			for rank, c := range all {
				if rank < room {
					mailbox(to)[first+rank] = c.message
				} else {
					out.OverLimit[to]++
				}
			}
		}
	}
	return out
}

// admit returns the class and the priority in which a cell competes.
func (p *Parameters) admit(epoch uint64, sender uint32, c Cell, verify func(Grant) bool) (class int, priority uint32) {
	if p.Open {
		return 0, c.Priority
	}
	g := c.Grant
	g.Kind, g.Sender, g.Slot = Pass, sender, 0
	valid, _ := p.valid(g, epoch, verify)
	if !valid || g.MAC == [16]byte{} {
		return 1, 0
	}
	return 0, min(c.Priority, g.Ceiling)
}

func (c candidate) before(o candidate) bool {
	if c.priority != o.priority {
		return c.priority > o.priority
	}
	if c.tie != o.tie {
		return c.tie < o.tie
	}
	if c.sender != o.sender {
		return c.sender < o.sender
	}
	return c.index < o.index
}
