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

// packWords generates the kernels that turn words into doubles whose order is
// the same, and back. A word plus 2^52, up to 2^63-2^52-1, is the pattern of a
// double that is positive, normal and finite; the patterns of such doubles are
// in the same order as they. Words that are too great for it lose that in their
// upper halves, so that the sort kernels get such doubles whatever the words
// are. So neither VMINPD nor VMAXPD ever meets a zero, a subnormal, an infinity
// or a NaN: it raises no exception, sets no flag, does not depend on MXCSR, and
// returns one of the two patterns unchanged. What is relied on is that it takes
// the same time for all normal finite doubles; docs/side-channels.md says what
// speaks for that.
func packWords(back bool) {
	name := "packWordsAVX2"
	if back {
		name = "unpackWordsAVX2"
	}
	TEXT(name, 4, "func(dst, src *uint64, registers int)")
	Pragma("noescape")
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("registers"), left)
	q := func(x uint64) (words []uint32) {
		for range 4 {
			words = append(words, uint32(x), uint32(x>>32))
		}
		return words
	}
	x, bias, last := ys[0], ys[1], ys[2]
	VMOVDQU(constant("least_normal", q(1<<52)), bias)
	if back {
		Doc(name + " turns doubles into words again.")
	} else {
		Doc(name + " turns words into doubles in the same order.")
		VMOVDQU(constant("last_word", q(1<<63-1<<53-1)), last)
	}
	Label("next")
	VMOVDQU(mem(src, 0), x)
	if back {
		VPSUBQ(bias, x, x)
	} else {
		VPMINUD(last, x, x)
		VPADDQ(bias, x, x)
	}
	VMOVDQU(x, mem(dst, 0))
	ADDQ(U8(32), src)
	ADDQ(U8(32), dst)
	DECQ(left)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}
