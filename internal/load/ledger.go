package load

import "sync"

// ledger holds the tallies of the epochs that are not complete yet, and the
// account of those that are.
type ledger struct {
	plan        *planner
	limit       [channels]int
	first, last uint64
	closed      func(epoch uint64, a Account, problems []string)

	mu    sync.Mutex
	open  map[uint64]*tally // guarded by mu, as all that follows
	sum   Account
	ended uint64 // complete epochs from first on, void ones too
	done  chan struct{}
}

func newLedger(plan *planner, limit [channels]int, first, last uint64, closed func(uint64, Account, []string)) *ledger {
	return &ledger{
		plan: plan, limit: limit, first: first, last: last, closed: closed,
		open: map[uint64]*tally{}, sum: Account{ReferenceMatch: true}, done: make(chan struct{}),
	}
}

// counts says whether messages are sent in an epoch, and counted.
func (l *ledger) counts(epoch uint64) bool { return epoch >= l.first && epoch <= l.last }

// tally is that of an epoch that counts.
func (l *ledger) tally(epoch uint64) *tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.open[epoch]
	if t == nil {
		t = newTally(epoch, l.plan, l.limit)
		l.open[epoch] = t
	}
	return t
}

// finish closes an epoch that is complete.
func (l *ledger) finish(t *tally) {
	a, problems := t.close()
	l.plan.forget(t.epoch)
	l.mu.Lock()
	delete(l.open, t.epoch)
	l.sum.add(&a)
	l.ended++
	last := l.ended == l.last-l.first+1
	l.mu.Unlock()
	l.closed(t.epoch, a, problems)
	if last {
		close(l.done)
	}
}

// account is that of all epochs that are complete.
func (l *ledger) account() Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sum
}
