package oblivious

import (
	"runtime"
	"sync/atomic"
)

// pool is the goroutines of Workers. To wake a sleeping thread takes longer than
// most of what there is to share, so a helper that has nothing left to do looks
// for more for about that long, and only then ends; the next call starts another.
// So nobody has to end a pool, and one that is not in use costs nothing.
type pool struct {
	helpers    int           // at most so many beside the caller
	spinRounds int           // how often somebody who waits lets others go first, before giving up
	wake       chan struct{} // to a caller that gave up
	yield      func()        // lets others have the processor
	help       func()

	_     [64]byte // what helpers look at is in one line of the cache, with nothing else
	run   func(part int)
	parts int
	left  atomic.Int64 // parts that nobody took; 0 or less if there are none
	open  atomic.Int64 // parts that are not known to be done, and asleep if the caller sleeps
	awake atomic.Int64 // helpers that did not end
	_     [64]byte
}

// asleep is more than any number of parts.
const asleep = 1 << 62

// Who waits spinChecks spinRounds times spinChecks times, which takes about 80 us on a
// processor of 2024: with half of it an epoch of two workers takes longer, with
// twice as much no less. It is a count, as this layer reads no clock. In between it
// lets others have the processor: with several servers of several threads on two
// cores, a fifth of the CPU time would go into looking else.
const (
	spinRounds = 32
	spinChecks = 1 << 13
)

// newPool returns a pool for n workers, of which only as many run as can at once.
func newPool(n int) *pool {
	c := &pool{helpers: min(n, runtime.GOMAXPROCS(0)) - 1, spinRounds: spinRounds, wake: make(chan struct{}, 1), yield: func() {}}
	c.help = c.helper
	return c
}

// each calls run for every part from 0 to parts-1 and returns when all are done.
// Helpers that come late find nothing and are not waited for.
func (c *pool) each(parts int, run func(part int)) {
	c.run, c.parts = run, parts
	c.open.Store(int64(parts))
	c.left.Store(int64(parts)) // from here on helpers take parts
	// One that is just ending is counted, and missed: this call lasts longer.
	for range min(c.helpers, parts-1) - int(c.awake.Load()) {
		c.awake.Add(1)
		go c.help()
	}
	c.take()
	c.wait()
	c.run = nil
}

// take does parts until there are none to take. Only who took a part may read
// run and parts: they stay as they are until it is done.
func (c *pool) take() {
	did := int64(0)
	for left := c.left.Add(-1); left >= 0; left = c.left.Add(-1) {
		c.run(c.parts - 1 - int(left))
		did++
	}
	if did > 0 && c.open.Add(-did) == asleep {
		c.wake <- struct{}{}
		runtime.Gosched() // the caller may go on in this thread
	}
}

// wait returns when all parts are done.
func (c *pool) wait() {
	for range c.spinRounds {
		for range spinChecks {
			if c.open.Load() == 0 {
				return
			}
		}
		c.yield()
	}
	if c.open.Add(asleep) != asleep {
		<-c.wake
	}
}

// helper takes parts of one call after the other.
func (c *pool) helper() {
	for more := true; more; more = c.more() {
		c.take()
	}
	c.awake.Add(-1)
}

// more waits for parts and reports whether there are.
func (c *pool) more() bool {
	for range c.spinRounds {
		for range spinChecks {
			if c.left.Load() > 0 {
				return true
			}
		}
		c.yield()
	}
	return false
}
