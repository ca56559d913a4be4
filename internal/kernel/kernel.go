// Package kernel holds the block kernels of the oblivious algorithms:
// conditional swaps of rows, the levels of compaction and expansion networks
// over a block, the stages of a bitonic sort, and scans over labels. They are
// coarse enough that the cost of a call vanishes.
//
// It guarantees that the addresses touched, their order and the instructions
// executed depend on lengths, widths, positions and other arguments said to be
// public, never on rows, masks, ranks, keys or labels; and that every body
// behind one function gives the same result. It does not choose networks or
// split work (package oblivious does), and it keeps no state. Its panics are
// for public mistakes of the program: lengths that do not fit.
//
// The exported functions check lengths, call the trace hook that tests use
// (build tag trace, otherwise nothing), and pass on to a body: for AVX-512, for
// AVX2, which the generator in _asm writes, or in plain Go. The processor says
// at the start which it is; the tag purego leaves plain Go alone.
//
// # Ramps
//
// The controls of a level of the compaction network of Sasy, Johnson and
// Goldberg (CCS 2022) have a closed form, so they are never stored: pair i is
// swapped if and only if bit number shift of c-i is set, for one secret word c
// per block and the half of the block being 1<<shift rows. Here
//
//	c = rank(middle) - offset - 1
//
// where rank(middle) is the number of marked rows before the block's second
// half and offset is the public number of rows before the network's first. The
// algorithm of the paper rotates block s of size 2h by z and counts m marks in
// its first half; it swaps pair i if [(z mod h)+m >= h] xor [z >= h] xor
// [i >= (z+m) mod h]. With c+1 = z+m modulo 2h, that is bit log2(h) of c-i.
package kernel

import (
	"math/bits"
	"unsafe"

	"github.com/teems-go/teems/internal/choice"
)

// rows panics unless count rows of the width, from row first on, lie in data.
func rows(data []byte, width, first, count int) {
	if width != 4 && (width <= 0 || width%8 != 0) {
		panic("kernel: width is neither 4 nor a positive multiple of 8")
	}
	over, end := bits.Mul64(uint64(first+count), uint64(width))
	if first < 0 || count < 0 || over != 0 || end > uint64(len(data)) {
		panic("kernel: rows out of range")
	}
}

// twoRows returns the width of two rows.
func twoRows(a, b []byte) int {
	if len(a) != len(b) || len(a)%8 != 0 {
		panic("kernel: lengths differ or are no multiples of 8")
	}
	return len(a)
}

func sameLength(a, b int) {
	if a != b {
		panic("kernel: lengths differ")
	}
}

// CondSwap exchanges a and b, equally long in multiples of 8 bytes, where m is
// true. They must not overlap. Oblivious in m and the contents; linear in the
// length, which is public.
func CondSwap(m choice.Mask, a, b []byte) {
	if traceOn {
		trace("CondSwap", unsafe.Pointer(unsafe.SliceData(a)), unsafe.Pointer(unsafe.SliceData(b)), len(a))
	}
	condSwap(a, b, uint64(m))
}

// CondCopy copies src over dst, equally long in multiples of 8 bytes, where m
// is true; dst is rewritten either way. Oblivious in m and the contents;
// linear in the length, which is public.
func CondCopy(m choice.Mask, dst, src []byte) {
	if traceOn {
		trace("CondCopy", unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(src)), len(dst))
	}
	condCopy(dst, src, uint64(m))
}

// SwapRamp exchanges rows lo+i and hi+i, for i < count, where bit number shift
// of c-i is set. The width is 4 or a multiple of 8; the two ranges must not
// overlap. Oblivious in c and the rows; count swaps.
func SwapRamp(data []byte, width, lo, hi, count int, c uint64, shift uint) {
	rows(data, width, lo, count)
	rows(data, width, hi, count)
	if count == 0 {
		return
	}
	if traceOn {
		trace("SwapRamp", unsafe.Pointer(&data[0]), nil, width, lo, hi, count, int(shift))
	}
	swapRamp(unsafe.Pointer(&data[0]), width, lo, hi, count, c, shift)
}

