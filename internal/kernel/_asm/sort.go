package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sorts generates the sort kernels. Elements of one, two or four words lie in
// groups of as many as a register has lanes of 64 bits: first the first words
// of all, then the second ones, and so on, a register each. AVX2 has neither a
// minimum of 64-bit words nor an unsigned comparison of them: elements of one
// word are turned into doubles before (see packWords); for the others whoever
// packs inverts the highest bit.
func sorts() {
	for _, v := range both {
		for _, words := range []int{1, 2, 4} {
			k := sortKernel{v, words}
			k.block("sort", true)
			k.block("finish", false)
			for n := 2; n*words <= k.data() && n <= 8; n *= 2 {
				k.flip(n)
				k.clean(n)
			}
		}
	}
	pack(false)
	pack(true)
	packWords(false)
	packWords(true)
}

type sortKernel struct {
	v     vec
	words int
}

// doubles says whether the words are the patterns of doubles.
func (k sortKernel) doubles() bool { return k.v == avx2 && k.words == 1 }

// group is the registers of a group.
type group []int

// data is how many registers hold elements: 16, or 8 in AVX2, which has 16.
func (k sortKernel) data() int {
	if k.v == avx2 {
		return 8
	}
	return 16
}

const (
	reverseZ = 31 // the index that reverses lanes
	evenZ    = 30 // the indices that undo the exchanges of lanes of two groups
	oddZ     = 29
	thin     = 20 // and what less may overwrite
	verdictY = 15 // the result of less in AVX2, with another spare one
	spareY   = 14
)

// Mask registers 5 to 7 hold the upper lanes of pairs at distance 1, 2 and 4.
func upper(distance int) reg.OpmaskPhysical {
	return map[int]reg.OpmaskPhysical{1: reg.K5, 2: reg.K6, 4: reg.K7}[distance]
}

func (k sortKernel) loadUppers() {
	if k.v == avx2 {
		return
	}
	for _, x := range []struct {
		d int
		m uint32
	}{{1, 0xaa}, {2, 0xcc}, {4, 0xf0}} {
		MOVL(U32(x.m), reg.EAX)
		KMOVB(reg.EAX, upper(x.d))
	}
}

func (k sortKernel) loadReverse() {
	if k.v == avx2 {
		return
	}
	VMOVDQU64(constant("reverse", []uint32{7, 0, 6, 0, 5, 0, 4, 0, 3, 0, 2, 0, 1, 0, 0, 0}), zs[reverseZ])
}

// less2 is less for AVX2: its result is in a register.
func less2(p, a group) {
	m, t := ys[verdictY], ys[spareY]
	for w := len(a) - 1; w >= 0; w-- {
		if w == len(a)-1 {
			VPCMPGTQ(ys[p[w]], ys[a[w]], m)
			continue
		}
		VPCMPEQQ(ys[p[w]], ys[a[w]], t)
		VPAND(t, m, m)
		VPCMPGTQ(ys[p[w]], ys[a[w]], t)
		VPOR(t, m, m)
	}
}

// less sets K1 to the lanes in which p is less than a. Of two words the first
// counts, or the second where the first ones are equal; so words are thinned
// out by halves until one is left. It overwrites the registers from thin on.
func less(p, a group) {
	to := thin
	for k := reg.K2; len(a) > 1; k = reg.K3 {
		var q, b group
		for w := 0; w < len(a); w += 2 {
			VPCMPEQQ(zs[a[w]], zs[p[w]], k)
			VPBLENDMQ(zs[a[w+1]], zs[a[w]], k, zs[to])
			VPBLENDMQ(zs[p[w+1]], zs[p[w]], k, zs[to+1])
			b, q = append(b, to), append(q, to+1)
			to += 2
			if k == reg.K2 {
				k = reg.K4
			}
		}
		a, p = b, q
	}
	VPCMPUQ(U8(1), zs[a[0]], zs[p[0]], reg.K1)
}

// exchange puts the lesser elements in a and the others in b; free is a group
// of spare registers, which may change places with a. But for doubles the greater
// word is what is left of both without the lesser one: there are more units for
// that than for a second maximum or, in AVX2, for a blend.
func (k sortKernel) exchange(a, b, free *group) {
	x, y, f := *a, *b, *free
	if k.doubles() {
		VMINPD(ys[y[0]], ys[x[0]], ys[f[0]])
		VMAXPD(ys[y[0]], ys[x[0]], ys[y[0]])
		*a, *free = f, x
		return
	}
	if k.v == avx2 {
		less2(y, x)
		for w := range x {
			VPXOR(ys[x[w]], ys[y[w]], ys[f[w]])
			VPAND(ys[verdictY], ys[f[w]], ys[f[w]])
			VPXOR(ys[f[w]], ys[x[w]], ys[x[w]])
			VPXOR(ys[f[w]], ys[y[w]], ys[y[w]])
		}
		return
	}
	if k.words == 1 {
		VPMINUQ(zs[x[0]], zs[y[0]], zs[f[0]])
		VPTERNLOGQ(U8(0x96), zs[f[0]], zs[x[0]], zs[y[0]])
	} else {
		less(y, x)
		for w := range x {
			VPBLENDMQ(zs[y[w]], zs[x[w]], reg.K1, zs[f[w]])
			VPBLENDMQ(zs[x[w]], zs[y[w]], reg.K1, zs[y[w]])
		}
	}
	*a, *free = f, x
}

