package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// resident is how many masks of a group stay in mask registers. The others
// are brought to the remaining ones, in turn, for every chunk: there are seven.
const resident = 4

// early brings mask i to its mask register if it has one of its own.
func (k levelKernel) early(i int) {
	if i < resident {
		k.toMask(i, maskRegisters[i])
	}
}

var maskRegisters = []reg.OpmaskPhysical{reg.K1, reg.K2, reg.K3, reg.K4, reg.K5, reg.K6, reg.K7}

// toMask brings the signs of the lanes of mask i to a mask register.
func (k levelKernel) toMask(i int, r reg.OpmaskPhysical) {
	if k.lane == 64 {
		VPMOVQ2M(k.mask(i), r)
	} else {
		VPMOVD2M(k.mask(i), r)
	}
}

// exchange sets t to a, or b under the mask, and b to b, or a under the mask.
func (k levelKernel) exchange(m reg.OpmaskPhysical, a, b, t reg.VecPhysical) {
	if k.lane == 64 {
		VPBLENDMQ(b, a, m, t)
		VPBLENDMQ(a, b, m, b)
	} else {
		VPBLENDMD(b, a, m, t)
		VPBLENDMD(a, b, m, b)
	}
}

// chunks loops over the bytes of the rows of a group, a register at a time,
// then in tails of 32, 16 and 8 bytes.
func (k levelKernel) chunks(stack Mem) {
	if k.lane == 32 { // rows of one register
		k.chunk(int(k.v), stack)
		k.advance(int(k.v))
		return
	}
	SUBQ(U8(k.v), left)
	JB(LabelRef("tail"))
	Label("chunk")
	k.chunk(int(k.v), stack)
	k.advance(int(k.v))
	SUBQ(U8(k.v), left)
	JAE(LabelRef("chunk"))
	Label("tail")
	ADDQ(U8(k.v), left)
	JZ(LabelRef("whole"))
	for size := int(k.v) / 2; size >= 8; size /= 2 {
		after := fmt.Sprintf("below%d", size)
		TESTQ(U32(uint32(size)), left)
		JZ(LabelRef(after))
		k.chunk(size, stack)
		k.advance(size)
		Label(after)
	}
	Label("whole")
}

func (k levelKernel) advance(size int) {
	ADDQ(U8(size), src)
	ADDQ(U8(size), dst)
	if k.n == 3 {
		ADDQ(U8(size), src4)
		ADDQ(U8(size), dst4)
	}
}

// chunk does the network on one piece of every row of a group.
func (k levelKernel) chunk(size int, stack Mem) {
	r := make([]int, k.rows()) // register of each row
	for i := range r {
		r[i] = i
		move(size, row(i, src, src4, srcRow, srcRow3, 0), i, false)
	}
	free := 8
	for _, x := range k.pairs() {
		a, b := r[x.a], r[x.b]
		if k.v == avx512 {
			m := maskRegisters[resident+x.mask%(len(maskRegisters)-resident)]
			if x.mask < resident {
				m = maskRegisters[x.mask]
			} else {
				k.toMask(x.mask, m)
			}
			k.exchange(m, zs[a], zs[b], zs[free])
			r[x.a], free = free, a
			continue
		}
		t, m := ys[free], Op(stack.Offset(32*x.mask))
		if k.first {
			VPBROADCASTD(stack.Offset(4*x.mask), ys[9])
			m = ys[9]
		}
		VPXOR(ys[a], ys[b], t)
		VPAND(m, t, t)
		VPXOR(t, ys[a], ys[a])
		VPXOR(t, ys[b], ys[b])
	}
	for i := range r {
		move(size, row(i, dst, dst4, dstRow, dstRow3, 0), r[i], true)
	}
}

// move loads or stores the lowest size bytes of register i.
func move(size int, m Mem, i int, store bool) {
	var r Op
	switch size {
	case 64:
		r = zs[i]
	case 32:
		r = ys[i]
	default:
		r = xs[i]
	}
	from, to := Op(m), r
	if store {
		from, to = r, m
	}
	switch size {
	case 64:
		VMOVDQU64(from, to)
	case 8:
		VMOVQ(from, to)
	default:
		VMOVDQU(from, to)
	}
}
