package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// labels generates the scans over labels. Counters are in registers, one to a
// lane; every label is compared with the numbers of all of them.
func labels() {
	rank(false)
	rank(true)
	for _, v := range both {
		for n := 1; n <= counterRegisters(v); n++ {
			for _, what := range []string{"tally", "rank", "keep"} {
				countKernel{v, n, what}.generate()
			}
		}
		fill(v)
		lookup(v)
	}
}

// counterRegisters is the largest number of counter registers of a kernel.
func counterRegisters(v vec) int {
	if v == avx2 {
		return 5
	}
	return 8
}

// countKernel is a kernel with n registers of counters.
type countKernel struct {
	v    vec
	n    int
	what string
}

func (k countKernel) generate() {
	name := fmt.Sprintf("%sLabels%d%s", k.what, k.n, k.v)
	TEXT(name, 4, "func(labels *uint32, out *byte, n int, counters, numbers *uint32, last uint32)")
	Pragma("noescape")
	switch k.what {
	case "tally":
		Doc(name + " counts every label up.")
	case "rank":
		Doc(name + " adds to every 32-bit output the counter of its label, and counts it up.")
	case "keep":
		Doc(name + " sets the lowest bit of every output byte whose label has a counter above 0, and counts it down.")
	}
	ls, out, left, counters, numbers := reg.RSI, reg.RDI, reg.RCX, reg.RBX, reg.RDX
	Load(Param("labels"), ls)
	Load(Param("out"), out)
	Load(Param("n"), left)
	Load(Param("counters"), counters)
	Load(Param("numbers"), numbers)
	c := func(i int) reg.VecPhysical { return k.v.reg(5 + i) }
	number := func(i int) reg.VecPhysical { // in AVX2 they are memory operands
		return zs[16+i]
	}
	x, s, t, one, last := k.v.reg(0), k.v.reg(1), k.v.reg(2), k.v.reg(3), k.v.reg(4)
	for i := range k.n {
		k.v.move(mem(counters, i*int(k.v)), c(i))
		if k.v == avx512 {
			k.v.move(mem(numbers, i*64), number(i))
		}
	}
	MOVL(U32(1), reg.EAX)
	VMOVD(reg.EAX, xs[3])
	VPBROADCASTD(xs[3], one)
	Load(Param("last"), reg.EAX)
	VMOVD(reg.EAX, xs[4])
	VPBROADCASTD(xs[4], last)
	Label("label")
	VPBROADCASTD(mem(ls, 0), x)
	VPMINUD(last, x, x)
	if k.what != "tally" {
		VPXOR(ys[1], ys[1], ys[1])
	}
	for i := range k.n {
		if k.v == avx512 {
			VPCMPEQD(number(i), x, reg.K1)
			switch k.what {
			case "tally":
				VPADDD(one, c(i), reg.K1, c(i))
			case "rank":
				VMOVDQA32(c(i), reg.K1, s)
				VPADDD(one, c(i), reg.K1, c(i))
			case "keep":
				VPTESTMD(c(i), c(i), reg.K1, reg.K2)
				VMOVDQA32(one, reg.K2, s)
				VPSUBD(one, c(i), reg.K2, c(i))
			}
			continue
		}
		VPCMPEQD(mem(numbers, i*32), x, t)
		switch k.what {
		case "tally":
			VPSUBD(t, c(i), c(i))
		case "rank":
			VPAND(c(i), t, ys[11])
			VPSUBD(t, c(i), c(i))
			VPOR(ys[11], s, s)
		case "keep":
			VPMINUD(one, c(i), ys[11])
			VPAND(t, ys[11], ys[11])
			VPSUBD(ys[11], c(i), c(i))
			VPOR(ys[11], s, s)
		}
	}
	if k.what != "tally" {
		k.gather(out)
	}
	ADDQ(U8(4), ls)
	DECQ(left)
	JNZ(LabelRef("label"))
	for i := range k.n {
		k.v.move(c(i), mem(counters, i*int(k.v)))
	}
	VZEROUPPER()
	RET()
}

// gather brings the one lane of register 1 that may differ from 0 to the
// lowest and adds it to the output, which it advances.
func (k countKernel) gather(out reg.Register) {
	if k.v == avx512 {
		VEXTRACTI64X4(U8(1), zs[1], ys[2])
		VPOR(ys[2], ys[1], ys[1])
	}
	VEXTRACTI128(U8(1), ys[1], xs[2])
	VPOR(xs[2], xs[1], xs[1])
	VPSHUFD(U8(0x4e), xs[1], xs[2])
	VPOR(xs[2], xs[1], xs[1])
	VPSHUFD(U8(0xb1), xs[1], xs[2])
	VPOR(xs[2], xs[1], xs[1])
	if k.what == "rank" {
		VMOVD(mem(out, 0), xs[2])
		VPOR(xs[2], xs[1], xs[1])
		VMOVD(xs[1], mem(out, 0))
		ADDQ(U8(4), out)
		return
	}
	VPXOR(xs[2], xs[2], xs[2])
	VPINSRB(U8(0), mem(out, 0), xs[2], xs[2])
	VPOR(xs[2], xs[1], xs[1])
	VPEXTRB(U8(0), xs[1], mem(out, 0))
	INCQ(out)
}

