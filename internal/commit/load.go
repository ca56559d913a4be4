package commit

// load reads what is durable, and queues the deletions that an interrupted
// Finish left undone.
func (m *Machine) load(genesis EpochHead) error {
	last, err := m.readOutcome(nameFinal)
	if err != nil {
		return err
	}
	if last != nil {
		if last.epoch == 1 && last.prev != genesis {
			return fail(ErrCorrupt, nameFinal+" belongs to another cluster")
		}
		m.last, m.head, m.epoch = last, last.head, last.epoch+1
	}
	epoch, listed, err := m.readAttempts()
	if err != nil {
		return err
	}
	decided, err := m.readOutcome(nameDecided)
	if err != nil {
		return err
	}
	if epoch > m.epoch || decided != nil && decided.epoch > m.epoch {
		return fail(ErrCorrupt, "the store has epochs beyond "+number(m.epoch)+" without the one before")
	}
	if listed != nil && decided != nil && decided.epoch != epoch {
		return fail(ErrCorrupt, nameDecided+" and "+nameAttempts+" are of different epochs")
	}
	if listed != nil && epoch < m.epoch || decided != nil && decided.epoch < m.epoch {
		m.clear(epoch, listed)
		return nil
	}
	m.listed = listed
	if err := m.loadPrepared(); err != nil {
		return err
	}
	return m.loadDecided(decided)
}

// loadPrepared reads the listed attempts. One that is listed and not there was
// never prepared: the crash came between the two.
func (m *Machine) loadPrepared() error {
	for _, attempt := range m.listed {
		p, _, err := m.readPrepared(attempt)
		if notFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		m.prepared = append(m.prepared, p)
	}
	return nil
}

func (m *Machine) loadDecided(d *outcome) error {
	if d == nil {
		return nil
	}
	if d.prev != m.head || len(d.tags) != m.servers {
		return fail(ErrCorrupt, nameDecided+" does not follow "+nameFinal+" with the same servers")
	}
	if !m.holds(d.attempt, d.a, d.tags[m.self]) {
		return fail(ErrCorrupt, nameDecided+" names an attempt whose data is gone")
	}
	m.decided = d
	return nil
}

// readOutcome returns nil if there is none.
func (m *Machine) readOutcome(name string) (*outcome, error) {
	b, err := m.store.Get(name)
	if notFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, &fault{ErrStore, "reading " + name, err}
	}
	o, ok := decodeOutcome(b)
	if !ok {
		return nil, fail(ErrCorrupt, name)
	}
	return o, nil
}

func (m *Machine) readAttempts() (epoch uint64, listed []uint16, err error) {
	b, err := m.store.Get(nameAttempts)
	if notFound(err) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, &fault{ErrStore, "reading " + nameAttempts, err}
	}
	epoch, listed, ok := decodeAttempts(b)
	if !ok {
		return 0, nil, fail(ErrCorrupt, nameAttempts)
	}
	return epoch, listed, nil
}

func (m *Machine) readPrepared(attempt uint16) (prepared, []byte, error) {
	name := namePrepared(m.epoch, attempt)
	b, err := m.store.Get(name)
	if err != nil {
		return prepared{}, nil, &fault{ErrStore, "reading " + name, err}
	}
	epoch, p, state, ok := decodePrepared(b)
	if !ok || epoch != m.epoch || p.attempt != attempt {
		return prepared{}, nil, fail(ErrCorrupt, name)
	}
	return p, state, nil
}
