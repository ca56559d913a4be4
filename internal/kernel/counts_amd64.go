//go:build !purego

package kernel

import "unsafe"

// The seam between the scans over labels and the generated kernels.

func rankMarks(marks []byte, ranks []uint32, sum uint32) uint32 {
	whole := len(marks) &^ 7
	if active == portable {
		whole = 0
	}
	if whole > 0 {
		rankMarksAVX2(&marks[0], &ranks[0], whole, &sum, 0)
	}
	return rankMarksPortable(marks[whole:], ranks[whole:], sum)
}

func rankBelow(labels []uint32, bound uint32, ranks []uint32, sum uint32) uint32 {
	whole := len(labels) &^ 7
	if active == portable {
		whole = 0
	}
	if whole > 0 {
		rankBelowAVX2(&labels[0], &ranks[0], whole, &sum, bound)
	}
	return rankBelowPortable(labels[whole:], bound, ranks[whole:], sum)
}

// A counting is one of the scans that compare every label with the numbers of
// all counters.
type counting int

const (
	tallying counting = iota
	ranking
	keeping
)

func tally(labels, counts []uint32) {
	if active == portable {
		tallyPortable(labels, counts)
		return
	}
	count(tallying, labels, nil, 0, counts, 1<<32-1)
}

func rankLabels(labels, next, ranks []uint32) {
	if active == portable {
		rankLabelsPortable(labels, next, ranks)
		return
	}
	clear(ranks)
	count(ranking, labels, unsafe.Pointer(unsafe.SliceData(ranks)), 4, next, uint32(len(next)-1))
}

func keepLabels(labels, room []uint32, kept []byte) {
	if active == portable {
		keepLabelsPortable(labels, room, kept)
		return
	}
	clear(kept)
	count(keeping, labels, unsafe.Pointer(unsafe.SliceData(kept)), 1, room, 1<<32-1)
}

// count does a scan, as many labels at a time as stay in the L1 cache with
// their outputs of the given size, with as many counters at a time as fit the
// registers. Labels above last count as last. Counters that fill up a register
// have numbers that no label has, or are forgotten, or are 0.
func count(what counting, labels []uint32, out unsafe.Pointer, size int, counters []uint32, last uint32) {
	var c, numbers [8 * 16]uint32
	lanes, most := registerBytes()/4, 5
	if active == withAVX512 {
		most = 8
	}
	registers := (len(counters) + lanes - 1) / lanes
	if registers == 0 {
		return
	}
	each := (registers + (registers+most-1)/most - 1) / ((registers + most - 1) / most)
	for at := 0; at < len(labels); at += labelBlock {
		n := min(labelBlock, len(labels)-at)
		for first := 0; first < len(counters); first += each * lanes {
			some := counters[first:min(first+each*lanes, len(counters))]
			clear(c[copy(c[:], some):])
			for i := range numbers {
				numbers[i] = uint32(first + i)
			}
			var o *byte
			if size > 0 {
				o = (*byte)(unsafe.Add(out, at*size))
			}
			countRegisters(what, each, &labels[at], o, n, &c[0], &numbers[0], last)
			copy(some, c[:])
		}
	}
}

func fillLabels(labels []uint32, kept []byte, upto []uint32, first uint32) uint32 {
	if active == portable || len(upto) == 0 {
		return fillLabelsPortable(labels, kept, upto, first)
	}
	var numbers, counts [256]uint32
	step := registerBytes() // labels in four registers
	for len(labels) > 0 {
		n := min(len(labels), len(numbers))
		for i, k := range kept[:n] {
			numbers[i] = first
			first += 1 - uint32(k&1)
		}
		blocks := (n + step - 1) / step
		if active == withAVX512 {
			countUptoAVX512(&numbers[0], &counts[0], blocks, &upto[0], len(upto))
		} else {
			countUptoAVX2(&numbers[0], &counts[0], blocks, &upto[0], len(upto))
		}
		for i, l := range labels[:n] {
			labels[i] = l ^ (l^counts[i])&(uint32(kept[i]&1)-1)
		}
		labels, kept = labels[n:], kept[n:]
	}
	return first
}

func lookup(table, index, out []uint32) {
	step := registerBytes() // indexes in four registers
	blocks := len(index) / step
	if active == portable || len(table) == 0 {
		blocks = 0
	}
	if blocks > 0 {
		if active == withAVX512 {
			lookupAVX512(&index[0], &out[0], blocks, &table[0], len(table))
		} else {
			lookupAVX2(&index[0], &out[0], blocks, &table[0], len(table))
		}
	}
	lookupPortable(table, index[blocks*step:], out[blocks*step:])
}

