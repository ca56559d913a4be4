package token

import (
	"encoding/binary"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/choice"
)

// chunkCells is about how many cells are judged at a time: their MAC inputs and
// tags stay in the nearest caches.
const chunkCells = 512

// Checker judges message cells at an ingestion server. It keeps its scratch
// from one batch to the next and allocates nothing in a steady epoch. Its
// methods must not be called at the same time; several workers take a Checker
// each and share the submissions out between them.
type Checker struct {
	rules  Rules
	keys   []Key
	cells  []entry
	inputs []byte
	tags   []byte
}

// entry is what the checks need of a cell, and what they found so far.
type entry struct {
	recipient, era    uint32
	slot              uint16
	priority, ceiling uint32
	mac               [2]uint64

	real   choice.Mask
	exists choice.Mask
	inTime choice.Mask // e1 <= epoch < e2
	proven choice.Mask // the MAC, its era and the generation are right
	good   choice.Mask // competes with later cells of the submission
}

// NewChecker returns a Checker for the rules and the accepted key eras: MACs
// are computed under each of them for every cell.
func NewChecker(rules Rules, keys []Key) *Checker { return &Checker{rules: rules, keys: keys} }

// Tokens judges cells of the token channel. A cell goes on if its recipient
// exists, its token is authentic, made out to this sender, of an accepted era
// and the current generation, valid in the epoch and for a slot that exists,
// and no earlier cell of the submission that passes these checks names the same
// recipient and slot.
//
// Oblivious in all cells and in the senders' number of real ones; what shows is
// the shape of in, the number of shards and of keys. With n cells, k of them in
// a submission, V shards and t keys: n*(V + k/2) word steps and n*t MACs.
func (c *Checker) Tokens(epoch uint64, dir *Directory, in Cells, out Tokens) error {
	n := in.Count()
	if err := in.check(); err != nil {
		return err
	}
	if len(out.Real) != n || len(out.Status) != n || len(out.Recipient) != n || len(out.Slot) != n {
		return ErrSize
	}
	return c.each(in, func(first, count, base int) {
		cells := c.read(epoch, dir, in, first, count, cell.KindToken)
		c.prove(cell.KindToken, cells)
		for i := range cells {
			x := &cells[i]
			proven := x.proven & choice.Less(uint64(x.slot), uint64(c.rules.Slots))
			valid := x.real & x.exists & proven & x.inTime
			repeated := choice.False
			for j := i - i%in.PerSender; j < i; j++ {
				y := &cells[j]
				repeated |= y.good & choice.Eq(uint64(x.recipient), uint64(y.recipient)) &
					choice.Eq(uint64(x.slot), uint64(y.slot))
			}
			x.good = valid &^ repeated

			status := choice.Select(repeated, uint64(cell.StatusRepeated), uint64(cell.StatusTaken))
			status = choice.Select(x.inTime, status, uint64(cell.StatusWindow))
			status = choice.Select(proven, status, uint64(cell.StatusBadToken))
			status = choice.Select(x.exists, status, uint64(cell.StatusNoRecipient))
			status = choice.Select(x.real, status, uint64(cell.StatusDummy))
			out.Real[base+i] = byte(x.good.Bit())
			out.Status[base+i] = byte(status)
			out.Recipient[base+i] = x.recipient
			out.Slot[base+i] = uint32(x.slot)
		}
	})
}

