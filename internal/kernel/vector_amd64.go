//go:build !purego

package kernel

import "unsafe"

// The seam between the functions of this package and the generated kernels.

// pass is the argument of a level kernel, whose words the generator numbers.
// The kernel does outer times inner groups of rows. Steps are in bytes, the
// inner ones counted from the end of a row.
type pass struct {
	width                                 int
	srcRow, dstRow                        int // between the rows of a group
	inner, srcInner, dstInner, tableInner int
	outer, srcOuter, dstOuter, tableOuter int
	offset                                uint64
	innerX, outerX                        [3]uint64 // what a step adds to the positions
	start                                 [3]uint64 // first position, by level, shifted as the table is
	shift                                 [3]uint64 // by which the lanes are shifted
}

func condSwap(a, b []byte, m uint64) {
	p, q, width := unsafe.SliceData(a), unsafe.SliceData(b), twoRows(a, b)
	switch active {
	case withAVX512:
		condSwapAVX512(p, q, width, m)
	case withAVX2:
		condSwapAVX2(p, q, width, m)
	default:
		swapRow(unsafe.Pointer(p), unsafe.Pointer(q), width, m)
	}
}

func condCopy(dst, src []byte, m uint64) {
	p, q, width := unsafe.SliceData(dst), unsafe.SliceData(src), twoRows(dst, src)
	switch active {
	case withAVX512:
		condCopyAVX512(p, q, width, m)
	case withAVX2:
		condCopyAVX2(p, q, width, m)
	default:
		copyRow(unsafe.Pointer(p), unsafe.Pointer(q), width, m)
	}
}

// registerBytes returns the length of a vector register.
func registerBytes() int {
	if active == withAVX512 {
		return 64
	}
	return 32
}

func order8(l *[8]uint32, masks *Masks8) {
	if active == portable {
		order8Portable(l, masks)
		return
	}
	order8AVX2(&l[0], (*[48]uint32)(masks))
}

func moveRows8(data unsafe.Pointer, width int, masks *Masks8) {
	switch active {
	case withAVX512:
		move8AVX512((*byte)(data), width, (*[48]uint32)(masks))
	case withAVX2:
		move8AVX2((*byte)(data), width, (*[48]uint32)(masks))
	default:
		move8Portable(data, width, masks)
	}
}
