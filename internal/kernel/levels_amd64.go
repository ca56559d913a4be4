//go:build !purego

package kernel

import "unsafe"

// Levels of compaction and expansion on vector registers. The positions of
// rows, the controls of their pairs and the table that a kernel gets are
// shifted so that the bit which decides is the sign of a lane.

// unit is how rows of a width lie in registers.
type unit struct {
	width int  // bytes of what a kernel takes as one row
	rows  int  // rows in it, more than 1 if they are narrower than a register
	top   uint // number of the highest bit of a lane
}

func unitOf(width int) unit {
	v := registerBytes()
	switch {
	case width == 4:
		return unit{v, v / 4, 31}
	case width < v && v%width == 0:
		return unit{v, v / width, 63}
	}
	return unit{width, 1, 63}
}

// lanes returns the rows of the lanes of a register, counted from its first.
func (u unit) lanes() *[8]uint64 {
	switch {
	case u.rows == 1:
		return &lanesOfRow
	case u.top == 31:
		return &lanesOf4
	case u.width == 8*u.rows:
		return &lanesOf8
	case u.width == 16*u.rows:
		return &lanesOf16
	}
	return &lanesOf32
}

var (
	lanesOfRow = [8]uint64{}
	lanesOf4   = [8]uint64{1 << 32, 3<<32 | 2, 5<<32 | 4, 7<<32 | 6, 9<<32 | 8, 11<<32 | 10, 13<<32 | 12, 15<<32 | 14}
	lanesOf8   = [8]uint64{0, 1, 2, 3, 4, 5, 6, 7}
	lanesOf16  = [8]uint64{0, 0, 1, 1, 2, 2, 3, 3}
	lanesOf32  = [8]uint64{0, 0, 0, 0, 1, 1, 1, 1}
)

// swaps is the number of pairs of a group of n levels, which is that of the
// words of its table.
func swaps(n int) int { return n << n / 2 }

// fill writes the tables of all groups of n levels from bit number shift on of
// the block that has the ranks.
func fill(table []uint64, ranks []uint32, offset uint64, n int, shift, top uint) {
	o, h := offset+1, uint64(1)<<shift
	up := (top - shift) & 63
	up1, up2 := (up-1)&63, (up-2)&63
	for len(ranks) >= 1<<(shift+uint(n)) {
		switch n {
		case 1:
			table[0] = (uint64(ranks[h]) - o) << up
		case 2:
			r, t := ranks[:4*h], (*[4]uint64)(table)
			c := uint64(r[2*h]) - o
			t[0], t[1] = (uint64(r[h])-o)<<up, (uint64(r[3*h])-o)<<up
			t[2], t[3] = c<<up1, (c-h)<<up1
		case 3:
			r, t := ranks[:8*h], (*[12]uint64)(table)
			t[0], t[1] = (uint64(r[h])-o)<<up, (uint64(r[3*h])-o)<<up
			t[2], t[3] = (uint64(r[5*h])-o)<<up, (uint64(r[7*h])-o)<<up
			c, d := uint64(r[2*h])-o, uint64(r[6*h])-o
			t[4], t[5], t[6], t[7] = c<<up1, (c-h)<<up1, d<<up1, (d-h)<<up1
			c = uint64(r[4*h]) - o
			t[8], t[9], t[10], t[11] = c<<up2, (c-h)<<up2, (c-2*h)<<up2, (c-3*h)<<up2
		}
		ranks, table = ranks[h<<n:], table[swaps(n):]
	}
}

// plan cuts levels into groups of at most three, the fewest.
func plan(levels uint) (groups [8]uint8, n int) {
	for ; levels > 0; n++ {
		g := min(levels, 3)
		if levels == 4 {
			g = 2
		}
		groups[n] = uint8(g)
		levels -= g
	}
	return groups, n
}

// run does n levels, from bit number shift on, on count groups of rows at lo of
// each of the blocks, whose tables follow one another. position is that of row
// lo in its block.
func run(data unsafe.Pointer, width, lo, count, blocks, n int, expand bool, table []uint64, position uint64, shift uint) {
	u := unitOf(width)
	var p pass
	p.width, p.inner, p.outer = u.width, count/u.rows, blocks
	p.srcRow = width << shift
	p.dstRow = p.srcRow
	p.srcOuter = p.srcRow << n
	p.dstOuter = p.srcOuter
	p.tableOuter = 8 * swaps(n)
	for l := range n {
		s := u.top - shift - uint(l)
		p.start[l], p.innerX[l], p.shift[l] = position<<s, uint64(u.rows)<<s, uint64(s)
	}
	if p.inner > 0 {
		row := (*byte)(unsafe.Add(data, lo*width))
		level(n, expand, u, row, row, (*byte)(unsafe.Pointer(&table[0])), &p)
	}
}