// Passes judges cells of the ID channel. In the passes mode a cell is a contact
// if its pass is authentic, made out to this sender, of an accepted era and the
// current generation and valid in the epoch; its priority is then what it asks
// for, but at most the pass's ceiling. Any other is a stranger of priority 0,
// which is not an error, and of a submission's strangers to one recipient only
// the first goes on. In the open mode every cell is a contact of the priority
// that it asks for, and there are no MACs.
//
// Oblivious as Tokens is, and of the same cost.
func (c *Checker) Passes(epoch uint64, dir *Directory, in Cells, out Passes) error {
	n := in.Count()
	if err := in.check(); err != nil {
		return err
	}
	if len(out.Real) != n || len(out.Status) != n || len(out.Recipient) != n ||
		len(out.Class) != n || len(out.Priority) != n {
		return ErrSize
	}
	return c.each(in, func(first, count, base int) {
		cells := c.read(epoch, dir, in, first, count, cell.KindPass)
		if !c.rules.Open {
			c.prove(cell.KindPass, cells)
		}
		for i := range cells {
			x := &cells[i]
			contact, repeated := choice.True, choice.False
			priority := uint64(x.priority)
			if !c.rules.Open {
				contact = x.proven & x.inTime & choice.NonZero(x.mac[0]|x.mac[1])
				ceiling := uint64(x.ceiling)
				priority = choice.Select(choice.Less(ceiling, priority), ceiling, priority)
				priority = choice.Select(contact, priority, 0)
				for j := i - i%in.PerSender; j < i; j++ {
					y := &cells[j]
					repeated |= y.good & choice.Eq(uint64(x.recipient), uint64(y.recipient))
				}
				repeated &^= contact
			}
			x.good = x.real & x.exists &^ contact &^ repeated // strangers only

			status := choice.Select(repeated, uint64(cell.StatusRepeated), uint64(cell.StatusTaken))
			status = choice.Select(x.exists, status, uint64(cell.StatusNoRecipient))
			status = choice.Select(x.real, status, uint64(cell.StatusDummy))
			out.Real[base+i] = byte((x.real & x.exists &^ repeated).Bit())
			out.Status[base+i] = byte(status)
			out.Recipient[base+i] = x.recipient
			out.Class[base+i] = byte(contact.Not().Bit())
			out.Priority[base+i] = uint32(priority)
		}
	})
}

// each calls f for runs of whole submissions: the first submission, how many,
// and the place of its first cell in the output.
func (c *Checker) each(in Cells, f func(first, count, base int)) error {
	if in.PerSender == 0 {
		return nil
	}
	step := max(1, chunkCells/in.PerSender)
	if want := step * in.PerSender; len(c.cells) < want {
		c.cells = make([]entry, want)
		c.inputs = make([]byte, want*cell.MACInputBytes)
		c.tags = make([]byte, want*cell.MACBytes)
	}
	for first := 0; first < len(in.Senders); first += step {
		f(first, min(step, len(in.Senders)-first), first*in.PerSender)
	}
	return nil
}

// read fills the scratch from the cells of count submissions and writes the MAC
// inputs for the kind, which is public.
func (c *Checker) read(epoch uint64, dir *Directory, in Cells, first, count int, kind uint8) []entry {
	le := binary.LittleEndian
	channel := cell.ChannelOf(kind)
	cells := c.cells[:count*in.PerSender]
	for i := range count {
		sender := in.Senders[first+i]
		for j := range in.PerSender {
			at := in.First + (first+i)*in.Submission + j*in.Cell
			m := cell.Message(in.Data[at : at+cell.MessageHeader])
			k := i*in.PerSender + j
			x := &cells[k]
			x.real = choice.Eq(uint64(m.Kind()), uint64(cell.Real))
			x.recipient, x.slot = m.Recipient(), m.Slot()
			x.priority, x.ceiling = m.Priority(), m.Ceiling()
			x.era = m.Era()
			x.mac = [2]uint64{le.Uint64(m.MAC()), le.Uint64(m.MAC()[8:])}

			exists, generation := dir.Find(x.recipient)
			x.exists = exists
			x.inTime = choice.LessEq(m.E1(), epoch) & choice.Less(epoch, m.E2())
			x.proven = choice.Eq(uint64(generation), uint64(m.Generation()))

			// What the kind has no use for is not covered, whatever it says.
			slot, ceiling := x.slot, uint32(0)
			if kind == cell.KindPass {
				slot, ceiling = 0, x.ceiling
			}
			cell.PutMACInput(c.inputs[k*cell.MACInputBytes:], kind, channel, slot, sender,
				x.recipient, ceiling, x.era, m.Generation(), m.E1(), m.E2())
		}
	}
	return cells
}

// prove narrows proven to the cells whose MAC is right under the key of their
// era.
func (c *Checker) prove(kind uint8, cells []entry) {
	le := binary.LittleEndian
	n := len(cells)
	for i := range cells {
		cells[i].good = choice.False // here: right under one of the keys
	}
	for _, key := range c.keys {
		key.MAC.Tags(kind, c.inputs[:n*cell.MACInputBytes], c.tags[:n*cell.MACBytes])
		for i := range cells {
			x, tag := &cells[i], c.tags[i*cell.MACBytes:(i+1)*cell.MACBytes]
			difference := (le.Uint64(tag) ^ x.mac[0]) | (le.Uint64(tag[8:]) ^ x.mac[1])
			x.good |= choice.Eq(uint64(key.Era), uint64(x.era)) & choice.Eq(difference, 0)
		}
	}
	for i := range cells {
		cells[i].proven &= cells[i].good
	}
}
