package kernel

import "unsafe"

// Stages of a bitonic sort in which every comparison is ascending: to merge
// two ascending runs of h, compare i with its mirror image 2h-1-i, then clean
// at distances h/2, h/4, ..., 1 (Batcher 1968, in the form in which absent
// elements count as infinite, so that any length works: a comparison with an
// absent element does nothing and is left out). Positions are relative to the
// block that the slice holds; a block shorter than its power of two is the
// last one.
//
// Three kinds of element: words; pairs (keys[i], values[i]), by key, then
// value; and headers of four words, word 0 first. All are oblivious in the
// elements; lengths, h, from and to are public.

// Base is the largest block that the Sort and Clean block kernels take.
const Base = 64

func baseRange(n int) {
	if n > Base {
		panic("kernel: block is longer than Base")
	}
}

// SortWords sorts a block of at most Base words.
func SortWords(keys []uint64) {
	baseRange(len(keys))
	if traceOn {
		trace("SortWords", unsafe.Pointer(unsafe.SliceData(keys)), nil, len(keys))
	}
	sortWords(keys)
}

// FlipWords compares words i and 2h-1-i for from <= i < to <= h.
func FlipWords(keys []uint64, h, from, to int) {
	if traceOn {
		trace("FlipWords", unsafe.Pointer(unsafe.SliceData(keys)), nil, len(keys), h, from, to)
	}
	flipWords(keys, h, from, to)
}

// CleanWords compares words at distance 2q, then at distance q, in the quads
// i, i+q, i+2q, i+3q for from <= i < to <= q.
func CleanWords(keys []uint64, q, from, to int) {
	if traceOn {
		trace("CleanWords", unsafe.Pointer(unsafe.SliceData(keys)), nil, len(keys), q, from, to)
	}
	cleanWords(keys, q, from, to)
}

// FinishWords cleans a block of at most Base words at distances h, h/2, ..., 1.
func FinishWords(keys []uint64, h int) {
	baseRange(len(keys))
	if traceOn {
		trace("FinishWords", unsafe.Pointer(unsafe.SliceData(keys)), nil, len(keys), h)
	}
	finishWords(keys, h)
}

// SortPairs is SortWords on pairs.
func SortPairs(keys, values []uint64) {
	baseRange(len(keys))
	sameLength(len(keys), len(values))
	if traceOn {
		trace("SortPairs", unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Pointer(unsafe.SliceData(values)), len(keys))
	}
	sortPairs(keys, values)
}

// FlipPairs is FlipWords on pairs.
func FlipPairs(keys, values []uint64, h, from, to int) {
	sameLength(len(keys), len(values))
	if traceOn {
		trace("FlipPairs", unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Pointer(unsafe.SliceData(values)), len(keys), h, from, to)
	}
	flipPairs(keys, values, h, from, to)
}

// CleanPairs is CleanWords on pairs.
func CleanPairs(keys, values []uint64, q, from, to int) {
	sameLength(len(keys), len(values))
	if traceOn {
		trace("CleanPairs", unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Pointer(unsafe.SliceData(values)), len(keys), q, from, to)
	}
	cleanPairs(keys, values, q, from, to)
}

// FinishPairs is FinishWords on pairs.
func FinishPairs(keys, values []uint64, h int) {
	baseRange(len(keys))
	sameLength(len(keys), len(values))
	if traceOn {
		trace("FinishPairs", unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Pointer(unsafe.SliceData(values)), len(keys), h)
	}
	finishPairs(keys, values, h)
}

// SortHeaders is SortWords on headers.
func SortHeaders(hs [][4]uint64) {
	baseRange(len(hs))
	if traceOn {
		trace("SortHeaders", unsafe.Pointer(unsafe.SliceData(hs)), nil, len(hs))
	}
	sortHeaders(hs)
}

// FlipHeaders is FlipWords on headers.
func FlipHeaders(hs [][4]uint64, h, from, to int) {
	if traceOn {
		trace("FlipHeaders", unsafe.Pointer(unsafe.SliceData(hs)), nil, len(hs), h, from, to)
	}
	flipHeaders(hs, h, from, to)
}

// CleanHeaders is CleanWords on headers.
func CleanHeaders(hs [][4]uint64, q, from, to int) {
	if traceOn {
		trace("CleanHeaders", unsafe.Pointer(unsafe.SliceData(hs)), nil, len(hs), q, from, to)
	}
	cleanHeaders(hs, q, from, to)
}

// FinishHeaders is FinishWords on headers.
func FinishHeaders(hs [][4]uint64, h int) {
	baseRange(len(hs))
	if traceOn {
		trace("FinishHeaders", unsafe.Pointer(unsafe.SliceData(hs)), nil, len(hs), h)
	}
	finishHeaders(hs, h)
}
