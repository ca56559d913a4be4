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

// checkLength panics if n does not fit the 32-bit ranks with room to spare.
func checkLength(n int) {
	if uint64(n) >= 1<<31 {
		panic("oblivious: 2^31 records or more")
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

// baseRows is the block that a kernel does in one call for a section of p
// rows: 64, or 32 so that the levels above are a multiple of two.
func baseRows(p int) int {
	if p < 64 {
		return p
	}
	return 64 >> (log2(p) & 1)
}

// compactSection does all levels of a section, depth first so that small
// blocks are done while they are in the cache.
func compactSection(c Rows, ranks []uint32, offset int) {
	n := len(ranks)
	if n == baseRows(n) {
		kernel.CompactBlock(c.Data, c.Width, ranks, offset)
		return
	}
	q := n / 4
	for i := range 4 {
		compactSection(c.Slice(i*q, (i+1)*q), ranks[i*q:(i+1)*q], offset)
	}
	kernel.CompactQuad(c.Data, c.Width, 0, q, ramps(ranks, 0, q, offset, 0), log2(q))
}

func expandSection(c Rows, ranks []uint32, offset int) {
	n := len(ranks)
	if n == baseRows(n) {
		kernel.ExpandBlock(c.Data, c.Width, ranks, offset)
		return
	}
	q := n / 4
	kernel.ExpandQuad(c.Data, c.Width, 0, q, ramps(ranks, 0, q, offset, 0), log2(q))
	for i := range 4 {
		expandSection(c.Slice(i*q, (i+1)*q), ranks[i*q:(i+1)*q], offset)
	}
}

// ramps returns the ramp words of the block of four quarters of q rows at s,
// for its pairs from number from on.
func ramps(ranks []uint32, s, q, offset, from int) [3]uint64 {
	o := uint64(offset) + uint64(from) + 1
	return [3]uint64{uint64(ranks[s+q]) - o, uint64(ranks[s+3*q]) - o, uint64(ranks[s+2*q]) - o}
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

// compactSection is the function of that name on all workers: blocks of one
// size by one worker each, then larger ones two levels at a time.
func (w *Workers) compactSection(c Rows, ranks []uint32, offset int) {
	n, small := len(ranks), w.blockRows(len(ranks))
	w.Each(n/small, func(b int) {
		i, j := b*small, (b+1)*small
		compactSection(c.Slice(i, j), ranks[i:j], offset)
	})
	for size := 4 * small; size <= n; size *= 4 {
		w.eachQuad(n, size, func(s, from, count int) {
			r := ramps(ranks, s, size/4, offset, from)
			kernel.CompactQuad(c.Data, c.Width, s+from, count, r, log2(size/4))
		})
	}
}

// expandSection undoes compactSection on all workers.
func (w *Workers) expandSection(c Rows, ranks []uint32, offset int) {
	n, small := len(ranks), w.blockRows(len(ranks))
	for size := n; size > small; size /= 4 {
		w.eachQuad(n, size, func(s, from, count int) {
			r := ramps(ranks, s, size/4, offset, from)
			kernel.ExpandQuad(c.Data, c.Width, s+from, count, r, log2(size/4))
		})
	}
	w.Each(n/small, func(b int) {
		i, j := b*small, (b+1)*small
		expandSection(c.Slice(i, j), ranks[i:j], offset)
	})
}

// blockRows is the size of the blocks of a section of n rows that one worker
// does alone: the largest, of the sizes that fit, that leaves each worker some.
func (w *Workers) blockRows(n int) int {
	small := baseRows(n)
	for 4*small <= n/(2*w.n) {
		small *= 4
	}
	return small
}

// eachQuad cuts the pairs of all blocks of the size evenly among the workers.
func (w *Workers) eachQuad(n, size int, f func(s, from, count int)) {
	q, total := size/4, n/4
	parts := min(4*w.n, total)
	w.Each(parts, func(part int) {
		x, end := cut(total, parts, part), cut(total, parts, part+1)
		for x < end {
			from := x % q
			count := min(q-from, end-x)
			f(x/q*size, from, count)
			x += count
		}
	})
}
