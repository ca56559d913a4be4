package oblivious

import (
	"math/bits"

	"github.com/teems-go/teems/internal/kernel"
)

// Compact moves the records whose mark is 1 to the front, in order, and the
// others behind them, in any order; all columns by one permutation. A mark is
// the lowest bit of its byte. marks is unchanged.
//
// Oblivious in marks and records; leaks lengths and widths only. At most
// (n/2)*log2(n) conditional swaps a column when n is a power of two, less than
// n more otherwise: ORCompact of Sasy, Johnson and Goldberg, "Fast Fully
// Oblivious Compaction and Shuffling", CCS 2022.
func (w *Workers) Compact(marks []byte, cols ...Rows) {
	w.start(len(marks), cols)
	w.rankMarks(marks, w.ranks)
	for _, c := range w.cols {
		w.compact(c, w.ranks)
	}
	w.stop()
}

// Expand undoes Compact: the first k records, k being the number of marks,
// move, in order, to the k marked positions; the others fill the rest in any
// order. marks is unchanged.
//
// Oblivious in marks and records; leaks lengths and widths only. Cost and
// source as for Compact, whose network it runs backwards.
func (w *Workers) Expand(marks []byte, cols ...Rows) {
	w.start(len(marks), cols)
	w.rankMarks(marks, w.ranks)
	for _, c := range w.cols {
		w.expand(c, w.ranks)
	}
	w.stop()
}

// start checks the columns, notes them, and makes room for n ranks. (The
// columns are copied because cols itself must not escape: its caller would
// have to allocate it.)
func (w *Workers) start(n int, cols []Rows) {
	checkLength(n)
	checkColumns(n, cols)
	w.cols = append(w.cols[:0], cols...)
	w.ranks = grow(w.ranks, n)
}

// stop lets go of the caller's memory.
func (w *Workers) stop() { clear(w.cols) }

// MaxRecords is the most records that a function takes, and the most sections:
// they fit 32-bit ranks, and the upper halves of keys, with room to spare.
const MaxRecords = KeyLimit>>32 - 1

// checkLength panics if there are more.
func checkLength(n int) {
	if uint(n) > MaxRecords {
		panic("oblivious: 2^31-2^21 records or more")
	}
}

// rankMarks sets ranks to the number of marks before each position.
func (w *Workers) rankMarks(marks []byte, ranks []uint32) {
	parts := w.parts(len(marks))
	if parts == 1 {
		kernel.RankMarks(marks, ranks, 0)
		return
	}
	w.rankParts(len(marks), parts, ranks, func(a, b int) uint32 {
		return kernel.RankMarks(marks[a:b], ranks[a:b], 0)
	})
}

// rankBelow is rankMarks with the labels below the public bound as marks.
func (w *Workers) rankBelow(labels []uint32, bound uint32, ranks []uint32) {
	parts := w.parts(len(labels))
	if parts == 1 {
		kernel.RankBelow(labels, bound, ranks, 0)
		return
	}
	w.rankParts(len(labels), parts, ranks, func(a, b int) uint32 {
		return kernel.RankBelow(labels[a:b], bound, ranks[a:b], 0)
	})
}

// rankParts ranks every part from 0, then adds what is before it.
func (w *Workers) rankParts(n, parts int, ranks []uint32, rank func(a, b int) uint32) {
	w.totals = grow(w.totals, parts)
	w.Each(parts, func(p int) { w.totals[p] = rank(cut(n, parts, p), cut(n, parts, p+1)) })
	w.Each(parts, func(p int) {
		var before uint32
		for _, t := range w.totals[:p] {
			before += t
		}
		r := ranks[cut(n, parts, p):cut(n, parts, p+1)]
		for i := range r {
			r[i] += before
		}
	})
}

