package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// routes generates the levels of a network that carries entries to the cells
// in their upper halves. With bounds shifted to that half, an entry must go up
// if it is at least the boundary and below all cells, which is one comparison
// of their difference; and down if it is below both.
func routes() {
	for _, v := range both {
		routeKernel(v)
	}
	routeWithin()
}

func routeKernel(v vec) {
	name := "route" + v.String()
	TEXT(name, 4, "func(low, high *uint64, registers int, boundary, above, below *uint64)")
	Pragma("noescape")
	Doc(name+" compares entries: those from boundary on, but for so many above it, must be high,",
		"those below the last argument low. AVX2 takes all three plus 2^63.")
	low, high, left := reg.RDI, reg.RSI, reg.RCX
	Load(Param("low"), low)
	Load(Param("high"), high)
	Load(Param("registers"), left)
	boundary, above, below := v.reg(8), v.reg(9), v.reg(10)
	Load(Param("boundary"), tmp)
	VPBROADCASTQ(mem(tmp, 0), boundary)
	Load(Param("above"), tmp)
	VPBROADCASTQ(mem(tmp, 0), above)
	Load(Param("below"), tmp)
	VPBROADCASTQ(mem(tmp, 0), below)
	x, y, t, u := v.reg(0), v.reg(1), v.reg(2), v.reg(3)
	if v == avx2 {
		VMOVDQU(constant("signs", []uint32{0, 1 << 31, 0, 1 << 31, 0, 1 << 31, 0, 1 << 31}), ys[11])
	}
	Label("next")
	v.move(mem(low, 0), x)
	v.move(mem(high, 0), y)
	VPSUBQ(boundary, x, t)
	if v == avx512 {
		VPCMPUQ(U8(1), above, t, reg.K1)
		VPCMPUQ(U8(1), below, y, reg.K2)
		KORB(reg.K1, reg.K2, reg.K1)
		VPBLENDMQ(y, x, reg.K1, t)
		VPBLENDMQ(x, y, reg.K1, u)
	} else {
		VPCMPGTQ(t, above, t)
		VPXOR(ys[11], y, u)
		VPCMPGTQ(u, below, u)
		VPOR(t, u, ys[4])
		VBLENDVPD(ys[4], y, x, t)
		VBLENDVPD(ys[4], x, y, u)
	}
	v.move(t, mem(low, 0))
	v.move(u, mem(high, 0))
	ADDQ(U8(v), low)
	ADDQ(U8(v), high)
	DECQ(left)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// routeWithin generates the levels whose pairs lie in one register of AVX-512.
func routeWithin() {
	TEXT("routeWithinAVX512", 4, "func(entries *uint64, registers int, cells, first *uint64)")
	Pragma("noescape")
	Doc("routeWithinAVX512 does the levels of blocks of 8 entries.")
	data, left := reg.RDI, reg.RCX
	Load(Param("entries"), data)
	Load(Param("registers"), left)
	cells, at := zs[8], zs[9]
	Load(Param("cells"), tmp)
	VPBROADCASTQ(mem(tmp, 0), cells)
	Load(Param("first"), tmp)
	VPBROADCASTQ(mem(tmp, 0), at)
	step := []uint32{}
	for range 8 {
		step = append(step, 0, 8)
	}
	VMOVDQU64(constant("eight_cells", step), zs[10])
	upper := map[int]reg.OpmaskPhysical{1: reg.K5, 2: reg.K6, 4: reg.K7}
	for _, h := range []int{4, 2, 1} {
		var middles []uint32
		mask := uint32(0)
		for lane := range 8 {
			middles = append(middles, 0, uint32(lane&^(2*h-1)+h))
			mask |= uint32(lane/h&1) << lane
		}
		VMOVDQU64(constant(fmt.Sprintf("middles_%d", h), middles), zs[16+h])
		MOVL(U32(mask), reg.EAX)
		KMOVB(reg.EAX, upper[h])
	}
	x, p, b, span, below, t := zs[0], zs[1], zs[2], zs[3], zs[4], zs[5]
	Label("next")
	VMOVDQU64(mem(data, 0), x)
	for _, h := range []int{4, 2, 1} {
		partner(avx512, 8*h, x, p)
		VPADDQ(zs[16+h], at, b)
		VPMAXUQ(b, cells, span)
		VPSUBQ(b, span, span)
		VPMINUQ(b, cells, below)
		// In a lower lane: it must go up, or its partner down.
		VPSUBQ(b, x, t)
		VPCMPUQ(U8(1), span, t, reg.K1)
		VPCMPUQ(U8(1), below, p, reg.K2)
		KORB(reg.K1, reg.K2, reg.K1)
		KANDNB(reg.K1, upper[h], reg.K1)
		// In an upper lane the other way round.
		VPSUBQ(b, p, t)
		VPCMPUQ(U8(1), span, t, upper[h], reg.K2)
		VPCMPUQ(U8(1), below, x, upper[h], reg.K3)
		KORB(reg.K2, reg.K1, reg.K1)
		KORB(reg.K3, reg.K1, reg.K1)
		VMOVDQA64(p, reg.K1, x)
	}
	VMOVDQU64(x, mem(data, 0))
	VPADDQ(zs[10], at, at)
	ADDQ(U8(64), data)
	DECQ(left)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}