// upperLanes is the mask of the upper lanes at a distance of 1 or 2, in AVX2.
func upperLanes(distance int) (words []uint32) {
	for lane := range 4 {
		m := -uint32(lane / distance & 1)
		words = append(words, m, m)
	}
	return words
}

// within orders the lanes of a pairwise: lane i and i xor pattern, the lower
// lane being the one that has not the bit of the distance.
func (k sortKernel) within(a group, pattern, distance int, free group) {
	for w := range a {
		x, p := k.v.reg(a[w]), k.v.reg(free[w])
		switch pattern {
		case 1:
			VPSHUFD(U8(0x4e), x, p)
		case 2:
			VPERMQ(U8(0x4e), x, p)
		case 3:
			VPERMQ(U8(0x1b), x, p)
		case 4:
			VSHUFI64X2(U8(0x4e), x, x, p)
		case 7:
			VPERMQ(x, zs[reverseZ], p)
		}
	}
	if k.v == avx2 {
		less2(free, a)
		m := ys[verdictY]
		VPXOR(constant(fmt.Sprintf("upper_%d", distance), upperLanes(distance)), m, m)
		for w := range a {
			VBLENDVPD(m, ys[free[w]], ys[a[w]], ys[a[w]])
		}
		return
	}
	// A partner that is less goes to a lower lane; one that is not, to an upper
	// lane. Where both are equal it does not matter.
	less(free, a)
	KXORB(upper(distance), reg.K1, reg.K1)
	for w := range a {
		VMOVDQA64(zs[free[w]], reg.K1, zs[a[w]])
	}
}

// cleanLanes compares the lanes of two groups at distances 4, 2 and 1. The
// lanes are exchanged between the groups so that whole registers are compared;
// within one register every comparison would be made twice.
func (k sortKernel) cleanLanes(a, b, free *group) {
	mix := func(f func(x, y, to Op), g func(x, y, to Op)) {
		for w := range *a {
			x, y, t := k.v.reg((*a)[w]), k.v.reg((*b)[w]), k.v.reg((*free)[w])
			f(x, y, t)
			g(x, y, y)
		}
		*a, *free = *free, *a
	}
	quarters := func(order uint8) func(x, y, to Op) {
		return func(x, y, to Op) { VSHUFI64X2(U8(order), y, x, to) }
	}
	low := func(x, y, to Op) { VPUNPCKLQDQ(y, x, to) }
	high := func(x, y, to Op) { VPUNPCKHQDQ(y, x, to) }
	if k.v == avx2 {
		halves := func(order uint8) func(x, y, to Op) {
			return func(x, y, to Op) { VPERM2I128(U8(order), y, x, to) }
		}
		mix(halves(0x20), halves(0x31))
		k.exchange(a, b, free)
		mix(low, high)
		k.exchange(a, b, free)
		mix(low, high)
		mix(halves(0x20), halves(0x31))
		return
	}
	mix(quarters(0x44), quarters(0xee))
	k.exchange(a, b, free)
	mix(quarters(0x88), quarters(0xdd))
	k.exchange(a, b, free)
	mix(low, high)
	k.exchange(a, b, free)
	for w := range *a { // undo all exchanges of lanes
		x, y, t := zs[(*a)[w]], zs[(*b)[w]], zs[(*free)[w]]
		VMOVDQA64(x, t)
		VPERMT2Q(y, zs[evenZ], x)
		VPERMT2Q(y, zs[oddZ], t)
	}
	*b, *free = *free, *b
}

// reverse loads register r with the lanes turned round.
func (k sortKernel) reverse(from Op, r int) {
	if k.v == avx2 {
		VPERMQ(U8(0x1b), from, ys[r])
	} else {
		VPERMQ(from, zs[reverseZ], zs[r])
	}
}

func (k sortKernel) group(first int) group {
	g := group{}
	for w := range k.words {
		g = append(g, first+w)
	}
	return g
}

func (k sortKernel) load(base reg.Register, disp int, g group) {
	for w, r := range g {
		k.v.move(mem(base, disp+int(k.v)*w), k.v.reg(r))
	}
}

func (k sortKernel) store(g group, base reg.Register, disp int) {
	for w, r := range g {
		k.v.move(k.v.reg(r), mem(base, disp+int(k.v)*w))
	}
}