// The network on n rows, n = 2^a + 2^b + ... with a < b < ..., consists of
// sections of these sizes from left to right. Every section, from the left, is
// compacted towards the place where the marked rows before it end, and is then
// merged with the rows before it, i with i+p for the section's size p. The
// offset of a section is the number of rows before it: as derived at package
// kernel, its controls depend on the ranks and that public number alone.

func compactRows(c Rows, ranks []uint32) {
	n := len(ranks)
	for before := 0; before < n; {
		p := 1 << bits.TrailingZeros(uint(n-before))
		compactSection(c.Slice(before, before+p), ranks[before:before+p], before)
		if before > 0 {
			kernel.SwapRamp(c.Data, c.Width, 0, p, before, uint64(ranks[before])-1, log2(p))
		}
		before += p
	}
}

func expandRows(c Rows, ranks []uint32) {
	for n := len(ranks); n > 0; {
		p := 1 << (bits.Len(uint(n)) - 1)
		before := n - p
		if before > 0 {
			kernel.SwapRamp(c.Data, c.Width, 0, p, before, uint64(ranks[before])-1, log2(p))
		}
		expandSection(c.Slice(before, n), ranks[before:n], before)
		n = before
	}
}

func log2(p int) uint { return uint(bits.TrailingZeros(uint(p))) }

// tiers cuts the levels of a section: the first tier is done on blocks that
// stay in the L1 cache, every other one is of up to three levels, which a
// kernel does at one load and store of a row. Where the levels are no multiple
// of three, the lower tiers have fewer: their blocks are in a cache.
type tiers struct {
	top [12]uint8 // levels done by the end of each tier
	n   int
}

func tiersOf(n, width int) (t tiers) {
	levels := int(log2(n))
	done := min(levels, min(max(firstTierLog-bits.Len(uint(width-1)), 6), 12))
	for {
		t.top[t.n] = uint8(done)
		t.n++
		if done == levels {
			return t
		}
		done += (levels - done) / ((levels - done + 2) / 3)
	}
}

// firstTierLog is the binary logarithm of the bytes of a block of the first
// tier.
const firstTierLog = 14

// compactSection does all levels of a section, depth first so that small
// blocks are done while they are in the cache.
func compactSection(c Rows, ranks []uint32, offset int) {
	t := tiersOf(len(ranks), c.Width)
	t.compact(t.n-1, c, ranks, offset)
}

// compact does the tiers up to number i on a block.
func (t *tiers) compact(i int, c Rows, ranks []uint32, offset int) {
	if i == 0 {
		kernel.CompactBlock(c.Data, c.Width, ranks, offset)
		return
	}
	shift := uint(t.top[i-1])
	for s := 0; s < len(ranks); s += 1 << shift {
		e := s + 1<<shift
		t.compact(i-1, c.Slice(s, e), ranks[s:e], offset)
	}
	kernel.CompactColumns(c.Data, c.Width, ranks, offset, shift, 0, 1<<shift)
}

func expandSection(c Rows, ranks []uint32, offset int) {
	t := tiersOf(len(ranks), c.Width)
	t.expand(t.n-1, c, ranks, offset)
}

func (t *tiers) expand(i int, c Rows, ranks []uint32, offset int) {
	if i == 0 {
		kernel.ExpandBlock(c.Data, c.Width, ranks, offset)
		return
	}
	shift := uint(t.top[i-1])
	kernel.ExpandColumns(c.Data, c.Width, ranks, offset, shift, 0, 1<<shift)
	for s := 0; s < len(ranks); s += 1 << shift {
		e := s + 1<<shift
		t.expand(i-1, c.Slice(s, e), ranks[s:e], offset)
	}
}

// compact compacts a column with the given ranks on all workers.
func (w *Workers) compact(c Rows, ranks []uint32) {
	n := len(ranks)
	if w.parts(swapSteps(n, c.Width)) == 1 {
		compactRows(c, ranks)
		return
	}
	for before := 0; before < n; {
		p := 1 << bits.TrailingZeros(uint(n-before))
		w.compactSection(c.Slice(before, before+p), ranks[before:before+p], before)
		w.merge(c, ranks, before, p)
		before += p
	}
}

