package main

import (
	"fmt"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Word numbers of the argument p of a level kernel; package kernel has the
// same as the fields of its struct pass.
const (
	pWidth = iota
	pSrcRow
	pDstRow
	pInner
	pSrcInner
	pDstInner
	pTableInner
	pOuter
	pSrcOuter
	pDstOuter
	pTableOuter
	pOffset
	pInnerX
	pOuterX = pInnerX + 3
	pStart  = pOuterX + 3
	pShift  = pStart + 3
	pWords  = pShift + 3
)

// levels generates the kernels that do one to three levels of a network on
// groups of 2, 4 or 8 rows, at one load and store of a row.
func levels() {
	for _, v := range both {
		for n := 1; n <= 3; n++ {
			for _, expand := range []bool{false, true} {
				if n == 1 && expand {
					continue // one level is its own inverse
				}
				for _, lane := range []int{64, 32} {
					levelKernel{v: v, n: n, expand: expand, lane: lane}.generate()
				}
				if n == 3 {
					levelKernel{v: v, n: n, expand: expand, lane: 64, first: true}.generate()
				}
			}
		}
	}
	for _, v := range both {
		swapKernels(v)
	}
}

// levelKernel is one kernel. The lanes of a mask are of 64 or 32 bits. A first
// kernel does the first three levels of blocks of 8 rows; instead of a table
// it has the ranks of the rows, 8 a group.
type levelKernel struct {
	v      vec
	n      int
	expand bool
	lane   int
	first  bool
}

func (k levelKernel) rows() int { return 1 << k.n }

func (k levelKernel) name() string {
	s := "compact"
	if k.expand {
		s = "expand"
	}
	if k.n == 1 {
		s = "swap"
	}
	if k.first {
		return s + "First" + k.v.String()
	}
	return fmt.Sprintf("%s%dx%d%s", s, k.rows(), k.lane, k.v)
}

// Registers.
var (
	src, src4, srcRow, srcRow3 = reg.RSI, reg.R8, reg.R9, reg.R10
	dst, dst4, dstRow, dstRow3 = reg.RDI, reg.R11, reg.R12, reg.R13
	masks, p, inner, left      = reg.RBX, reg.RAX, reg.RDX, reg.RCX
	tmp                        = reg.R15
)

// row returns the operand of row i of a group.
func row(i int, base, base4, stride, stride3 reg.Register, disp int) Mem {
	if i >= 4 {
		base = base4
	}
	switch i % 4 {
	case 1:
		return at(base, stride, 1, disp)
	case 2:
		return at(base, stride, 2, disp)
	case 3:
		return at(base, stride3, 1, disp)
	}
	return mem(base, disp)
}

// pair is a conditional swap of rows a and b under a mask.
type pair struct{ a, b, mask, level int }

// pairs lists the swaps in the order of the network.
func (k levelKernel) pairs() []pair {
	var ps []pair
	mask := 0
	for l := range k.n {
		for a := range k.rows() {
			if a>>l&1 == 0 {
				ps = append(ps, pair{a, a + 1<<l, mask, l})
				mask++
			}
		}
	}
	if k.expand { // levels in reverse
		var r []pair
		for l := k.n - 1; l >= 0; l-- {
			for _, x := range ps {
				if x.level == l {
					r = append(r, x)
				}
			}
		}
		return r
	}
	return ps
}

func (k levelKernel) generate() {
	TEXT(k.name(), 4, fmt.Sprintf("func(dst, src, masks *byte, lanes *[8]uint64, p *[%d]uint64)", pWords))
	Pragma("noescape")
	Doc(fmt.Sprintf("%s does %d levels on groups of %d rows.", k.name(), k.n, k.rows()))
	// Locals: 0 outer count, 8 src, 16 dst, 24 masks of the outer step; then
	// masks, in AVX2 because registers are few.
	const saved = 32
	frame := saved
	switch {
	case k.first:
		frame += 128
	case k.v == avx2:
		frame += 12 * 32
	}
	local := AllocLocal(frame)
	slot := func(i int) Mem { return local.Offset(8 * i) }
	word := func(i int) Mem { return mem(p, 8*i) }

	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("masks"), masks)
	Load(Param("p"), p)
	MOVQ(word(pSrcRow), srcRow)
	MOVQ(word(pDstRow), dstRow)
	LEAQ(at(srcRow, srcRow, 2, 0), srcRow3)
	LEAQ(at(dstRow, dstRow, 2, 0), dstRow3)
	k.constants(word)
	MOVQ(word(pOuter), tmp)
	MOVQ(tmp, slot(0))

	Label("outer")
	MOVQ(src, slot(1))
	MOVQ(dst, slot(2))
	MOVQ(masks, slot(3))
	if !k.first {
		for l := range k.n {
			k.startX(word, l)
		}
	}
	MOVQ(word(pInner), inner)

	Label("inner")
	k.masks(local.Offset(saved))
	if k.n == 3 {
		LEAQ(at(src, srcRow, 4, 0), src4)
		LEAQ(at(dst, dstRow, 4, 0), dst4)
	}
	MOVQ(word(pWidth), left)
	k.chunks(local.Offset(saved))

	// The next group: the pointers stand behind the rows.
	ADDQ(word(pSrcInner), src)
	ADDQ(word(pDstInner), dst)
	ADDQ(word(pTableInner), masks)
	if !k.first {
		for l := range k.n {
			k.addX(word(pInnerX+l), k.x(l))
		}
	}
	DECQ(inner)
	JNZ(LabelRef("inner"))

	MOVQ(slot(1), src)
	MOVQ(slot(2), dst)
	MOVQ(slot(3), masks)
	ADDQ(word(pSrcOuter), src)
	ADDQ(word(pDstOuter), dst)
	ADDQ(word(pTableOuter), masks)
	if !k.first {
		for l := range k.n {
			MOVQ(word(pOuterX+l), tmp)
			ADDQ(tmp, word(pStart+l))
		}
	}
	DECQ(slot(0))
	JNZ(LabelRef("outer"))
	VZEROUPPER()
	RET()
}

