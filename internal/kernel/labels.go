package kernel

import "unsafe"

// Scans over labels and marks. All are oblivious in labels, marks, counters
// and ranks; lengths are public. A counter is never addressed by a label: each
// scan touches every counter for every label.

// RankMarks sets ranks[i] to start plus the number of marks that are 1 before
// i, and returns start plus the number of all.
func RankMarks(marks []byte, ranks []uint32, start uint32) uint32 {
	sameLength(len(marks), len(ranks))
	if traceOn {
		trace("RankMarks", unsafe.Pointer(unsafe.SliceData(marks)), unsafe.Pointer(unsafe.SliceData(ranks)), len(marks))
	}
	return rankMarks(marks, ranks, start)
}

// RankBelow is RankMarks with the labels below the bound, which is public, as
// the marks.
func RankBelow(labels []uint32, bound uint32, ranks []uint32, start uint32) uint32 {
	sameLength(len(labels), len(ranks))
	if traceOn {
		trace("RankBelow", unsafe.Pointer(unsafe.SliceData(labels)), unsafe.Pointer(unsafe.SliceData(ranks)), len(labels), int(bound))
	}
	return rankBelow(labels, bound, ranks, start)
}

// Tally adds to counts[l] the number of labels that are l, for every l below
// len(counts). n*len(counts) steps.
func Tally(labels, counts []uint32) {
	if traceOn {
		trace("Tally", unsafe.Pointer(unsafe.SliceData(labels)), unsafe.Pointer(unsafe.SliceData(counts)), len(labels), len(counts))
	}
	tally(labels, counts)
}

// RankLabels sets ranks[i] to the number that next holds for label i, and
// counts it up there. The last of next is for every label from len(next)-1 on.
// n*len(next) steps.
func RankLabels(labels, next, ranks []uint32) {
	sameLength(len(labels), len(ranks))
	if len(next) == 0 {
		panic("kernel: no counter for labels out of range")
	}
	if traceOn {
		trace("RankLabels", unsafe.Pointer(unsafe.SliceData(labels)), unsafe.Pointer(unsafe.SliceData(next)), len(labels), len(next))
	}
	rankLabels(labels, next, ranks)
}

// KeepLabels sets kept[i] to 1 if label i is one of the first room[l] labels
// that are l, for some l below len(room), else to 0; and takes the labels kept
// from room. n*len(room) steps.
func KeepLabels(labels, room []uint32, kept []byte) {
	sameLength(len(labels), len(kept))
	if traceOn {
		trace("KeepLabels", unsafe.Pointer(unsafe.SliceData(labels)), unsafe.Pointer(unsafe.SliceData(kept)), len(labels), len(room))
	}
	keepLabels(labels, room, kept)
}

// FillLabels replaces the labels that are not kept: the j-th of them, counted
// from first, becomes the number of elements of upto, which ascends, that are
// at most j. It returns the number after the last. n*len(upto) steps.
func FillLabels(labels []uint32, kept []byte, upto []uint32, first uint32) uint32 {
	sameLength(len(labels), len(kept))
	if traceOn {
		trace("FillLabels", unsafe.Pointer(unsafe.SliceData(labels)), unsafe.Pointer(unsafe.SliceData(kept)), len(labels), len(upto))
	}
	return fillLabels(labels, kept, upto, first)
}

// Lookup sets out[i] to table[index[i]], or to 0 where the index is out of
// range. It reads the whole table for every index. index and out have one length
// and may be the same. Oblivious in indexes and table. n*len(table) steps, of
// which a vector instruction does eight or sixteen.
func Lookup(table, index, out []uint32) {
	sameLength(len(index), len(out))
	if traceOn {
		trace("Lookup", unsafe.Pointer(unsafe.SliceData(index)), unsafe.Pointer(unsafe.SliceData(out)), len(index), len(table))
	}
	lookup(table, index, out)
}

// Route does count pairs (lo+i, hi+i) of one level of a network that carries
// entries to the cells in their upper 32 bits. An entry whose cell is below
// cells belongs at or after the boundary, in hi, or before it, in lo,
// according to its cell; where the entries of a pair ask for opposite things
// the caller has made a mistake, and where neither asks they stay. Oblivious
// in the entries; cells and boundary are public.
func Route(entries []uint64, lo, hi, count int, cells, boundary uint32) {
	if lo < 0 || count < 0 || lo+count > len(entries) || hi < 0 || hi+count > len(entries) {
		panic("kernel: entries out of range")
	}
	if traceOn {
		trace("Route", unsafe.Pointer(unsafe.SliceData(entries)), nil, lo, hi, count, int(cells), int(boundary))
	}
	route(entries[lo:lo+count], entries[hi:hi+count], uint64(cells), uint64(boundary))
}

// RouteBlock does all levels of the block of entries, whose length is a power
// of two and whose first entry is at the place first. Oblivious in the entries;
// cells and first are public. (n/2)*log2(n) exchanges.
func RouteBlock(entries []uint64, cells, first uint32) {
	if n := len(entries); n&(n-1) != 0 {
		panic("kernel: block is not a power of two")
	}
	if traceOn {
		trace("RouteBlock", unsafe.Pointer(unsafe.SliceData(entries)), nil, len(entries), int(cells), int(first))
	}
	h := len(entries) / 2
	for ; h > 0 && 2*h > routeRegister(len(entries)); h /= 2 {
		for s := 0; s < len(entries); s += 2 * h {
			route(entries[s:s+h], entries[s+h:s+2*h], uint64(cells), uint64(first)+uint64(s+h))
		}
	}
	if h > 0 {
		routeWithin(entries, uint64(cells), uint64(first))
	}
}
