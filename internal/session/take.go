package session

import (
	"slices"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/record"
)

// Taken is what clients submitted for one epoch, by slot.
type Taken struct {
	Count   int
	Cells   []byte // CellBytes each
	Present []bool
	Tag     [][cell.TagBytes]byte // of the sealed cell
}

// Cell is the plaintext that the client at the slot submitted; meaningless if
// it is not Present.
func (t *Taken) Cell(slot, width int) []byte { return t.Cells[slot*width : (slot+1)*width] }

// room makes the place for the open epoch's cells, if a batch brings one that
// may be taken. Most epochs have one place at a time: clients submit when the
// epoch before is final, and what it took is given back by then.
func (t *Table) room(batch []Cell) {
	if t.pending != nil || !slices.ContainsFunc(batch, func(c Cell) bool { return t.fits(&c) == 0 }) {
		return
	}
	if t.pending, t.spare = t.spare, nil; t.pending != nil {
		return
	}
	n, m := t.cfg.Slots, t.cfg.Memory
	t.pending = &Taken{Cells: m.Get(n * t.cfg.CellBytes), Present: record.Make[bool](m, n), Tag: record.Make[[cell.TagBytes]byte](m, n)}
}

// fits says whether a cell may be one for the open epoch, or why not; WrongEpoch
// of one that is right but for its epoch.
func (t *Table) fits(c *Cell) Refusal {
	switch {
	case c.Type != t.typ || len(c.Sealed) != t.cfg.CellBytes+cell.TagBytes:
		return WrongSize
	case c.Sequence == 0:
		return OldSequence
	case c.Epoch != t.open:
		return WrongEpoch
	}
	return 0
}

// Open is the epoch that takes submissions.
func (t *Table) Open() uint64 { return t.open }

// Submissions is the number of cells taken for the open epoch.
func (t *Table) Submissions() int {
	if t.pending == nil {
		return 0
	}
	return t.pending.Count
}

// Take ends submission for the open epoch and opens the next one. What it
// returns, nil if nothing came, is valid until it is given back with Return.
func (t *Table) Take() *Taken {
	taken := t.pending
	t.open++
	t.pending = nil
	return taken
}

// Return gives back what Take returned. Its memory is kept for the next epoch,
// and a second one as long as somebody submits while an epoch is routed.
func (t *Table) Return(taken *Taken) {
	if taken == nil {
		return
	}
	if s := t.spare; s != nil {
		t.cfg.Memory.Put(s.Cells)
		record.Drop(t.cfg.Memory, s.Present)
		record.Drop(t.cfg.Memory, s.Tag)
	}
	clear(taken.Present)
	taken.Count = 0
	t.spare = taken
}

// Cells opens, in parallel, the cells of a batch that are of this table's type.
// It returns those that were refused, those of no session first, then in the
// order of their workers; and the sessions that results and deliveries go to
// from now on. Both are valid until the next call. Visible: which cells
// authenticate.
func (t *Table) Cells(batch []Cell) (refused []Refused, fresh []Handle) {
	t.room(batch)
	t.refused, t.fresh = t.refused[:0], t.fresh[:0]
	parts := t.parts(len(batch))
	t.find(batch, parts)
	t.cfg.Workers.Each(parts, func(p int) {
		l := &t.lanes[p]
		l.refused, l.fresh, l.taken = l.refused[:0], l.fresh[:0], 0
		for i, h := range t.found {
			// All cells of a client are one worker's.
			if h == none || parts > 1 && int(t.entry(h).slot)%parts != p {
				continue
			}
			c := &batch[i]
			if code := t.take(l, h, c); code != 0 {
				l.refused = append(l.refused, Refused{c.Session, code, c.Epoch})
			}
		}
	})
	for p := range parts {
		l := &t.lanes[p]
		if l.taken > 0 {
			t.pending.Count += l.taken
		}
		t.refused = append(t.refused, l.refused...)
		t.fresh = append(t.fresh, l.fresh...)
	}
	return t.refused, t.fresh
}

// find looks up the sessions of a batch, one after the other: what one needs from
// memory does not wait for what another does. Those that there are not it refuses.
func (t *Table) find(batch []Cell, parts int) {
	t.found = slices.Grow(t.found[:0], len(batch))[:len(batch)]
	t.cfg.Workers.Each(parts, func(p int) {
		l := &t.lanes[p]
		l.refused = l.refused[:0]
		for i := len(batch) * p / parts; i < len(batch)*(p+1)/parts; i++ {
			c := &batch[i]
			t.found[i] = none
			if c.Type != t.typ {
				continue
			}
			if h, ok := t.Find(c.Session); ok {
				t.found[i] = h
			} else {
				l.refused = append(l.refused, Refused{c.Session, NotAttached, c.Epoch})
			}
		}
	})
	for p := range parts {
		t.refused = append(t.refused, t.lanes[p].refused...)
	}
}

// take opens one cell into its client's place, or says why not. One that is an
// epoch late is not taken, and proves its client nevertheless: who always is, as
// clients on slow connections may be, gets deliveries.
func (t *Table) take(l *lane, h Handle, c *Cell) Refusal {
	s := t.entry(h)
	slot := int(s.slot)
	who := &t.clients[slot]
	code := t.fits(c)
	late := code == WrongEpoch && c.Epoch+1 == t.open
	if code != 0 && !late {
		return code
	}
	if s.salt == who.salt && c.Sequence <= who.sequence {
		return OldSequence
	}
	cell.PutUpNonce(&l.nonce, c.Sequence, c.Type)
	l.ad = cell.MakeAD(&t.cfg.Cluster, cell.Up, t.cfg.Role, c.Type, t.cfg.Server)
	l.ad.SetEpoch(c.Epoch)
	l.ad.SetClient(s.client)
	// The first cell of an epoch is opened where it stays; what does not
	// authenticate leaves zeros there.
	taken := !late && t.pending.Present[slot]
	to := l.plain[:0]
	if !taken && !late {
		to = t.pending.Cell(slot, t.cfg.CellBytes)[:0]
	}
	if _, err := t.cfg.AEAD(&s.up).Open(to, l.nonce[:], c.Sealed, l.ad[:]); err != nil {
		return BadTag
	}
	// The cell is new, and its client's: what is addressed to the client comes
	// here from now on.
	who.proof = proof{s.salt, c.Sequence}
	if who.active != h+1 {
		who.active = h + 1
		l.fresh = append(l.fresh, h)
	}
	if late {
		return WrongEpoch
	}
	if taken {
		return AlreadySubmitted
	}
	t.pending.Present[slot] = true
	t.pending.Tag[slot] = cell.Tag(c.Sealed)
	l.taken++
	return 0
}
