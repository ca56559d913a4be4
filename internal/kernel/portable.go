package kernel

import (
	"math/bits"
	"unsafe"
)

// The bodies in plain Go of the row kernels. Lengths have been checked. A row
// is read and written through pointers because that is about twice as fast as
// encoding/binary on slices of unknown length; words of 8 bytes may be
// unaligned, which the supported processors allow.

func word(p unsafe.Pointer, off int) *uint64 { return (*uint64)(unsafe.Add(p, off)) }

// bit returns all ones if bit number shift of c is set, else 0.
func bit(c uint64, shift uint) uint64 { return -(c >> (shift & 63) & 1) }

func swapRow(a, b unsafe.Pointer, width int, m uint64) {
	off := 0
	for ; off <= width-64; off += 64 {
		p, q := (*[8]uint64)(unsafe.Add(a, off)), (*[8]uint64)(unsafe.Add(b, off))
		d0, d1 := (p[0]^q[0])&m, (p[1]^q[1])&m
		d2, d3 := (p[2]^q[2])&m, (p[3]^q[3])&m
		p[0] ^= d0
		q[0] ^= d0
		p[1] ^= d1
		q[1] ^= d1
		p[2] ^= d2
		q[2] ^= d2
		p[3] ^= d3
		q[3] ^= d3
		d0, d1 = (p[4]^q[4])&m, (p[5]^q[5])&m
		d2, d3 = (p[6]^q[6])&m, (p[7]^q[7])&m
		p[4] ^= d0
		q[4] ^= d0
		p[5] ^= d1
		q[5] ^= d1
		p[6] ^= d2
		q[6] ^= d2
		p[7] ^= d3
		q[7] ^= d3
	}
	for ; off < width; off += 8 {
		p, q := word(a, off), word(b, off)
		d := (*p ^ *q) & m
		*p ^= d
		*q ^= d
	}
}

func copyRow(dst, src unsafe.Pointer, width int, m uint64) {
	for off := 0; off < width; off += 8 {
		p := word(dst, off)
		*p ^= (*p ^ *word(src, off)) & m
	}
}

func swapRampPortable(data unsafe.Pointer, width, lo, hi, count int, c uint64, shift uint) {
	if count == 0 {
		return // also because lo may be behind the last row
	}
	a, b := unsafe.Add(data, lo*width), unsafe.Add(data, hi*width)
	switch width {
	case 4:
		for i := range count {
			p, q := (*uint32)(unsafe.Add(a, i*4)), (*uint32)(unsafe.Add(b, i*4))
			d := (*p ^ *q) & uint32(bit(c-uint64(i), shift))
			*p ^= d
			*q ^= d
		}
	case 8:
		for i := range count {
			p, q := word(a, i*8), word(b, i*8)
			d := (*p ^ *q) & bit(c-uint64(i), shift)
			*p ^= d
			*q ^= d
		}
	default:
		for i := range count {
			swapRow(unsafe.Add(a, i*width), unsafe.Add(b, i*width), width, bit(c-uint64(i), shift))
		}
	}
}

// quad is the four masks of one quad: pairs (0,1) and (2,3) of level h, pairs
// (0,2) and (1,3) of level 2h.
func quadMasks(c *[3]uint64, i int, shift uint) (m01, m23, m02, m13 uint64) {
	x := uint64(i)
	return bit(c[0]-x, shift), bit(c[1]-x, shift), bit(c[2]-x, shift+1), bit(c[2]-x-1<<(shift&63), shift+1)
}

func compactQuadPortable(data unsafe.Pointer, width, lo, count int, c [3]uint64, shift uint) {
	if count == 0 {
		return // also because lo may be behind the last row
	}
	quarter := width << shift
	p := unsafe.Add(data, lo*width)
	for i := range count {
		m01, m23, m02, m13 := quadMasks(&c, i, shift)
		if width == 4 {
			compactQuad4(p, quarter, uint32(m01), uint32(m23), uint32(m02), uint32(m13))
		} else {
			compactQuadRow(p, quarter, width, m01, m23, m02, m13)
		}
		p = unsafe.Add(p, width)
	}
}

func expandQuadPortable(data unsafe.Pointer, width, lo, count int, c [3]uint64, shift uint) {
	if count == 0 {
		return // also because lo may be behind the last row
	}
	quarter := width << shift
	p := unsafe.Add(data, lo*width)
	for i := range count {
		m01, m23, m02, m13 := quadMasks(&c, i, shift)
		if width == 4 {
			expandQuad4(p, quarter, uint32(m01), uint32(m23), uint32(m02), uint32(m13))
		} else {
			expandQuadRow(p, quarter, width, m01, m23, m02, m13)
		}
		p = unsafe.Add(p, width)
	}
}

// wide is the width from which two levels of four rows are quicker as four
// swaps in the L1 cache: four masks, four pointers and four words do not fit
// the registers that the compiler has.
const wide = 128

