package oblivious

import (
	"math/bits"

	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/kernel"
)

// Destinations turns wishes for cells into a placement. want[i] is the cell,
// below cells, that record i asks for; anything else says that it is a filler.
// The first record (with the least i) that asks for a cell gets it; later ones
// become fillers, and fillers get the places that are left over, of cells and
// of the discard places from cells to len(want)-1, in no particular order.
// Afterwards want is a permutation of the numbers from 0 to len(want)-1, the
// place of every record, and kept[i] is 1 if record i got the cell that it
// asked for, else 0. len(want) must be at least cells.
//
// Oblivious in want and kept; leaks the length and cells. Two sorts and two
// networks of n*log2(n)/2 exchanges on words of 8 bytes: sort by cell, drop
// repeats, compact what stays, carry it to its cells (a monotone routing,
// Goodrich, "Data-oblivious external-memory algorithms", SPAA 2011, here on the
// mirror image of the network of Compact), sort back.
func (w *Workers) Destinations(want []uint32, cells int, kept []byte) {
	n := len(want)
	mustMatch(n, len(kept))
	checkLength(n)
	if cells < 0 || cells > n {
		panic("oblivious: there are more cells than records")
	}
	w.entries, w.marks = grow(w.entries, n), grow(w.marks, n)
	e, marks := w.entries, w.marks

	parts := w.parts(2 * n)
	if parts == 1 {
		wishes(e, want, 0, uint64(cells))
		w.Sort(e)
		firstWishes(e, marks, nowhere, uint64(cells))
		w.Compact(marks, WordRows(e))
		w.route(e, cells)
		arrivals(e, 0, uint64(cells))
		w.Sort(e)
		places(e, want, kept)
		return
	}
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		wishes(e[a:b], want[a:b], a, uint64(cells))
	})
	w.Sort(e)
	// What is before each part, as long as it is there.
	w.totals = grow(w.totals, parts)
	for p := range parts {
		w.totals[p] = nowhere
		if at := cut(n, parts, p); at > 0 {
			w.totals[p] = uint32(e[at-1] >> 32)
		}
	}
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		firstWishes(e[a:b], marks[a:b], uint64(w.totals[p]), uint64(cells))
	})
	w.Compact(marks, WordRows(e))
	w.route(e, cells)
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		arrivals(e[a:b], a, uint64(cells))
	})
	w.Sort(e)
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		places(e[a:b], want[a:b], kept[a:b])
	})
}

// nowhere is the cell of a filler; sorted, it is behind all others.
const nowhere = MaxRecords

// wishes makes entries of a cell in the upper half, nowhere if it is not below
// limit, and the number of its record, from first on.
func wishes(out []uint64, want []uint32, first int, limit uint64) {
	out = out[:len(want)]
	for i, c := range want {
		cell := choice.Select(choice.Less(uint64(c), limit), uint64(c), nowhere)
		out[i] = cell<<32 | uint64(first+i)
	}
}

// firstWishes marks the first entry of each cell in sorted entries, last being
// the cell before them, and turns all others into fillers.
func firstWishes(e []uint64, marks []byte, last, limit uint64) {
	marks = marks[:len(e)]
	for i, x := range e {
		cell := x >> 32
		stays := choice.Less(cell, limit) &^ choice.Eq(cell, last)
		marks[i] = byte(stays.Bit())
		e[i] = choice.Select(stays, cell, nowhere)<<32 | uint64(uint32(x))
		last = cell
	}
}

// arrivals makes, of entries that are at their places, from first on, entries of
// the number of a record, and in the lower half its place and whether it asked
// for it.
func arrivals(e []uint64, first int, limit uint64) {
	for i, x := range e {
		stays := choice.Less(x>>32, limit)
		e[i] = x<<32 | uint64(first+i)<<1 | stays.Bit()
	}
}

// places takes from such entries, in the order of records, what they say.
func places(e []uint64, want []uint32, kept []byte) {
	want, kept = want[:len(e)], kept[:len(e)]
	for i, x := range e {
		want[i] = uint32(x) >> 1
		kept[i] = byte(x & 1)
	}
}

// route carries entries, of which those with a cell are in front and ascend
// strictly, to their cells; fillers give way. The network is that of
// expandRows. There the controls follow from the ranks of the marks. Here each
// pair decides by its own cells, to the same effect: of the two rows of a pair
// at most one must go to each half.
func (w *Workers) route(e []uint64, cells int) {
	for n := len(e); n > 0; {
		p := 1 << (bits.Len(uint(n)) - 1)
		before := n - p
		w.routeLevel(e[:n], 0, p, before, cells, before)
		section := e[before:n]
		for h := p / 2; h > 0; h /= 2 {
			if h < routeBlock {
				w.routeBlocks(section, 2*h, cells, before)
				break
			}
			for s := 0; s < p; s += 2 * h {
				w.routeLevel(section, s, s+h, h, cells, before+s+h)
			}
		}
		n = before
	}
}

// routeBlock is a block of entries that stays in the L1 cache.
const routeBlock = 1 << 11

// routeLevel does one block of one level on all workers.
func (w *Workers) routeLevel(e []uint64, lo, hi, count, cells, boundary int) {
	if count == 0 {
		return
	}
	parts := w.parts(2 * count)
	if parts == 1 {
		kernel.Route(e, lo, hi, count, uint32(cells), uint32(boundary))
		return
	}
	w.Each(parts, func(part int) {
		from, to := cut(count, parts, part), cut(count, parts, part+1)
		kernel.Route(e, lo+from, hi+from, to-from, uint32(cells), uint32(boundary))
	})
}

// routeBlocks does all levels of all blocks of the size, first being the place
// of the first entry.
func (w *Workers) routeBlocks(e []uint64, size, cells, first int) {
	if w.parts(2*len(e)*bits.Len(uint(size))) == 1 {
		for s := 0; s < len(e); s += size {
			kernel.RouteBlock(e[s:s+size], uint32(cells), uint32(first+s))
		}
		return
	}
	w.Each(len(e)/size, func(b int) {
		kernel.RouteBlock(e[b*size:(b+1)*size], uint32(cells), uint32(first+b*size))
	})
}
