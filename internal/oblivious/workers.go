package oblivious

// Workers runs the primitives of this package on a fixed number of workers and
// keeps their scratch memory. It is not for concurrent use.
type Workers struct {
	n     int
	pool  *pool
	least int // steps, of a nanosecond or so, that are worth waking a worker for

	ranks   []uint32
	totals  []uint32 // counters of all parts
	limits  []uint32 // running deficits
	offsets []int    // of the sections of a split
	cols    []Rows   // columns of the running primitive, labels first
	nodes   []node   // subtrees of a split
	spare   []node
	entries []uint64 // of Destinations
	marks   []byte
	packed  []uint64 // elements being sorted

	words   wordNet
	pairs   pairNet
	headers headerNet
}

// NewWorkers returns t workers; t is at least 1.
func NewWorkers(t int) *Workers {
	if t < 1 {
		panic("oblivious: the number of workers is less than 1")
	}
	return &Workers{n: t, pool: newPool(t), least: 1 << 15}
}

// Yield says how who waits for work lets other threads have the processor, which
// this layer has no means for. Without it nobody is let go first.
func (w *Workers) Yield(yield func()) { w.pool.yield = yield }

// Alone returns as many Workers of one worker each, for independent pieces of
// work that parts of an Each do side by side.
func (w *Workers) Alone() []*Workers {
	if w.n == 1 {
		return []*Workers{w}
	}
	alone := make([]*Workers, w.n)
	for i := range alone {
		alone[i] = NewWorkers(1)
	}
	return alone
}

// Count returns the number of workers.
func (w *Workers) Count() int { return w.n }

// Each calls f once for every part from 0 to parts-1, in any order, on all
// workers, and returns when all are done. Parts are a public split of the
// work; they must not wait for each other, and f must not call w. With one
// worker they run in order.
func (w *Workers) Each(parts int, f func(part int)) {
	if w.n == 1 || parts <= 1 {
		for part := range parts {
			f(part)
		}
		return
	}
	w.pool.each(parts, f)
}

// cut returns where part begins when n things are cut into parts.
func cut(n, parts, part int) int { return int(uint64(n) * uint64(part) / uint64(parts)) }

// parts returns into how many parts to cut work of so many small steps, one
// if it is not worth more. It does not change results.
func (w *Workers) parts(steps int) int {
	if w.n == 1 || steps < w.least {
		return 1
	}
	return w.n
}

// grow returns s with length n, reallocated if it is too small.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
