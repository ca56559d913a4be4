package commit

// Write is one durable change: the value under Name is replaced by the
// concatenation of Parts, all or nothing, or removed if Delete is set.
type Write struct {
	Name   string
	Parts  [][]byte
	Delete bool
}

// Batch is durable writes in order. The driver makes them durable in this order,
// batch after batch, and then calls [Machine.Persisted] with the number. A crash
// may leave any prefix of all writes that were handed out; it never leaves a
// write without the ones before it.
//
// Number is 0 if there are no writes. The parts are leased: nobody changes them
// until Persisted or Failed has been called for the batch.
type Batch struct {
	Number uint64
	Writes []Write
}

// Apply makes the writes durable in a store, one after the other. It is the
// driver of a server whose store returns only when a value is durable.
func (b Batch) Apply(s Store) error {
	for _, w := range b.Writes {
		var err error
		if w.Delete {
			err = s.Delete(w.Name)
		} else {
			err = s.Put(w.Name, w.Parts...)
		}
		if err != nil {
			return &fault{ErrStore, "writing " + w.Name, err}
		}
	}
	return nil
}

// Ready is what a machine wants done: writes to be made durable, and votes that
// may be sent now, because everything that they say is durable already.
type Ready struct {
	Batch    Batch
	Messages []Message
}

// queue adds a write to the batch that the next Ready hands out, and returns
// the number of that batch.
func (m *Machine) queue(w Write) uint64 {
	m.writes = append(m.writes, w)
	return m.handed + 1
}

// durable reports whether the batch with this number is known to be durable.
func (m *Machine) durable(number uint64) bool { return number <= m.persisted }

// Ready returns the writes queued since it was last called, and the votes whose
// writes are durable. Votes whose writes are not durable wait for Persisted.
func (m *Machine) Ready() Ready {
	var r Ready
	if len(m.writes) > 0 {
		m.handed++
		r.Batch = Batch{m.handed, m.writes}
		m.writes = nil
	}
	held := m.out[:0:0]
	for _, o := range m.out {
		if m.durable(o.needs) {
			r.Messages = append(r.Messages, o.Message)
		} else {
			held = append(held, o)
		}
	}
	m.out = held
	return r
}

// Persisted says that a batch, and all batches before it, are durable. Votes
// that waited for it come out of the next Ready, and Final may become true.
func (m *Machine) Persisted(number uint64) {
	m.persisted = max(m.persisted, min(number, m.handed))
}

// Failed says that a batch could not be made durable. What the disk holds is
// then unknown, so the machine stops for good with ErrStore.
func (m *Machine) Failed(err error) {
	_ = m.halt(&fault{ErrStore, "a batch of writes failed", err})
}
