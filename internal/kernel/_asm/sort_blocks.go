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
	k.loadUppers()
	k.loadReverse()
	if k.v == avx512 {
		VMOVDQU64(constant("even_quarters", []uint32{0, 0, 1, 0, 8, 0, 9, 0, 4, 0, 5, 0, 12, 0, 13, 0}), zs[evenZ])
		VMOVDQU64(constant("odd_quarters", []uint32{2, 0, 3, 0, 10, 0, 11, 0, 6, 0, 7, 0, 14, 0, 15, 0}), zs[oddZ])
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
		if k.v == avx2 {
			steps(1, 1, 3, 2, 1, 1)
		} else {
			steps(1, 1, 3, 2, 1, 1, 7, 4, 2, 2, 1, 1)
		}
		for h := 1; h < n; h *= 2 {
			for s := 0; s < n; s += 2 * h {
				// The upper half is turned round before: what is left of it is
				// turned round too, which cleaning does not mind.
				for i := range h / 2 {
					gs[s+h+i], gs[s+2*h-1-i] = gs[s+2*h-1-i], gs[s+h+i]
				}
				for i := range h {
					k.reverse(gs[s+h+i])
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
// ones, mirrored.
func (k sortKernel) flip() {
	name := fmt.Sprintf("flipGroups%d%s", k.words, k.v)
	TEXT(name, 4, "func(low, high *byte, count int)")
	Pragma("noescape")
	Doc(name + " compares count groups from low on with those from high down.")
	low, high, left := reg.RDI, reg.RSI, reg.RCX
	Load(Param("low"), low)
	Load(Param("high"), high)
	Load(Param("count"), left)
	k.loadReverse()
	Label("next")
	a, b, free := k.group(0), k.group(k.words), k.group(2*k.words)
	k.load(low, 0, a)
	k.load(high, 0, b)
	k.reverse(b)
	k.exchange(&a, &b, &free)
	k.reverse(b)
	k.store(a, low, 0)
	k.store(b, high, 0)
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
