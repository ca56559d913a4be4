//go:build !purego

package kernel

import "unsafe"

// Columns are the rows of a block at one distance. Up to three levels of them
// are done in place. More are staged: the first group of levels reads the rows
// where they are and writes them to a contiguous scratch in the L1 cache, the
// last one writes them back. In place, the rows of a large power-of-two
// distance would fall into few sets of the cache.

const (
	stageBytes  = 16 << 10 // of the scratch
	stageLevels = 8        // at most
)

// stage is the memory of staged columns. It is on the stack of the caller.
type stage struct {
	passes [4]pass
	tables [4][]uint64
	words  [1 << 10]uint64
}

func compactColumns(data unsafe.Pointer, width int, ranks []uint32, offset uint64, shift uint, from, count int) {
	if active == portable {
		compactColumnsPortable(data, width, ranks, offset, shift, from, count)
		return
	}
	columns(data, width, ranks, offset, shift, from, count, false)
}

func expandColumns(data unsafe.Pointer, width int, ranks []uint32, offset uint64, shift uint, from, count int) {
	if active == portable {
		expandColumnsPortable(data, width, ranks, offset, shift, from, count)
		return
	}
	columns(data, width, ranks, offset, shift, from, count, true)
}

func columns(data unsafe.Pointer, width int, ranks []uint32, offset uint64, shift uint, from, count int, expand bool) {
	u := unitOf(width)
	levels := levelsOf(len(ranks)) - shift
	switch {
	case levels == 0:
	case count%u.rows != 0:
		if expand {
			expandColumnsPortable(data, width, ranks, offset, shift, from, count)
		} else {
			compactColumnsPortable(data, width, ranks, offset, shift, from, count)
		}
	case levels <= 3 || u.rows > 1 || levels > stageLevels:
		columnsInPlace(data, width, ranks, offset, shift, from, count, expand)
	default:
		staged(data, width, ranks, offset, shift, from, count, expand)
	}
}

func columnsInPlace(data unsafe.Pointer, width int, ranks []uint32, offset uint64, first uint, from, count int, expand bool) {
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

func staged(data unsafe.Pointer, width int, ranks []uint32, offset uint64, shift uint, from, count int, expand bool) {
	var scratch [stageBytes]byte
	var st stage
	rows := len(ranks) >> shift
	// Wide rows are done in pieces, so that a column fits the scratch.
	piece := min(width, stageBytes/rows)
	if piece < width {
		piece &^= 63
	}
	groups, n := plan(levelsOf(rows))
	words, t := st.words[:], uint(0)
	for i := range n {
		g := uint(groups[i])
		size := len(ranks) >> (shift + t + g) * swaps(int(g))
		st.tables[i], words = words[:size], words[size:]
		fill(st.tables[i], ranks, offset, int(g), shift+t, 63)
		p := &st.passes[i]
		p.inner, p.outer = 1<<t, rows>>(t+g)
		p.tableOuter = 8 * swaps(int(g))
		for l := range g {
			p.innerX[l] = 1 << (63 - t - l)
		}
		t += g
	}
	at := unsafe.Pointer(&scratch)
	for off := 0; off < width; off += piece {
		w := min(piece, width-off)
		for j := from; j < from+count; j++ {
			row := unsafe.Add(data, j*width+off)
			if expand {
				st.column(row, at, n, groups, width<<shift, w, shift, uint64(j), true)
			} else {
				st.column(row, at, n, groups, width<<shift, w, shift, uint64(j), false)
			}
		}
	}
}

// column does all groups of levels of one column of rows at the distance.
func (st *stage) column(row, scratch unsafe.Pointer, n int, groups [8]uint8, distance, width int, shift uint, position uint64, expand bool) {
	src, srcUnit := row, distance
	for k := range n {
		i := k
		if expand {
			i = n - 1 - k
		}
		dst, dstUnit := scratch, width
		if k == n-1 {
			dst, dstUnit = row, distance
		}
		p, g, t := &st.passes[i], uint(groups[i]), uint(0)
		for _, before := range groups[:i] {
			t += uint(before)
		}
		p.width = width
		p.srcRow, p.srcInner, p.srcOuter = srcUnit<<t, srcUnit-width, srcUnit<<(t+g)
		p.dstRow, p.dstInner, p.dstOuter = dstUnit<<t, dstUnit-width, dstUnit<<(t+g)
		for l := range g {
			p.start[l] = position << (63 - shift - t - l)
		}
		level(int(g), expand, unit{rows: 1}, (*byte)(dst), (*byte)(src), (*byte)(unsafe.Pointer(&st.tables[i][0])), p)
		src, srcUnit = scratch, width
	}
}
