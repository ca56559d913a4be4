package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// block generates the kernels that sort or clean the elements of 16 registers.
func (k sortKernel) block(verb string, sort bool) {
	name := fmt.Sprintf("%sGroups%d%s", verb, k.words, k.v)
	TEXT(name, 4, "func(data *byte, blocks int)")
	Pragma("noescape")
	n := k.data() / k.words
	Doc(fmt.Sprintf("%s does blocks of %d elements of %d words.", name, int(k.v)/8*n, k.words))
	data, left := reg.RDI, reg.RCX
	Load(Param("data"), data)
	Load(Param("blocks"), left)
	byLanes := n >= int(k.v)/8 // groups enough to sort the elements of every lane
	if sort && !byLanes {
		k.loadUppers()
	}
	k.loadReverse()
	if k.v == avx512 {
		VMOVDQU64(constant("first_lanes", []uint32{0, 0, 8, 0, 1, 0, 9, 0, 4, 0, 12, 0, 5, 0, 13, 0}), zs[evenZ])
		VMOVDQU64(constant("second_lanes", []uint32{2, 0, 10, 0, 3, 0, 11, 0, 6, 0, 14, 0, 7, 0, 15, 0}), zs[oddZ])
	}
	Label("block")
	var gs []group
	for g := range n {
		gs = append(gs, k.group(g*k.words))
		k.load(data, g*k.words*int(k.v), gs[g])
	}
	free := k.group(k.data())
	// Patterns and distances; one step of all groups at a time, for the groups
	// do not wait for one another.
	steps := func(s ...int) {
		for i := 0; i < len(s); i += 2 {
			for _, g := range gs {
				k.within(g, s[i], s[i+1], free)
			}
		}
	}
	clean := func() {
		for i := 0; i < n; i += 2 {
			k.cleanLanes(&gs[i], &gs[i+1], &free)
		}
	}
	if sort {
		h := 1
		if byLanes {
			k.columns(gs, &free)
			h = n * 8 / int(k.v)
		} else if k.v == avx2 {
			steps(1, 1, 3, 2, 1, 1)
		} else {
			steps(1, 1, 3, 2, 1, 1, 7, 4, 2, 2, 1, 1)
		}
		for ; h < n; h *= 2 {
			for s := 0; s < n; s += 2 * h {
				// The upper half is turned round before: what is left of it is
				// turned round too, which cleaning does not mind.
				for i := range h / 2 {
					gs[s+h+i], gs[s+2*h-1-i] = gs[s+2*h-1-i], gs[s+h+i]
				}
				for i := range h {
					for _, r := range gs[s+h+i] {
						k.reverse(k.v.reg(r), r)
					}
					k.exchange(&gs[s+i], &gs[s+h+i], &free)
				}
			}
			k.distances(gs, h/2, &free)
			clean()
		}
	} else {
		k.distances(gs, n/2, &free)
		clean()
	}
	for g := range n {
		k.store(gs[g], data, g*k.words*int(k.v))
	}
	ADDQ(U32(uint32(k.data()*int(k.v))), data)
	DECQ(left)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// columns sorts the elements of every lane, by merge exchange (Batcher 1968;
// Knuth, algorithm 5.2.2M), and brings those of a lane to groups that follow
// each other.
func (k sortKernel) columns(gs []group, free *group) {
	n := len(gs)
	for p := 1; p < n; p *= 2 {
		for d := p; d > 0; d /= 2 {
			for i := d % p; i+d < n; i++ {
				if (i-d%p)&d == 0 && i/(2*p) == (i+d)/(2*p) {
					k.exchange(&gs[i], &gs[i+d], free)
				}
			}
		}
	}
	lanes := int(k.v) / 8
	for w := range k.words {
		for s := 0; s < n; s += lanes {
			k.transpose(gs[s:s+lanes], w, free)
		}
	}
	before := append([]group(nil), gs...)
	for i, g := range before {
		gs[i%lanes*(n/lanes)+i/lanes] = g
	}
}

// transpose exchanges word w of lane i of group j with that of lane j of group i.
func (k sortKernel) transpose(gs []group, w int, free *group) {
	for d := 1; d < len(gs); d *= 2 {
		for i := range gs {
			if i&d != 0 {
				continue
			}
			x, y, t := k.v.reg(gs[i][w]), k.v.reg(gs[i+d][w]), k.v.reg((*free)[w])
			switch {
			case d == 1:
				VPUNPCKLQDQ(y, x, t)
				VPUNPCKHQDQ(y, x, y)
			case k.v == avx2:
				VPERM2I128(U8(0x20), y, x, t)
				VPERM2I128(U8(0x31), y, x, y)
			default: // quarters, which are in order after the second time
				VSHUFI64X2(U8(0x88), y, x, t)
				VSHUFI64X2(U8(0xdd), y, x, y)
			}
			gs[i][w], (*free)[w] = (*free)[w], gs[i][w]
		}
	}
}

// distances compares groups at distances h, h/2, ..., 1.
func (k sortKernel) distances(gs []group, h int, free *group) {
	for ; h > 0; h /= 2 {
		for i := range gs {
			if i&h == 0 {
				k.exchange(&gs[i], &gs[i+h], free)
			}
		}
	}
}

// flip generates the kernel that compares ascending groups with descending
// ones, mirrored, then cleans both halves at distances; so many groups at one
// load. Groups of the upper half are left turned round, which cleaning does not
// mind: their lanes are all in the same wrong places.
func (k sortKernel) flip(n int) {
	name := fmt.Sprintf("flip%dGroups%d%s", n, k.words, k.v)
	TEXT(name, 4, "func(low, high *byte, distance, count int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s compares groups from low on with those from high down, then each side's at %d, ..., 1 times the distance, in bytes.", name, n/4))
	low, high, up, up3, down, down3, left := reg.RDI, reg.RSI, reg.R8, reg.R9, reg.R10, reg.R11, reg.RCX
	Load(Param("low"), low)
	Load(Param("high"), high)
	Load(Param("distance"), up)
	Load(Param("count"), left)
	LEAQ(at(up, up, 2, 0), up3)
	MOVQ(up, down)
	NEGQ(down)
	LEAQ(at(down, down, 2, 0), down3)
	k.loadReverse()
	lows := func(i, disp int) Mem { return row(i, low, nil, up, up3, disp) }
	highs := func(i, disp int) Mem { return row(n/2-1-i, high, nil, down, down3, disp) }
	Label("next")
	var gs []group
	for i := range n {
		gs = append(gs, k.group(i*k.words))
		for w, r := range gs[i] {
			if disp := int(k.v) * w; i < n/2 {
				k.v.move(lows(i, disp), k.v.reg(r))
			} else {
				k.reverse(highs(i-n/2, disp), r)
			}
		}
	}
	free := k.group(n * k.words)
	for i := range n / 2 {
		k.exchange(&gs[i], &gs[n-1-i], &free)
	}
	k.distances(gs, n/4, &free)
	for i := range n {
		for w, r := range gs[i] {
			if disp := int(k.v) * w; i < n/2 {
				k.v.move(k.v.reg(r), lows(i, disp))
			} else {
				k.v.move(k.v.reg(r), highs(i-n/2, disp))
			}
		}
	}
	ADDQ(U32(uint32(int(k.v)*k.words)), low)
	SUBQ(U32(uint32(int(k.v)*k.words)), high)
	DECQ(left)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// clean generates the kernel that compares groups at distances, so many of
// them at one load.
func (k sortKernel) clean(n int) {
	name := fmt.Sprintf("clean%dGroups%d%s", n, k.words, k.v)
	TEXT(name, 4, "func(data *byte, distance, count int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s compares groups at %d, ..., 1 times the distance, in bytes.", name, n/2))
	Load(Param("data"), src)
	Load(Param("distance"), srcRow)
	Load(Param("count"), left)
	LEAQ(at(srcRow, srcRow, 2, 0), srcRow3)
	if n == 8 {
		LEAQ(at(src, srcRow, 4, 0), src4)
	}
	Label("next")
	var gs []group
	for i := range n {
		gs = append(gs, k.group(i*k.words))
		for w, r := range gs[i] {
			k.v.move(row(i, src, src4, srcRow, srcRow3, int(k.v)*w), k.v.reg(r))
		}
	}
	free := k.group(n * k.words)
	k.distances(gs, n/2, &free)
	for i := range n {
		for w, r := range gs[i] {
			k.v.move(k.v.reg(r), row(i, src, src4, srcRow, srcRow3, int(k.v)*w))
		}
	}
	ADDQ(U32(uint32(int(k.v)*k.words)), src)
	if n == 8 {
		ADDQ(U32(uint32(int(k.v)*k.words)), src4)
	}
	DECQ(left)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}