func swapRamp(data unsafe.Pointer, width, lo, hi, count int, c uint64, shift uint) {
	if active == portable {
		swapRampPortable(data, width, lo, hi, count, c, shift)
		return
	}
	u := unitOf(width)
	var p pass
	p.width, p.inner, p.outer = u.width, count/u.rows, 1
	p.srcRow = (hi - lo) * width
	p.dstRow = p.srcRow
	p.innerX[0] = uint64(u.rows) << (u.top - shift)
	p.shift[0] = uint64(u.top - shift)
	done := count / u.rows * u.rows
	if done > 0 {
		c := c << (u.top - shift)
		row := (*byte)(unsafe.Add(data, lo*width))
		level(1, false, u, row, row, (*byte)(unsafe.Pointer(&c)), &p)
	}
	swapRampPortable(data, width, lo+done, hi+done, count-done, c-uint64(done), shift)
}

func quad(data unsafe.Pointer, width, lo, count int, c [3]uint64, shift uint, expand bool) int {
	u := unitOf(width)
	table := [4]uint64{c[0] << (u.top - shift), c[1] << (u.top - shift),
		c[2] << (u.top - shift - 1), (c[2] - 1<<shift) << (u.top - shift - 1)}
	run(data, width, lo, count, 1, 2, expand, table[:], 0, shift)
	return count / u.rows * u.rows
}

func compactQuad(data unsafe.Pointer, width, lo, count int, c [3]uint64, shift uint) {
	done := 0
	if active != portable {
		done = quad(data, width, lo, count, c, shift, false)
	}
	compactQuadPortable(data, width, lo+done, count-done, less(c, done), shift)
}

func expandQuad(data unsafe.Pointer, width, lo, count int, c [3]uint64, shift uint) {
	done := 0
	if active != portable {
		done = quad(data, width, lo, count, c, shift, true)
	}
	expandQuadPortable(data, width, lo+done, count-done, less(c, done), shift)
}

func less(c [3]uint64, i int) [3]uint64 {
	return [3]uint64{c[0] - uint64(i), c[1] - uint64(i), c[2] - uint64(i)}
}

func compactBlock(data unsafe.Pointer, width int, ranks []uint32, offset uint64) {
	u, low := lowest(width, len(ranks))
	if low == 0 {
		compactBlockPortable(data, width, ranks, offset)
		return
	}
	within(data, u, width, ranks, offset, false)
	groups, n := plan(levelsOf(len(ranks)) - low)
	for _, g := range groups[:n] {
		direct(data, width, ranks, offset, int(g), low, false)
		low += uint(g)
	}
}

func expandBlock(data unsafe.Pointer, width int, ranks []uint32, offset uint64) {
	u, low := lowest(width, len(ranks))
	if low == 0 {
		expandBlockPortable(data, width, ranks, offset)
		return
	}
	shift := levelsOf(len(ranks))
	groups, n := plan(shift - low)
	for n--; n >= 0; n-- {
		shift -= uint(groups[n])
		direct(data, width, ranks, offset, int(groups[n]), shift, true)
	}
	within(data, u, width, ranks, offset, true)
}

// lowest returns the unit of a width and how many levels of a block of n rows
// the kernels within and first do; 0 if the block is too small for them.
func lowest(width, n int) (u unit, levels uint) {
	if active == portable {
		return u, 0
	}
	u = unitOf(width)
	levels = 3
	if u.rows > 1 {
		levels = levelsOf(u.rows)
	}
	if n < 1<<levels {
		return u, 0
	}
	return u, levels
}

// batch is for how many blocks tables are made at a time.
const batch = 16

// direct does one group of levels of a whole block in place.
func direct(data unsafe.Pointer, width int, ranks []uint32, offset uint64, n int, shift uint, expand bool) {
	var table [12 * batch]uint64
	u := unitOf(width)
	size := 1 << (shift + uint(n))
	for s := 0; s < len(ranks); {
		blocks := min(batch, (len(ranks)-s)/size)
		fill(table[:], ranks[s:s+blocks*size], offset, n, shift, u.top)
		run(data, width, s, 1<<shift, blocks, n, expand, table[:], 0, shift)
		s += blocks * size
	}
}

// within does the lowest levels of a block.
func within(data unsafe.Pointer, u unit, width int, ranks []uint32, offset uint64, expand bool) {
	if u.rows > 1 {
		withinRegisters(width, expand, (*byte)(data), &ranks[0], len(ranks)/u.rows, uint32(offset))
		return
	}
	p := pass{width: width, srcRow: width, dstRow: width, offset: offset,
		inner: len(ranks) / 8, srcInner: 7 * width, dstInner: 7 * width, tableInner: 8 * 4, outer: 1}
	first(expand, (*byte)(data), (*byte)(unsafe.Pointer(&ranks[0])), &p)
}
