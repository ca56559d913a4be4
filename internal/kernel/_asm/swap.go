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
		a, b, m := reg.RDI, reg.RSI, ys[15]
		Load(Param("a"), a)
		Load(Param("b"), b)
		Load(Param("n"), left)
		mask, err := Param("mask").Resolve()
		if err != nil {
			panic(err)
		}
		if v == avx2 {
			VPBROADCASTQ(mask.Addr, m)
		} else {
			KMOVQ(mask.Addr, reg.K1)
		}
		// body does pieces of the size, all loads before all stores.
		body := func(size, pieces int) {
			for i := range pieces {
				x, y, t := 3*i, 3*i+1, 3*i+2
				move(size, mem(a, i*size), x, false)
				move(size, mem(b, i*size), y, false)
				switch {
				case v == avx512:
					if !cp {
						VPBLENDMQ(zs[x], zs[y], reg.K1, zs[t])
					}
					VPBLENDMQ(zs[y], zs[x], reg.K1, zs[x])
				case cp:
					VBLENDVPD(m, ys[y], ys[x], ys[x])
				default:
					VPXOR(ys[x], ys[y], ys[t])
					VPAND(m, ys[t], ys[t])
					VPXOR(ys[t], ys[x], ys[x])
					VPXOR(ys[t], ys[y], ys[t])
				}
			}
			for i := range pieces {
				move(size, mem(a, i*size), 3*i, true)
				if !cp {
					move(size, mem(b, i*size), 3*i+2, true)
				}
			}
			ADDQ(U32(uint32(size*pieces)), a)
			ADDQ(U32(uint32(size*pieces)), b)
		}
		for _, pieces := range []int{4, 1} {
			size := uint32(int(v) * pieces)
			loop, rest := fmt.Sprintf("times%d", pieces), fmt.Sprintf("below_times%d", pieces)
			SUBQ(U32(size), left)
			JB(LabelRef(rest))
			Label(loop)
			body(int(v), pieces)
			SUBQ(U32(size), left)
			JAE(LabelRef(loop))
			Label(rest)
			ADDQ(U32(size), left)
			JZ(LabelRef("whole"))
		}
		for size := int(v) / 2; size >= 8; size /= 2 {
			after := fmt.Sprintf("below%d", size)
			TESTQ(U32(uint32(size)), left)
			JZ(LabelRef(after))
			body(size, 1)
			Label(after)
		}
		Label("whole")
		VZEROUPPER()
		RET()
	}
}