// expand expands a column with the given ranks on all workers.
func (w *Workers) expand(c Rows, ranks []uint32) {
	n := len(ranks)
	if w.parts(swapSteps(n, c.Width)) == 1 {
		expandRows(c, ranks)
		return
	}
	for n > 0 {
		p := 1 << (bits.Len(uint(n)) - 1)
		before := n - p
		w.merge(c, ranks, before, p)
		w.expandSection(c.Slice(before, n), ranks[before:n], before)
		n = before
	}
}

// swapSteps is about how long compaction takes in nanoseconds.
func swapSteps(n, width int) int { return n * bits.Len(uint(n)) * (width + 16) / 64 }

// merge swaps row i, for i < before, with row i+p on all workers.
func (w *Workers) merge(c Rows, ranks []uint32, before, p int) {
	if before == 0 {
		return
	}
	parts := w.parts(before * (c.Width + 16) / 32)
	w.Each(parts, func(part int) {
		from, to := cut(before, parts, part), cut(before, parts, part+1)
		kernel.SwapRamp(c.Data, c.Width, from, p+from, to-from, uint64(ranks[before])-1-uint64(from), log2(p))
	})
}

// compactSection is the function of that name on all workers: the tiers whose
// blocks are many enough by one worker each, then those above, with the columns
// of all blocks cut evenly.
func (w *Workers) compactSection(c Rows, ranks []uint32, offset int) {
	n := len(ranks)
	t := tiersOf(n, c.Width)
	alone := w.alone(&t, n)
	size := 1 << t.top[alone]
	w.Each(n/size, func(b int) {
		i, j := b*size, (b+1)*size
		t.compact(alone, c.Slice(i, j), ranks[i:j], offset)
	})
	for i := alone + 1; i < t.n; i++ {
		shift := uint(t.top[i-1])
		w.eachColumn(n, 1<<t.top[i], 1<<shift, func(s, e, from, count int) {
			kernel.CompactColumns(c.Slice(s, e).Data, c.Width, ranks[s:e], offset, shift, from, count)
		})
	}
}

// expandSection undoes compactSection on all workers.
func (w *Workers) expandSection(c Rows, ranks []uint32, offset int) {
	n := len(ranks)
	t := tiersOf(n, c.Width)
	alone := w.alone(&t, n)
	for i := t.n - 1; i > alone; i-- {
		shift := uint(t.top[i-1])
		w.eachColumn(n, 1<<t.top[i], 1<<shift, func(s, e, from, count int) {
			kernel.ExpandColumns(c.Slice(s, e).Data, c.Width, ranks[s:e], offset, shift, from, count)
		})
	}
	size := 1 << t.top[alone]
	w.Each(n/size, func(b int) {
		i, j := b*size, (b+1)*size
		t.expand(alone, c.Slice(i, j), ranks[i:j], offset)
	})
}

// alone returns the highest tier that leaves each worker some blocks of it, or
// the lowest.
func (w *Workers) alone(t *tiers, n int) int {
	i := 0
	for i+1 < t.n && n>>t.top[i+1] >= 2*w.n {
		i++
	}
	return i
}

// eachColumn cuts the columns of all blocks of the size among the workers, at
// multiples of a number that suits the kernels.
func (w *Workers) eachColumn(n, size, columns int, f func(s, e, from, count int)) {
	const multiple = 16
	unit := min(columns, multiple)
	total := n / size * columns / unit
	parts := min(4*w.n, total)
	w.Each(parts, func(part int) {
		x, end := unit*cut(total, parts, part), unit*cut(total, parts, part+1)
		for x < end {
			s, from := x/columns*size, x%columns
			count := min(columns-from, end-x)
			f(s, s+size, from, count)
			x += count
		}
	})
}