func compactQuadRow(p unsafe.Pointer, quarter, width int, m01, m23, m02, m13 uint64) {
	p1 := unsafe.Add(p, quarter)
	p2 := unsafe.Add(p1, quarter)
	p3 := unsafe.Add(p2, quarter)
	if width >= wide {
		swapRow(p, p1, width, m01)
		swapRow(p2, p3, width, m23)
		swapRow(p, p2, width, m02)
		swapRow(p1, p3, width, m13)
		return
	}
	for off := 0; off < width; off += 8 {
		x0, x1, x2, x3 := *word(p, off), *word(p1, off), *word(p2, off), *word(p3, off)
		d, e := (x0^x1)&m01, (x2^x3)&m23
		x0, x1, x2, x3 = x0^d, x1^d, x2^e, x3^e
		d, e = (x0^x2)&m02, (x1^x3)&m13
		*word(p, off), *word(p1, off), *word(p2, off), *word(p3, off) = x0^d, x1^e, x2^d, x3^e
	}
}

func expandQuadRow(p unsafe.Pointer, quarter, width int, m01, m23, m02, m13 uint64) {
	p1 := unsafe.Add(p, quarter)
	p2 := unsafe.Add(p1, quarter)
	p3 := unsafe.Add(p2, quarter)
	if width >= wide {
		swapRow(p, p2, width, m02)
		swapRow(p1, p3, width, m13)
		swapRow(p, p1, width, m01)
		swapRow(p2, p3, width, m23)
		return
	}
	for off := 0; off < width; off += 8 {
		x0, x1, x2, x3 := *word(p, off), *word(p1, off), *word(p2, off), *word(p3, off)
		d, e := (x0^x2)&m02, (x1^x3)&m13
		x0, x1, x2, x3 = x0^d, x1^e, x2^d, x3^e
		d, e = (x0^x1)&m01, (x2^x3)&m23
		*word(p, off), *word(p1, off), *word(p2, off), *word(p3, off) = x0^d, x1^d, x2^e, x3^e
	}
}

func compactQuad4(p unsafe.Pointer, quarter int, m01, m23, m02, m13 uint32) {
	p0, p1 := (*uint32)(p), (*uint32)(unsafe.Add(p, quarter))
	p2, p3 := (*uint32)(unsafe.Add(p, 2*quarter)), (*uint32)(unsafe.Add(p, 3*quarter))
	x0, x1, x2, x3 := *p0, *p1, *p2, *p3
	d, e := (x0^x1)&m01, (x2^x3)&m23
	x0, x1, x2, x3 = x0^d, x1^d, x2^e, x3^e
	d, e = (x0^x2)&m02, (x1^x3)&m13
	*p0, *p1, *p2, *p3 = x0^d, x1^e, x2^d, x3^e
}

func expandQuad4(p unsafe.Pointer, quarter int, m01, m23, m02, m13 uint32) {
	p0, p1 := (*uint32)(p), (*uint32)(unsafe.Add(p, quarter))
	p2, p3 := (*uint32)(unsafe.Add(p, 2*quarter)), (*uint32)(unsafe.Add(p, 3*quarter))
	x0, x1, x2, x3 := *p0, *p1, *p2, *p3
	d, e := (x0^x2)&m02, (x1^x3)&m13
	x0, x1, x2, x3 = x0^d, x1^e, x2^d, x3^e
	d, e = (x0^x1)&m01, (x2^x3)&m23
	*p0, *p1, *p2, *p3 = x0^d, x1^d, x2^e, x3^e
}

// ramps returns the ramp words of the block of four quarters of h rows at s.
func ramps(ranks []uint32, s, h int, offset uint64) [3]uint64 {
	r := ranks[s : s+4*h]
	o := offset + 1
	return [3]uint64{uint64(r[h]) - o, uint64(r[3*h]) - o, uint64(r[2*h]) - o}
}

func compactBlockPortable(data unsafe.Pointer, width int, ranks []uint32, offset uint64) {
	n, shift := len(ranks), uint(0)
	for ; 4<<shift <= n; shift += 2 {
		for s := 0; s < n; s += 4 << shift {
			compactQuadPortable(data, width, s, 1<<shift, ramps(ranks, s, 1<<shift, offset), shift)
		}
	}
	if 2<<shift == n {
		swapRampPortable(data, width, 0, n/2, n/2, uint64(ranks[n/2])-offset-1, shift)
	}
}

func expandBlockPortable(data unsafe.Pointer, width int, ranks []uint32, offset uint64) {
	n := len(ranks)
	levels := uint(bits.TrailingZeros(uint(n)))
	if levels%2 == 1 {
		swapRampPortable(data, width, 0, n/2, n/2, uint64(ranks[n/2])-offset-1, levels-1)
		levels--
	}
	for ; levels > 0; levels -= 2 {
		shift := levels - 2
		for s := 0; s < n; s += 4 << shift {
			expandQuadPortable(data, width, s, 1<<shift, ramps(ranks, s, 1<<shift, offset), shift)
		}
	}
}
