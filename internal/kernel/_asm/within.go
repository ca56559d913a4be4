package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// constants keeps one copy of each table.
var known = map[string]Mem{}

// constant is a read-only table of 32-bit words.
func constant(name string, words []uint32) Mem {
	m, ok := known[name]
	if !ok {
		m = GLOBL(name, 24) // RODATA, NOPTR
		for i, w := range words {
			DATA(4*i, U32(w))
		}
		known[name] = m
	}
	return m
}

// within generates, for rows of 4, 8, 16 and 32 bytes, the kernels of the
// levels whose pairs lie in one register.
func within() {
	for _, v := range both {
		for _, width := range []int{4, 8, 16, 32} {
			if width == int(v) {
				continue
			}
			for _, expand := range []bool{false, true} {
				withinKernel(v, width, expand)
			}
		}
	}
}

func withinKernel(v vec, width int, expand bool) {
	name := fmt.Sprintf("compactWithin%d%s", width, v)
	if expand {
		name = fmt.Sprintf("expandWithin%d%s", width, v)
	}
	TEXT(name, 4, "func(data *byte, ranks *uint32, registers int, offset uint32)")
	Pragma("noescape")
	Doc(name + " does the levels of compaction whose pairs lie in one register.")
	lanes, words, rows := int(v)/4, width/4, int(v)/width
	data, ranks, left, off := reg.RDI, reg.RSI, reg.RCX, v.reg(15)
	Load(Param("data"), data)
	Load(Param("ranks"), ranks)
	Load(Param("registers"), left)
	Load(Param("offset"), reg.R15L)
	VMOVD(reg.R15L, xs[15])
	VPBROADCASTD(xs[15], off)
	index := func(l int) reg.VecPhysical { return v.reg(4 + l) }
	sub := func(l int) reg.VecPhysical { return v.reg(8 + l) }
	levels := 0
	for ; 1<<levels < rows; levels++ {
		var is, ss []uint32
		for lane := range lanes {
			row := lane / words
			is = append(is, uint32(row>>(levels+1)<<(levels+1)+1<<levels))
			ss = append(ss, uint32(1+row&(1<<levels-1)))
		}
		v.move(constant(fmt.Sprintf("within_index_%d_%d_%s", width, levels, v), is), index(levels))
		v.move(constant(fmt.Sprintf("within_sub_%d_%d_%s", width, levels, v), ss), sub(levels))
		VPADDD(off, sub(levels), sub(levels))
		if v == avx512 {
			bit := []uint32{}
			for range lanes {
				bit = append(bit, 1<<levels)
			}
			v.move(constant(fmt.Sprintf("within_bit_%d", levels), bit), v.reg(16+levels))
		}
	}
	Label("register")
	x, r, t := v.reg(0), v.reg(1), v.reg(2)
	v.move(mem(data, 0), x)
	switch rows { // 4 bytes a rank
	case 16:
		VMOVDQU64(mem(ranks, 0), zs[1])
	case 8:
		VMOVDQU(mem(ranks, 0), ys[1])
	case 4:
		VMOVDQU(mem(ranks, 0), xs[1])
	case 2:
		VMOVQ(mem(ranks, 0), xs[1])
	}
	for i := range levels {
		l := i
		if expand {
			l = levels - 1 - i
		}
		VPERMD(r, index(l), t)
		VPSUBD(sub(l), t, t)
		if v == avx2 {
			VPSLLD(U8(31-l), t, t)
			partner(v, width<<l, x, ys[3])
			VBLENDVPS(t, ys[3], x, x)
			continue
		}
		VPTESTMD(v.reg(16+l), t, reg.K1)
		switch width << l {
		case 4:
			VPSHUFD(U8(0xb1), x, reg.K1, x)
		case 8:
			VPSHUFD(U8(0x4e), x, reg.K1, x)
		case 16:
			VSHUFI32X4(U8(0xb1), x, x, reg.K1, x)
		case 32:
			VSHUFI32X4(U8(0x4e), x, x, reg.K1, x)
		}
	}
	v.move(x, mem(data, 0))
	ADDQ(U8(v), data)
	ADDQ(U8(4*rows), ranks)
	DECQ(left)
	JNZ(LabelRef("register"))
	VZEROUPPER()
	RET()
}

// partner sets y to x with the halves of every 2*distance bytes exchanged.
func partner(v vec, distance int, x, y reg.VecPhysical) {
	switch distance {
	case 4:
		VPSHUFD(U8(0xb1), x, y)
	case 8:
		VPSHUFD(U8(0x4e), x, y)
	case 16:
		if v == avx2 {
			VPERMQ(U8(0x4e), x, y)
		} else {
			VSHUFI64X2(U8(0xb1), x, x, y)
		}
	case 32:
		VSHUFI64X2(U8(0x4e), x, x, y)
	}
}
