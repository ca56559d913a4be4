package commit

// synced drives a machine over a store that makes every write durable at once.
type synced struct {
	*Machine
	disk *memStore
	sent []Message
}

func (m *synced) sync() {
	for {
		r := m.Machine.Ready()
		m.sent = append(m.sent, r.Messages...)
		if r.Batch.Number == 0 {
			return
		}
		if err := r.Batch.Apply(m.disk); err != nil {
			m.Failed(err)
			return
		}
		m.Persisted(r.Batch.Number)
	}
}

// after drives the machine, and returns err or why it stopped.
func (m *synced) after(err error) error {
	m.sync()
	if err == nil {
		err = m.Conflict()
	}
	return err
}

func (m *synced) Step(from int, v Vote) error { return m.after(m.Machine.Step(from, v)) }
func (m *synced) Finish() error               { return m.after(m.Machine.Finish()) }

func (m *synced) Prepare(attempt uint16, a ID, tag Tag, state ...[]byte) error {
	return m.after(m.Machine.Prepare(attempt, a, tag, state...))
}

// Ready returns the votes that may be sent.
func (m *synced) Ready() []Message {
	m.sync()
	out := m.sent
	m.sent = nil
	return out
}