// route does the pairs of a level.
func route(a, b []uint64, cells, boundary uint64) {
	whole := len(a) &^ (registerBytes()/8 - 1)
	if active == portable {
		whole = 0
	}
	if whole > 0 {
		from := boundary << 32
		above, below := (max(cells, boundary)-boundary)<<32, min(cells, boundary)<<32
		if active == withAVX512 {
			routeAVX512(&a[0], &b[0], whole/8, &from, &above, &below)
		} else {
			from, above, below = from^1<<63, above^1<<63, below^1<<63
			routeAVX2(&a[0], &b[0], whole/4, &from, &above, &below)
		}
	}
	routePortable(a[whole:], b[whole:], cells, boundary)
}

// routeRegister returns the size of the blocks of n entries that routeWithin
// does, or 0.
func routeRegister(n int) int {
	if active == withAVX512 && n >= 8 {
		return 8
	}
	return 0
}

// routeWithin does the levels of blocks of routeRegister entries.
func routeWithin(entries []uint64, cells, first uint64) {
	cells, first = cells<<32, first<<32
	routeWithinAVX512(&entries[0], len(entries)/8, &cells, &first)
}

// countRegisters calls the kernel for so many registers of counters.
func countRegisters(what counting, registers int, labels *uint32, out *byte, n int, counters, numbers *uint32, last uint32) {
	if active == withAVX512 {
		switch 3*registers + int(what) {
		case 3:
			tallyLabels1AVX512(labels, out, n, counters, numbers, last)
		case 4:
			rankLabels1AVX512(labels, out, n, counters, numbers, last)
		case 5:
			keepLabels1AVX512(labels, out, n, counters, numbers, last)
		case 6:
			tallyLabels2AVX512(labels, out, n, counters, numbers, last)
		case 7:
			rankLabels2AVX512(labels, out, n, counters, numbers, last)
		case 8:
			keepLabels2AVX512(labels, out, n, counters, numbers, last)
		case 9:
			tallyLabels3AVX512(labels, out, n, counters, numbers, last)
		case 10:
			rankLabels3AVX512(labels, out, n, counters, numbers, last)
		case 11:
			keepLabels3AVX512(labels, out, n, counters, numbers, last)
		case 12:
			tallyLabels4AVX512(labels, out, n, counters, numbers, last)
		case 13:
			rankLabels4AVX512(labels, out, n, counters, numbers, last)
		case 14:
			keepLabels4AVX512(labels, out, n, counters, numbers, last)
		case 15:
			tallyLabels5AVX512(labels, out, n, counters, numbers, last)
		case 16:
			rankLabels5AVX512(labels, out, n, counters, numbers, last)
		case 17:
			keepLabels5AVX512(labels, out, n, counters, numbers, last)
		case 18:
			tallyLabels6AVX512(labels, out, n, counters, numbers, last)
		case 19:
			rankLabels6AVX512(labels, out, n, counters, numbers, last)
		case 20:
			keepLabels6AVX512(labels, out, n, counters, numbers, last)
		case 21:
			tallyLabels7AVX512(labels, out, n, counters, numbers, last)
		case 22:
			rankLabels7AVX512(labels, out, n, counters, numbers, last)
		case 23:
			keepLabels7AVX512(labels, out, n, counters, numbers, last)
		case 24:
			tallyLabels8AVX512(labels, out, n, counters, numbers, last)
		case 25:
			rankLabels8AVX512(labels, out, n, counters, numbers, last)
		case 26:
			keepLabels8AVX512(labels, out, n, counters, numbers, last)
		}
		return
	}
	switch 3*registers + int(what) {
	case 3:
		tallyLabels1AVX2(labels, out, n, counters, numbers, last)
	case 4:
		rankLabels1AVX2(labels, out, n, counters, numbers, last)
	case 5:
		keepLabels1AVX2(labels, out, n, counters, numbers, last)
	case 6:
		tallyLabels2AVX2(labels, out, n, counters, numbers, last)
	case 7:
		rankLabels2AVX2(labels, out, n, counters, numbers, last)
	case 8:
		keepLabels2AVX2(labels, out, n, counters, numbers, last)
	case 9:
		tallyLabels3AVX2(labels, out, n, counters, numbers, last)
	case 10:
		rankLabels3AVX2(labels, out, n, counters, numbers, last)
	case 11:
		keepLabels3AVX2(labels, out, n, counters, numbers, last)
	case 12:
		tallyLabels4AVX2(labels, out, n, counters, numbers, last)
	case 13:
		rankLabels4AVX2(labels, out, n, counters, numbers, last)
	case 14:
		keepLabels4AVX2(labels, out, n, counters, numbers, last)
	case 15:
		tallyLabels5AVX2(labels, out, n, counters, numbers, last)
	case 16:
		rankLabels5AVX2(labels, out, n, counters, numbers, last)
	case 17:
		keepLabels5AVX2(labels, out, n, counters, numbers, last)
	}
}
