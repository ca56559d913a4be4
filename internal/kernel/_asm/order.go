package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// A layer of the bitonic network on eight rows compares row i with row i xor
// pattern; the one without the bit of the distance is the lower one.
var layers = []struct{ pattern, distance int }{{1, 1}, {3, 2}, {1, 1}, {7, 4}, {2, 2}, {1, 1}}

// order generates the sort of eight rows by their labels: a kernel that sorts
// the labels and notes the masks, and those that move the rows.
func order() {
	TEXT("order8AVX2", 4, "func(labels *uint32, masks *[48]uint32)")
	Pragma("noescape")
	Doc("order8AVX2 sorts 8 labels and notes for each layer and row whether it is exchanged.")
	Load(Param("labels"), src)
	Load(Param("masks"), dst)
	x, p, lo, hi, m := ys[0], ys[1], ys[2], ys[3], ys[4]
	VMOVDQU(mem(src, 0), x)
	for i, l := range layers {
		var index, upper []uint32
		for lane := range 8 {
			index = append(index, uint32(lane^l.pattern))
			upper = append(upper, -uint32(lane/l.distance&1))
		}
		VMOVDQU(constant(fmt.Sprintf("partner_%d", l.pattern), index), p)
		VPERMD(x, p, p)
		VPMINUD(x, p, lo)
		VPMAXUD(x, p, hi)
		VMOVDQU(constant(fmt.Sprintf("upper8_%d", l.distance), upper), m)
		VBLENDVPS(m, hi, lo, lo)
		VPCMPEQD(lo, x, m) // it stays what it was
		VMOVDQA(lo, x)
		VPCMPEQD(hi, hi, hi)
		VPXOR(hi, m, m)
		VMOVDQU(m, mem(dst, 32*i))
	}
	VMOVDQU(x, mem(src, 0))
	VZEROUPPER()
	RET()
	for _, v := range both {
		move8(v)
	}
}

// move8 generates the kernel that moves eight rows under the masks.
func move8(v vec) {
	name := "move8" + v.String()
	TEXT(name, 4, "func(data *byte, width int, masks *[48]uint32)")
	Pragma("noescape")
	Doc(name + " exchanges 8 rows, one behind the other, under the masks of order8.")
	Load(Param("data"), src)
	Load(Param("width"), srcRow)
	Load(Param("masks"), masks)
	LEAQ(at(srcRow, srcRow, 2, 0), srcRow3)
	LEAQ(at(src, srcRow, 4, 0), src4)
	MOVQ(srcRow, left)
	// pieces of a size, some of them at a time under one mask
	chunk := func(size, n int) {
		r, free := make([][8]int, n), 8*n
		for c := range r {
			for i := range 8 {
				r[c][i] = 8*c + i
				move(size, row(i, src, src4, srcRow, srcRow3, c*size), 8*c+i, false)
			}
		}
		k := 0
		for i, l := range layers {
			for a := range 8 {
				if a&l.distance != 0 {
					continue
				}
				b, lane := a^l.pattern, mem(masks, 32*i+4*a)
				kr := maskRegisters[k%7]
				k++
				if v == avx512 {
					VPBROADCASTD(lane, zs[31-k%8])
					VPMOVQ2M(zs[31-k%8], kr)
				} else {
					VPBROADCASTD(lane, ys[15])
				}
				for c := range r {
					x, y := r[c][a], r[c][b]
					if v == avx512 {
						VPBLENDMQ(zs[y], zs[x], kr, zs[free])
						VPBLENDMQ(zs[x], zs[y], kr, zs[y])
					} else {
						VBLENDVPD(ys[15], ys[y], ys[x], ys[free])
						VBLENDVPD(ys[15], ys[x], ys[y], ys[y])
					}
					r[c][a], free = free, x
				}
			}
		}
		for c := range r {
			for i := range 8 {
				move(size, row(i, src, src4, srcRow, srcRow3, c*size), r[c][i], true)
			}
		}
		ADDQ(U32(uint32(size*n)), src)
		ADDQ(U32(uint32(size*n)), src4)
	}
	if v == avx512 {
		Label("double")
		SUBQ(U32(128), left)
		JB(LabelRef("less"))
		chunk(64, 2)
		JMP(LabelRef("double"))
		Label("less")
		ADDQ(U32(128), left)
		JZ(LabelRef("whole"))
	}
	SUBQ(U8(v), left)
	JB(LabelRef("tail"))
	Label("chunk")
	chunk(int(v), 1)
	SUBQ(U8(v), left)
	JAE(LabelRef("chunk"))
	Label("tail")
	ADDQ(U8(v), left)
	JZ(LabelRef("whole"))
	for size := int(v) / 2; size >= 8; size /= 2 {
		after := fmt.Sprintf("below%d", size)
		TESTQ(U32(uint32(size)), left)
		JZ(LabelRef(after))
		chunk(size, 1)
		Label(after)
	}
	Label("whole")
	VZEROUPPER()
	RET()
}
