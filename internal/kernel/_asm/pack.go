package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// pack generates the kernels that bring headers of four words to groups and
// back.
func pack(back bool) {
	name := "packHeadersAVX512"
	if back {
		name = "unpackHeadersAVX512"
	}
	TEXT(name, 4, "func(dst, src *byte, groups int)")
	Pragma("noescape")
	Doc(name + " transposes headers, eight at a time.")
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("groups"), left)
	q := func(i ...uint32) []uint32 {
		var ws []uint32
		for _, x := range i {
			ws = append(ws, x, 0)
		}
		return ws
	}
	// Lanes of a pair of registers; 8 and up are those of the second.
	index := [][]uint32{q(0, 4, 8, 12, 1, 5, 9, 13), q(2, 6, 10, 14, 3, 7, 11, 15), q(0, 1, 2, 3, 8, 9, 10, 11), q(4, 5, 6, 7, 12, 13, 14, 15)}
	names := []string{"pack_01", "pack_23", "pack_low", "pack_high"}
	if back {
		index[0], index[1] = q(0, 8, 1, 9, 2, 10, 3, 11), q(4, 12, 5, 13, 6, 14, 7, 15)
		index[2], index[3] = q(0, 1, 8, 9, 2, 3, 10, 11), q(4, 5, 12, 13, 6, 7, 14, 15)
		names = []string{"unpack_low", "unpack_high", "unpack_even", "unpack_odd"}
	}
	for i, x := range index {
		VMOVDQU64(constant(names[i], x), zs[16+i])
	}
	Label("next")
	for i := range 4 {
		VMOVDQU64(mem(src, 64*i), zs[i])
	}
	pick := func(i, a, b, to int) {
		VMOVDQA64(zs[a], zs[to])
		VPERMT2Q(zs[b], zs[16+i], zs[to])
	}
	// Forth: words 0 and 1 of headers 0 to 3, words 2 and 3; then of headers 4
	// to 7. Back: words 0 and 1 in pairs of headers 0 to 3, 4 to 7; then 2 and 3.
	pick(0, 0, 1, 4)
	pick(1, 0, 1, 5)
	pick(0, 2, 3, 6)
	pick(1, 2, 3, 7)
	pick(2, 4, 6, 8)
	pick(3, 4, 6, 9)
	pick(2, 5, 7, 10)
	pick(3, 5, 7, 11)
	for i := range 4 {
		VMOVDQU64(zs[8+i], mem(dst, 64*i))
	}
	ADDQ(U32(256), src)
	ADDQ(U32(256), dst)
	DECQ(left)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}
