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

func swapRowBest(a, b unsafe.Pointer, width int, m uint64) {
	switch active {
	case withAVX512:
		condSwapAVX512((*byte)(a), (*byte)(b), width, m)
	case withAVX2:
		condSwapAVX2((*byte)(a), (*byte)(b), width, m)
	default:
		swapRow(a, b, width, m)
	}
}

func copyRowBest(dst, src unsafe.Pointer, width int, m uint64) {
	switch active {
	case withAVX512:
		condCopyAVX512((*byte)(dst), (*byte)(src), width, m)
	case withAVX2:
		condCopyAVX2((*byte)(dst), (*byte)(src), width, m)
	default:
		copyRow(dst, src, width, m)
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