// x is the register of the positions of level l, mask that of mask i in
// AVX-512, spare one for anything.
func (k levelKernel) x(l int) reg.VecPhysical {
	if k.v == avx2 {
		return ys[10+l]
	}
	return zs[28+l]
}

func (k levelKernel) mask(i int) reg.VecPhysical { return zs[16+i] }

// startX sets the positions of level l to the lanes, shifted, plus the start.
func (k levelKernel) startX(word func(int) Mem, l int) {
	Load(Param("lanes"), tmp)
	k.v.move(mem(tmp, 0), k.x(l))
	VMOVQ(word(pShift+l), xs[9])
	if k.lane == 64 {
		VPSLLQ(xs[9], k.x(l), k.x(l))
	} else {
		VPSLLD(xs[9], k.x(l), k.x(l))
	}
	k.addX(word(pStart+l), k.x(l))
}

// addX adds the broadcast of a word to positions.
func (k levelKernel) addX(m Mem, x reg.VecPhysical) {
	t := k.v.reg(9)
	if k.lane == 64 {
		VPBROADCASTQ(m, t)
		VPADDQ(t, x, x)
	} else {
		VPBROADCASTD(m, t)
		VPADDD(t, x, x)
	}
}

// constants loads what a first kernel needs.
func (k levelKernel) constants(word func(int) Mem) {
	if !k.first {
		return
	}
	low := constant("first_low", []uint32{1, 3, 5, 7, 2, 2, 6, 6})
	lowSub := constant("first_low_sub", []uint32{1, 1, 1, 1, 1, 2, 1, 2})
	highSub := constant("first_high_sub", []uint32{1, 2, 3, 4, 1, 2, 3, 4})
	high := constant("first_high", []uint32{4, 4, 4, 4, 4, 4, 4, 4})
	// 32-bit counts to bring bits 0, 1 and 2 to the sign.
	lowShift := constant("first_low_shift", []uint32{31, 31, 31, 31, 30, 30, 30, 30})
	VMOVDQU(low, ys[10])
	VMOVDQU(high, ys[11])
	VMOVDQU(lowShift, ys[12])
	VPBROADCASTD(word(pOffset), ys[9])
	VPADDD(lowSub, ys[9], ys[13])
	VPADDD(highSub, ys[9], ys[14])
}

// spread sets all bits of a lane to its sign, for there is no blend in AVX2 that
// costs less than exclusive ors on all processors.
func (k levelKernel) spread(m reg.VecPhysical) {
	if k.lane == 32 {
		VPSRAD(U8(31), m, m)
		return
	}
	VPXOR(ys[8], ys[8], ys[8])
	VPCMPGTQ(m, ys[8], m)
}

// masks computes the masks of a group: in registers, of which the sign of a lane
// counts, or in AVX2 on the stack, all bits of a lane.
func (k levelKernel) masks(stack Mem) {
	if k.first {
		VMOVDQU(mem(masks, 0), ys[0])
		VPERMD(ys[0], ys[10], ys[1])
		VPSUBD(ys[13], ys[1], ys[1])
		VPSLLVD(ys[12], ys[1], ys[1])
		VPERMD(ys[0], ys[11], ys[2])
		VPSUBD(ys[14], ys[2], ys[2])
		VPSLLD(U8(29), ys[2], ys[2])
		if k.v == avx2 {
			VPSRAD(U8(31), ys[1], ys[1])
			VPSRAD(U8(31), xs[2], xs[2])
			VMOVDQU(ys[1], stack)
			VMOVDQU(xs[2], stack.Offset(32))
			return
		}
		for i := range 12 { // the lane to all lanes
			k.v.move(constant(fmt.Sprintf("all_%d", i%8), slices.Repeat([]uint32{uint32(i % 8)}, 16)), k.mask(i))
			VPERMD(zs[1+i/8], k.mask(i), k.mask(i))
			k.early(i)
		}
		return
	}
	i := 0
	for l := range k.n {
		for range k.rows() / 2 {
			m := ys[9]
			if k.v == avx512 {
				m = k.mask(i)
			}
			entry := mem(masks, 8*i)
			if k.lane == 64 {
				VPBROADCASTQ(entry, m)
				VPSUBQ(k.x(l), m, m)
			} else {
				VPBROADCASTD(entry, m)
				VPSUBD(k.x(l), m, m)
			}
			if k.v == avx2 {
				k.spread(m)
				VMOVDQU(m, stack.Offset(32*i))
			} else {
				k.early(i)
			}
			i++
		}
	}
}
