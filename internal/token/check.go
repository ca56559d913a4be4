package token

import (
	"encoding/binary"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/oblivious"
)

// chunkCells is about how many cells are judged at a time: what is noted of
// them stays in the nearest cache.
const chunkCells = 256

// Checker judges message cells at an ingestion server, on all workers. It keeps
// its scratch from one batch to the next and allocates nothing in a steady
// epoch. Its methods must not be called at the same time, nor while its workers
// are in use elsewhere.
type Checker struct {
	rules   Rules
	keys    []Key
	workers *oblivious.Workers
	scratch []scratch // of each part
	parts   int       // of the batch
	run     func(part int)

	// The batch that is being judged. Of tokens and passes, one is used.
	epoch  uint64
	dir    *Directory
	in     Cells
	kind   uint8
	tokens Tokens
	passes Passes
}

// scratch is what a part of a batch needs for a chunk of cells.
type scratch struct {
	cells  []entry
	inputs []byte
	tags   []byte

	recipients, exists, generations []uint32
}

// entry is what the checks need of a cell, and what they found so far.
type entry struct {
	recipient, era    uint32
	generation        uint32
	slot              uint16
	priority, ceiling uint32
	mac               [2]uint64

	real   choice.Mask
	exists choice.Mask
	inTime choice.Mask // e1 <= epoch < e2
	proven choice.Mask // the MAC, its era and the generation are right
	good   choice.Mask // competes with later cells of the submission
}

// NewChecker returns a Checker for the rules and the accepted key eras, on the
// workers: MACs are computed under each key for every cell.
func NewChecker(rules Rules, keys []Key, w *oblivious.Workers) *Checker {
	c := &Checker{rules: rules, keys: keys, workers: w, scratch: make([]scratch, w.Count())}
	c.run = c.judge
	return c
}

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
	c.tokens = out
	c.each(epoch, dir, in, cell.KindToken)
	return nil
}

// judgeTokens is Tokens of a chunk; base is the place of its first cell in the
// output.
func (c *Checker) judgeTokens(cells []entry, base int) {
	out, per := &c.tokens, c.in.PerSender
	for i := range cells {
		x := &cells[i]
		proven := x.proven & choice.Less(uint64(x.slot), uint64(c.rules.Slots))
		valid := x.real & x.exists & proven & x.inTime
		repeated := choice.False
		for j := i - i%per; j < i; j++ {
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
}

// Passes judges cells of the ID channel. In the passes mode a cell is a contact
// if its pass is authentic, made out to this sender, of an accepted era and the
// current generation and valid in the epoch; its priority is then what it asks
// for, but at most the pass's ceiling. Any other is a stranger of priority 0,
// which is not an error, and of a submission's strangers to one recipient only
// the first goes on. In the open mode every cell is a contact of the priority
// that it asks for, and no MAC is computed.
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
	c.passes = out
	c.each(epoch, dir, in, cell.KindPass)
	return nil
}

// judgePasses is Passes of a chunk; base is the place of its first cell in the
// output.
func (c *Checker) judgePasses(cells []entry, base int) {
	out, per := &c.passes, c.in.PerSender
	for i := range cells {
		x := &cells[i]
		contact, repeated := choice.True, choice.False
		priority := uint64(x.priority)
		if c.rules.Passes {
			contact = x.proven & x.inTime & choice.NonZero(x.mac[0]|x.mac[1])
			ceiling := uint64(x.ceiling)
			priority = choice.Select(choice.Less(ceiling, priority), ceiling, priority)
			priority = choice.Select(contact, priority, 0)
			for j := i - i%per; j < i; j++ {
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
}

// each judges the cells of in on all workers: each takes a run of submissions.
func (c *Checker) each(epoch uint64, dir *Directory, in Cells, kind uint8) {
	if in.PerSender == 0 {
		return
	}
	c.epoch, c.dir, c.in, c.kind = epoch, dir, in, kind
	c.parts = min(len(c.scratch), 1+in.Count()/chunkCells)
	c.workers.Each(c.parts, c.run)
	c.dir, c.in, c.tokens, c.passes = nil, Cells{}, Tokens{}, Passes{}
}

// judge judges a part of the batch, chunk by chunk of whole submissions.
func (c *Checker) judge(part int) {
	per, n, parts := c.in.PerSender, len(c.in.Senders), c.parts
	step := max(1, chunkCells/per)
	s := &c.scratch[part]
	if want := step * per; len(s.cells) < want {
		*s = scratch{make([]entry, want), make([]byte, want*cell.MACInputBytes), make([]byte, want*cell.MACBytes),
			make([]uint32, want), make([]uint32, want), make([]uint32, want)}
	}
	for first, end := n*part/parts, n*(part+1)/parts; first < end; first += step {
		cells := c.read(s, first, min(step, end-first))
		if c.kind == cell.KindToken {
			c.prove(s, cells)
			c.judgeTokens(cells, first*per)
			continue
		}
		if c.rules.Passes {
			c.prove(s, cells)
		}
		c.judgePasses(cells, first*per)
	}
}

// read fills the scratch from the cells of count submissions and writes the MAC
// inputs for the kind, which is public.
func (c *Checker) read(s *scratch, first, count int) []entry {
	le := binary.LittleEndian
	in, kind, channel := &c.in, c.kind, cell.ChannelOf(c.kind)
	cells := s.cells[:count*in.PerSender]
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
			s.recipients[k] = x.recipient
			x.inTime = choice.LessEq(m.E1(), c.epoch) & choice.Less(c.epoch, m.E2())
			x.generation = m.Generation()

			// What the kind has no use for is not covered, whatever it says.
			slot, ceiling := x.slot, uint32(0)
			if kind == cell.KindPass {
				slot, ceiling = 0, x.ceiling
			}
			cell.PutMACInput(s.inputs[k*cell.MACInputBytes:], kind, channel, slot, sender,
				x.recipient, ceiling, x.era, x.generation, m.E1(), m.E2())
		}
	}
	n := len(cells)
	c.dir.Find(s.recipients[:n], s.exists[:n], s.generations[:n])
	for k := range cells {
		x := &cells[k]
		x.exists = choice.FromBit(uint64(s.exists[k]))
		x.proven = choice.Eq(uint64(s.generations[k]), uint64(x.generation))
	}
	return cells
}

// prove narrows proven to the cells whose MAC is right under the key of their
// era.
func (c *Checker) prove(s *scratch, cells []entry) {
	le := binary.LittleEndian
	n := len(cells)
	for i := range cells {
		cells[i].good = choice.False // here: right under one of the keys
	}
	for _, key := range c.keys {
		key.MAC.Tags(c.kind, s.inputs[:n*cell.MACInputBytes], s.tags[:n*cell.MACBytes])
		for i := range cells {
			x, tag := &cells[i], s.tags[i*cell.MACBytes:(i+1)*cell.MACBytes]
			difference := (le.Uint64(tag) ^ x.mac[0]) | (le.Uint64(tag[8:]) ^ x.mac[1])
			x.good |= choice.Eq(uint64(key.Era), uint64(x.era)) & choice.Eq(difference, 0)
		}
	}
	for i := range cells {
		cells[i].proven &= cells[i].good
	}
}