// CompactQuad does two levels of compaction at one load and store of a row:
// level h on the blocks of 2h rows at lo and lo+2h, under c[0] and c[1], then
// level 2h on the block of 4h rows at lo, under c[2]. It does the pairs of the
// first count rows of each quarter; c[0], c[1] and c[2] are those of row lo,
// which need not be the first of its quarter: to go on from row i, subtract i.
// h is 1<<shift. Oblivious in c and the rows; 4*count swaps.
func CompactQuad(data []byte, width, lo, count int, c [3]uint64, shift uint) {
	quadRange(data, width, lo, count, shift)
	if count == 0 {
		return
	}
	if traceOn {
		trace("CompactQuad", unsafe.Pointer(&data[0]), nil, width, lo, count, int(shift))
	}
	compactQuad(unsafe.Pointer(&data[0]), width, lo, count, c, shift)
}

// ExpandQuad undoes CompactQuad: level 2h under c[2], then level h under c[0]
// and c[1]. Oblivious in c and the rows; 4*count swaps.
func ExpandQuad(data []byte, width, lo, count int, c [3]uint64, shift uint) {
	quadRange(data, width, lo, count, shift)
	if count == 0 {
		return
	}
	if traceOn {
		trace("ExpandQuad", unsafe.Pointer(&data[0]), nil, width, lo, count, int(shift))
	}
	expandQuad(unsafe.Pointer(&data[0]), width, lo, count, c, shift)
}

func quadRange(data []byte, width, lo, count int, shift uint) {
	if count < 0 || count > 1<<shift {
		panic("kernel: count is more than a quarter of the block")
	}
	if count > 0 {
		rows(data, width, lo, 3<<shift+count)
	}
}

// CompactBlock does all levels of compaction on the block of len(ranks) rows,
// a power of two, that data holds. ranks[i] is the number of marks before row
// i, from any common start; offset is as in the package comment. Oblivious in
// ranks and the rows; (n/2)*log2(n) swaps.
func CompactBlock(data []byte, width int, ranks []uint32, offset int) {
	blockRange(data, width, len(ranks))
	if traceOn {
		trace("CompactBlock", unsafe.Pointer(&data[0]), unsafe.Pointer(&ranks[0]), width, len(ranks), offset)
	}
	compactBlock(unsafe.Pointer(&data[0]), width, ranks, uint64(offset))
}

// ExpandBlock undoes CompactBlock. Oblivious in ranks and the rows;
// (n/2)*log2(n) swaps.
func ExpandBlock(data []byte, width int, ranks []uint32, offset int) {
	blockRange(data, width, len(ranks))
	if traceOn {
		trace("ExpandBlock", unsafe.Pointer(&data[0]), unsafe.Pointer(&ranks[0]), width, len(ranks), offset)
	}
	expandBlock(unsafe.Pointer(&data[0]), width, ranks, uint64(offset))
}

// CompactColumns does the levels of compaction from bit number shift up on the
// block of len(ranks) rows, a power of two, that data holds: on those pairs
// alone whose rows have a number that is, modulo 1<<shift, from or one of the
// count-1 that follow. Oblivious in ranks and the rows.
func CompactColumns(data []byte, width int, ranks []uint32, offset int, shift uint, from, count int) {
	columnRange(data, width, len(ranks), shift, from, count)
	if traceOn {
		trace("CompactColumns", unsafe.Pointer(&data[0]), unsafe.Pointer(&ranks[0]), width, len(ranks), offset, int(shift), from, count)
	}
	if count > 0 {
		compactColumns(unsafe.Pointer(&data[0]), width, ranks, uint64(offset), shift, from, count)
	}
}

// ExpandColumns undoes CompactColumns.
func ExpandColumns(data []byte, width int, ranks []uint32, offset int, shift uint, from, count int) {
	columnRange(data, width, len(ranks), shift, from, count)
	if traceOn {
		trace("ExpandColumns", unsafe.Pointer(&data[0]), unsafe.Pointer(&ranks[0]), width, len(ranks), offset, int(shift), from, count)
	}
	if count > 0 {
		expandColumns(unsafe.Pointer(&data[0]), width, ranks, uint64(offset), shift, from, count)
	}
}

func columnRange(data []byte, width, n int, shift uint, from, count int) {
	blockRange(data, width, n)
	if shift > 31 || 1<<shift > n || from < 0 || count < 0 || from+count > 1<<shift {
		panic("kernel: columns out of range")
	}
}

func blockRange(data []byte, width, n int) {
	rows(data, width, 0, n)
	if n <= 0 || n&(n-1) != 0 {
		panic("kernel: block is not a power of two")
	}
}
