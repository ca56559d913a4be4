package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sorts generates the sort kernels. Elements of one, two or four words lie in
// groups of as many as a register has lanes of 64 bits: first the first words
// of all, then the second ones, and so on, a register each. AVX2 compares
// signed words, so that there whoever packs inverts the highest bit.
func sorts() {
	for _, v := range both {
		for _, words := range []int{1, 2, 4} {
			k := sortKernel{v, words}
			k.block("sort", true)
			k.block("finish", false)
			k.flip()
			for n := 2; n*words <= k.data() && n <= 8; n *= 2 {
				k.clean(n)
			}
		}
	}
	pack(false)
	pack(true)
}

type sortKernel struct {
	v     vec
	words int
}

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
	evenZ    = 30 // the indices that undo the exchange of lanes of two groups
	oddZ     = 29
	spareZ   = 28
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
// of spare registers and becomes that of the old a.
func (k sortKernel) exchange(a, b, free *group) {
	x, y, f := *a, *b, *free
	if k.v == avx2 {
		less2(y, x)
		for w := range x {
			VBLENDVPD(ys[verdictY], ys[y[w]], ys[x[w]], ys[f[w]])
			VBLENDVPD(ys[verdictY], ys[x[w]], ys[y[w]], ys[y[w]])
		}
	} else if k.words == 1 {
		VPMINUQ(zs[x[0]], zs[y[0]], zs[f[0]])
		VPMAXUQ(zs[x[0]], zs[y[0]], zs[y[0]])
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
	if k.words == 1 {
		x, p, t := zs[a[0]], zs[free[0]], zs[spareZ]
		VPMINUQ(p, x, t)
		VPMAXUQ(p, x, upper(distance), t)
		VMOVDQA64(t, x)
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
	mix(low, high)
	for w := range *a { // undo the exchanges of quarters
		x, y, t := zs[(*a)[w]], zs[(*b)[w]], zs[(*free)[w]]
		VMOVDQA64(x, t)
		VPERMT2Q(y, zs[evenZ], x)
		VPERMT2Q(y, zs[oddZ], t)
	}
	*b, *free = *free, *b
}

func (k sortKernel) reverse(a group) {
	for _, r := range a {
		if k.v == avx2 {
			VPERMQ(U8(0x1b), ys[r], ys[r])
		} else {
			VPERMQ(zs[r], zs[reverseZ], zs[r])
		}
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

// block generates the kernels that sort or clean the elements of 16 registers.
func (k sortKernel) block(verb string, sort bool) {
	name := fmt.Sprintf("%sGroups%d%s", verb, k.words, k.v)
	TEXT(name, 4, "func(data *byte, blocks int)")
	Pragma("noescape")
	n := k.data() / k.words
	Doc(fmt.Sprintf("%s does blocks of %d elements of %d words.", name, int(k.v)/8*n, k.words))
	data, left := reg.RDI, reg.RCX
	Load(Param("data"), data)
	Load(Param("blocks"), left)
	k.loadUppers()
	k.loadReverse()
	if k.v == avx512 {
		VMOVDQU64(constant("even_quarters", []uint32{0, 0, 1, 0, 8, 0, 9, 0, 4, 0, 5, 0, 12, 0, 13, 0}), zs[evenZ])
		VMOVDQU64(constant("odd_quarters", []uint32{2, 0, 3, 0, 10, 0, 11, 0, 6, 0, 7, 0, 14, 0, 15, 0}), zs[oddZ])
	}
	Label("block")
	var gs []group
	for g := range n {
		gs = append(gs, k.group(g*k.words))
		k.load(data, g*k.words*int(k.v), gs[g])
	}
	free := k.group(k.data())
	// Patterns and distances; one step of all groups at a time, for the groups
	// do not wait for one another.
	steps := func(s ...int) {
		for i := 0; i < len(s); i += 2 {
			for _, g := range gs {
				k.within(g, s[i], s[i+1], free)
			}
		}
	}
	clean := func() {
		for i := 0; i < n; i += 2 {
			k.cleanLanes(&gs[i], &gs[i+1], &free)
		}
	}
	if sort {
		if k.v == avx2 {
			steps(1, 1, 3, 2, 1, 1)
		} else {
			steps(1, 1, 3, 2, 1, 1, 7, 4, 2, 2, 1, 1)
		}
		for h := 1; h < n; h *= 2 {
			for s := 0; s < n; s += 2 * h {
				// The upper half is turned round before: what is left of it is
				// turned round too, which cleaning does not mind.
				for i := range h / 2 {
					gs[s+h+i], gs[s+2*h-1-i] = gs[s+2*h-1-i], gs[s+h+i]
				}
				for i := range h {
					k.reverse(gs[s+h+i])
					k.exchange(&gs[s+i], &gs[s+h+i], &free)
				}
			}
			k.distances(gs, h/2, &free)
			clean()
		}
	} else {
		k.distances(gs, n/2, &free)
		clean()
	}
	for g := range n {
		k.store(gs[g], data, g*k.words*int(k.v))
	}
	ADDQ(U32(uint32(k.data()*int(k.v))), data)
	DECQ(left)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// distances compares groups at distances h, h/2, ..., 1.
func (k sortKernel) distances(gs []group, h int, free *group) {
	for ; h > 0; h /= 2 {
		for i := range gs {
			if i&h == 0 {
				k.exchange(&gs[i], &gs[i+h], free)
			}
		}
	}
}

// flip generates the kernel that compares ascending groups with descending
// ones, mirrored.
func (k sortKernel) flip() {
	name := fmt.Sprintf("flipGroups%d%s", k.words, k.v)
	TEXT(name, 4, "func(low, high *byte, count int)")
	Pragma("noescape")
	Doc(name + " compares count groups from low on with those from high down.")
	low, high, left := reg.RDI, reg.RSI, reg.RCX
	Load(Param("low"), low)
	Load(Param("high"), high)
	Load(Param("count"), left)
	k.loadReverse()
	Label("next")
	a, b, free := k.group(0), k.group(k.words), k.group(2*k.words)
	k.load(low, 0, a)
	k.load(high, 0, b)
	k.reverse(b)
	k.exchange(&a, &b, &free)
	k.reverse(b)
	k.store(a, low, 0)
	k.store(b, high, 0)
	ADDQ(U32(uint32(int(k.v)*k.words)), low)
	SUBQ(U32(uint32(int(k.v)*k.words)), high)
	DECQ(left)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// clean generates the kernel that compares groups at distances, so many of
// them at one load.
func (k sortKernel) clean(n int) {
	name := fmt.Sprintf("clean%dGroups%d%s", n, k.words, k.v)
	TEXT(name, 4, "func(data *byte, distance, count int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s compares groups at %d, ..., 1 times the distance, in bytes.", name, n/2))
	Load(Param("data"), src)
	Load(Param("distance"), srcRow)
	Load(Param("count"), left)
	LEAQ(at(srcRow, srcRow, 2, 0), srcRow3)
	if n == 8 {
		LEAQ(at(src, srcRow, 4, 0), src4)
	}
	Label("next")
	var gs []group
	for i := range n {
		gs = append(gs, k.group(i*k.words))
		for w, r := range gs[i] {
			k.v.move(row(i, src, src4, srcRow, srcRow3, int(k.v)*w), k.v.reg(r))
		}
	}
	free := k.group(n * k.words)
	k.distances(gs, n/2, &free)
	for i := range n {
		for w, r := range gs[i] {
			k.v.move(k.v.reg(r), row(i, src, src4, srcRow, srcRow3, int(k.v)*w))
		}
	}
	ADDQ(U32(uint32(int(k.v)*k.words)), src)
	if n == 8 {
		ADDQ(U32(uint32(int(k.v)*k.words)), src4)
	}
	DECQ(left)
	JNZ(LabelRef("next"))
	VZEROUPPER()
	RET()
}

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
