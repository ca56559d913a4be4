//go:build !purego

package kernel

import "unsafe"

// Columns are the rows of a block at one distance.

func compactColumns(data unsafe.Pointer, width int, ranks []uint32, offset uint64, shift uint, from, count int) {
	if active == portable || count%unitOf(width).rows != 0 {
		compactColumnsPortable(data, width, ranks, offset, shift, from, count)
		return
	}
	columns(data, width, ranks, offset, shift, from, count, false)
}

func expandColumns(data unsafe.Pointer, width int, ranks []uint32, offset uint64, shift uint, from, count int) {
	if active == portable || count%unitOf(width).rows != 0 {
		expandColumnsPortable(data, width, ranks, offset, shift, from, count)
		return
	}
	columns(data, width, ranks, offset, shift, from, count, true)
}

// columns does up to three levels at a time. (Staging more of them through a
// scratch in the L1 cache, so that a row is read from memory once, was measured
// and is slower: a column falls into few sets of every cache.)
func columns(data unsafe.Pointer, width int, ranks []uint32, offset uint64, first uint, from, count int, expand bool) {
	var table [12]uint64
	top := unitOf(width).top
	groups, n := plan(levelsOf(len(ranks)) - first)
	shift := first
	if expand {
		shift = levelsOf(len(ranks))
	}
	for i := range n {
		g := uint(groups[i])
		if expand {
			g = uint(groups[n-1-i])
			shift -= g
		}
		size := 1 << (shift + g)
		for s := 0; s < len(ranks); s += size {
			fill(table[:], ranks[s:s+size], offset, int(g), shift, top)
			for x := from; x < 1<<shift; x += 1 << first {
				run(data, width, s+x, count, 1, int(g), expand, table[:], uint64(x), shift)
			}
		}
		if !expand {
			shift += g
		}
	}
}
