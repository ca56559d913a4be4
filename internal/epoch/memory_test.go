package epoch_test

import (
	"testing"

	"github.com/teems-go/teems/internal/epoch"
)

// counted is memory that knows which arrays are in use.
type counted map[*byte]bool

func (c counted) Get(n int) []byte {
	b := make([]byte, max(1, n))
	c[&b[0]] = true
	return b[:n]
}

func (c counted) Put(b []byte) {
	if cap(b) > 0 {
		delete(c, &b[:1][0])
	}
}

// A host that has epochs decided by an attempt while the next one waits for its
// last frames does not make servers keep more and more memory.
func TestMemoryOfOvertakenAttempts(t *testing.T) {
	var memory []counted
	c := newClusterWith(t, "token", 64, 2, 1, func(cfg *epoch.Config) {
		memory = append(memory, counted{})
		cfg.Memory = memory[len(memory)-1]
	})
	propose := func(e uint64, n uint16) {
		t.Helper()
		for _, s := range c.servers {
			if err := s.Propose(e, n, fullRoster(64)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var before [2]int
	for e := uint64(1); e <= 9; e++ {
		c.give(e)
		c.drain()
		propose(e, 1)
		if e%3 == 2 {
			votes := c.drainHold(func(_, _ int, h epoch.Header) bool { return h.Kind == epoch.Prepared })
			propose(e, 2)
			c.drainHold(func(_, _ int, h epoch.Header) bool { return h.Kind == epoch.Members || h.Kind == epoch.Prepared })
			for _, v := range votes {
				c.servers[1-v.from].Frame(v.from, v.h, v.b)
			}
		}
		c.drain()
		for i, s := range c.servers {
			if s.Status().Committed != e {
				t.Fatalf("epoch %d: server %d has committed %d", e, i, s.Status().Committed)
			}
			if e == 4 {
				before[i] = len(memory[i])
			}
			if e > 4 && e%3 == 1 && len(memory[i]) != before[i] {
				t.Errorf("epoch %d: server %d uses %d arrays, and %d before", e, i, len(memory[i]), before[i])
			}
		}
	}
}
