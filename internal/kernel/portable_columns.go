package kernel

import (
	"math/bits"
	"unsafe"
)

// levelsOf returns the number of levels of a block of n rows.
func levelsOf(n int) uint { return uint(bits.TrailingZeros(uint(n))) }

// compactColumnsPortable does two levels at a time. The rows of a column that
// one group of levels pairs are, in it, at distance h; below h there are
// h>>shift runs of count rows.
func compactColumnsPortable(data unsafe.Pointer, width int, ranks []uint32, offset uint64, first uint, from, count int) {
	n, shift := len(ranks), first
	for ; 4<<shift <= n; shift += 2 {
		for s := 0; s < n; s += 4 << shift {
			for g := from; g < 1<<shift; g += 1 << first {
				compactQuadPortable(data, width, s+g, count, ramps(ranks, s, 1<<shift, offset+uint64(g)), shift)
			}
		}
	}
	if 2<<shift == n {
		swapTop(data, width, ranks, offset, first, from, count)
	}
}

// expandColumnsPortable undoes compactColumnsPortable.
func expandColumnsPortable(data unsafe.Pointer, width int, ranks []uint32, offset uint64, first uint, from, count int) {
	n := len(ranks)
	shift := levelsOf(n)
	if (shift-first)%2 == 1 {
		swapTop(data, width, ranks, offset, first, from, count)
		shift--
	}
	for shift > first {
		shift -= 2
		for s := 0; s < n; s += 4 << shift {
			for g := from; g < 1<<shift; g += 1 << first {
				expandQuadPortable(data, width, s+g, count, ramps(ranks, s, 1<<shift, offset+uint64(g)), shift)
			}
		}
	}
}

// swapTop does the last level of columns.
func swapTop(data unsafe.Pointer, width int, ranks []uint32, offset uint64, first uint, from, count int) {
	h := len(ranks) / 2
	for g := from; g < h; g += 1 << first {
		swapRampPortable(data, width, g, h+g, count, uint64(ranks[h])-offset-1-uint64(g), levelsOf(h))
	}
}