// scan is the frame of a kernel that takes numbers, four registers of them at a
// time, past all n entries of a table: start comes before the first entry, step
// is done for each entry with every register of numbers and that of its results,
// and next after these. entry is the label.
func scan(v vec, name, params, doc, entry string, start, next func(), step func(number, result int)) {
	TEXT(name+v.String(), 4, "func("+params+")")
	Pragma("noescape")
	Doc(name + v.String() + doc)
	in, out, blocks, table, n, left, at := reg.RSI, reg.RDI, reg.RCX, reg.RBX, reg.RDX, reg.RAX, reg.R8
	for i, r := range []reg.Register{in, out, blocks, table, n} {
		Load(ParamIndex(i), r)
	}
	MOVL(U32(1), reg.R9L)
	VMOVD(reg.R9L, xs[10])
	VPBROADCASTD(xs[10], v.reg(10))
	Label("block")
	for i := range 4 {
		v.move(mem(in, i*int(v)), v.reg(i))
		VPXOR(ys[4+i], ys[4+i], ys[4+i])
	}
	start()
	MOVQ(table, at)
	MOVQ(n, left)
	Label(entry)
	VPBROADCASTD(mem(at, 0), v.reg(8))
	for i := range 4 {
		step(i, 4+i)
	}
	next()
	ADDQ(U8(4), at)
	DECQ(left)
	JNZ(LabelRef(entry))
	for i := range 4 {
		v.move(v.reg(4+i), mem(out, i*int(v)))
	}
	ADDQ(U32(uint32(4*v)), in)
	ADDQ(U32(uint32(4*v)), out)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// fill generates the kernel that counts, for each of some numbers, the bounds
// that are at most it.
func fill(v vec) {
	one, bound := v.reg(10), v.reg(8)
	nothing := func() {}
	scan(v, "countUpto", "numbers, counts *uint32, blocks int, bounds *uint32, n int",
		" sets each count to the number of the n bounds that are at most its number.",
		"bound", nothing, nothing, func(number, count int) {
			if v == avx512 {
				VPCMPUD(U8(2), v.reg(number), bound, reg.K1) // bound <= number
				VPADDD(one, v.reg(count), reg.K1, v.reg(count))
			} else {
				VPMAXUD(bound, ys[number], ys[9])
				VPCMPEQD(ys[9], ys[number], ys[9])
				VPSUBD(ys[9], ys[count], ys[count])
			}
		})
}

// lookup generates the kernel that takes, for each of some indexes, the entry
// of a table.
func lookup(v vec) {
	one, number, entry := v.reg(10), v.reg(9), v.reg(8)
	scan(v, "lookup", "index, out *uint32, blocks int, table *uint32, n int",
		" sets each output to the entry, of the n of the table, with its index, or to 0. Output and index may be the same.",
		"entry", func() { VPXOR(ys[9], ys[9], ys[9]) },
		func() { VPADDD(one, number, number) },
		func(index, out int) {
			if v == avx512 {
				VPCMPEQD(number, v.reg(index), reg.K1)
				VMOVDQA32(entry, reg.K1, v.reg(out))
			} else {
				VPCMPEQD(number, ys[index], ys[11])
				VPAND(entry, ys[11], ys[11])
				VPOR(ys[11], ys[out], ys[out])
			}
		})
}

// rank generates the running sums of marks, of 8 at a time, the marks being
// bytes or, below, the labels below a bound.
func rank(below bool) {
	name, in := "rankMarksAVX2", "marks *byte"
	if below {
		name, in = "rankBelowAVX2", "labels *uint32"
	}
	TEXT(name, 4, "func("+in+", ranks *uint32, n int, sum *uint32, bound uint32)")
	Pragma("noescape")
	Doc(name + " ranks n marks, a multiple of 8, and adds their number to the sum.")
	from, out, left, sum := reg.RSI, reg.RDI, reg.RCX, reg.RBX
	if below {
		Load(Param("labels"), from)
	} else {
		Load(Param("marks"), from)
	}
	Load(Param("ranks"), out)
	Load(Param("n"), left)
	Load(Param("sum"), sum)
	Load(Param("bound"), reg.EAX)
	bound, one, total, seven := ys[8], ys[9], ys[10], ys[11]
	VMOVD(reg.EAX, xs[8])
	VPBROADCASTD(xs[8], bound)
	VPBROADCASTD(mem(sum, 0), total)
	VMOVDQU(constant("ones", []uint32{1, 1, 1, 1, 1, 1, 1, 1}), one)
	VMOVDQU(constant("sevens", []uint32{7, 7, 7, 7, 7, 7, 7, 7}), seven)
	Label("next")
	x, y, r := ys[0], ys[1], ys[2]
	if below {
		VMOVDQU(mem(from, 0), x)
		VPMAXUD(bound, x, y)
		VPCMPEQD(x, y, x) // not below
		VPANDN(one, x, x)
		ADDQ(U8(32), from)
	} else {
		VPMOVZXBD(mem(from, 0), x)
		VPAND(one, x, x)
		ADDQ(U8(8), from)
	}
	VPSLLDQ(U8(4), x, y)
	VPADDD(x, y, r)
	VPSLLDQ(U8(8), r, y)
	VPADDD(r, y, r)
	VPERM2I128(U8(0x08), r, r, y) // the lower half, above zeros
	VPSHUFD(U8(0xff), y, y)
	VPADDD(r, y, r)
	VPSUBD(x, r, x)
	VPADDD(total, x, x)
	VMOVDQU(x, mem(out, 0))
	VPERMD(r, seven, y)
	VPADDD(y, total, total)
	ADDQ(U8(32), out)
	SUBQ(U8(8), left)
	JNZ(LabelRef("next"))
	VMOVD(xs[10], mem(sum, 0))
	VZEROUPPER()
	RET()
}
