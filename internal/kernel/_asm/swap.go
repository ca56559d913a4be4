package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// swapKernels generates the conditional swap and copy of one row each.
func swapKernels(v vec) {
	for _, cp := range []bool{false, true} {
		name := "condSwap" + v.String()
		if cp {
			name = "condCopy" + v.String()
		}
		TEXT(name, 4, "func(a, b *byte, n int, mask uint64)")
		Pragma("noescape")
		if cp {
			Doc(name + " copies b over a where the mask is all ones.")
		} else {
			Doc(name + " exchanges a and b where the mask is all ones.")
		}
		a, b, m := reg.RDI, reg.RSI, v.reg(4)
		Load(Param("a"), a)
		Load(Param("b"), b)
		Load(Param("n"), left)
		Load(Param("mask"), xs[4])
		VPBROADCASTQ(xs[4], m)
		body := func(size int) {
			move(size, mem(a, 0), 0, false)
			move(size, mem(b, 0), 1, false)
			if v == avx512 {
				VMOVDQA64(zs[0], zs[2])
				VPTERNLOGQ(U8(0xd8), m, zs[1], zs[2])
				if !cp {
					VPTERNLOGQ(U8(0xd8), m, zs[0], zs[1])
				}
			} else {
				VBLENDVPD(m, ys[1], ys[0], ys[2])
				if !cp {
					VBLENDVPD(m, ys[0], ys[1], ys[1])
				}
			}
			move(size, mem(a, 0), 2, true)
			if !cp {
				move(size, mem(b, 0), 1, true)
			}
			ADDQ(U8(size), a)
			ADDQ(U8(size), b)
		}
		SUBQ(U8(v), left)
		JB(LabelRef("tail"))
		Label("chunk")
		body(int(v))
		SUBQ(U8(v), left)
		JAE(LabelRef("chunk"))
		Label("tail")
		ADDQ(U8(v), left)
		JZ(LabelRef("whole"))
		for size := int(v) / 2; size >= 8; size /= 2 {
			after := fmt.Sprintf("below%d", size)
			TESTQ(U32(uint32(size)), left)
			JZ(LabelRef(after))
			body(size)
			Label(after)
		}
		Label("whole")
		VZEROUPPER()
		RET()
	}
}
