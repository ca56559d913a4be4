//go:build !amd64 || purego

package kernel

import "unsafe"

// Without vector instructions there is one implementation.
const active = portable

func condSwap(a, b []byte, m uint64) {
	swapRow(unsafe.Pointer(unsafe.SliceData(a)), unsafe.Pointer(unsafe.SliceData(b)), twoRows(a, b), m)
}

func condCopy(dst, src []byte, m uint64) {
	copyRow(unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(src)), twoRows(dst, src), m)
}

func swapRamp(data unsafe.Pointer, width, lo, hi, count int, c uint64, shift uint) {
	swapRampPortable(data, width, lo, hi, count, c, shift)
}

func compactQuad(data unsafe.Pointer, width, lo, count int, c [3]uint64, shift uint) {
	compactQuadPortable(data, width, lo, count, c, shift)
}

func expandQuad(data unsafe.Pointer, width, lo, count int, c [3]uint64, shift uint) {
	expandQuadPortable(data, width, lo, count, c, shift)
}

func compactBlock(data unsafe.Pointer, width int, ranks []uint32, offset uint64) {
	compactBlockPortable(data, width, ranks, offset)
}

func expandBlock(data unsafe.Pointer, width int, ranks []uint32, offset uint64) {
	expandBlockPortable(data, width, ranks, offset)
}

func compactColumns(data unsafe.Pointer, width int, ranks []uint32, offset uint64, shift uint, from, count int) {
	compactColumnsPortable(data, width, ranks, offset, shift, from, count)
}

func expandColumns(data unsafe.Pointer, width int, ranks []uint32, offset uint64, shift uint, from, count int) {
	expandColumnsPortable(data, width, ranks, offset, shift, from, count)
}

func rankMarks(marks []byte, ranks []uint32, start uint32) uint32 {
	return rankMarksPortable(marks, ranks, start)
}

func rankBelow(labels []uint32, bound uint32, ranks []uint32, start uint32) uint32 {
	return rankBelowPortable(labels, bound, ranks, start)
}

func tally(labels, counts []uint32)                 { tallyPortable(labels, counts) }
func rankLabels(labels, next, ranks []uint32)       { rankLabelsPortable(labels, next, ranks) }
func keepLabels(labels, room []uint32, kept []byte) { keepLabelsPortable(labels, room, kept) }

func fillLabels(labels []uint32, kept []byte, upto []uint32, first uint32) uint32 {
	return fillLabelsPortable(labels, kept, upto, first)
}

func lookup(table, index, out []uint32) { lookupPortable(table, index, out) }

func order8(l *[8]uint32, masks *Masks8) { order8Portable(l, masks) }

func moveRows8(data unsafe.Pointer, width int, masks *Masks8) { move8Portable(data, width, masks) }

func route(a, b []uint64, cells, boundary uint64) { routePortable(a, b, cells, boundary) }

// routeRegister is 0: there are no levels within registers.
func routeRegister(int) int { return 0 }

func routeWithin([]uint64, uint64, uint64) {}

// There are no packed elements.
func groupLanes() int                                                 { return Lanes }
func packedRegisters() int                                            { return 0 }
func packedWords() int                                                { return 0 }
func signed() bool                                                    { return false }
func packWords(dst, src []uint64)                                     { panic(noPacked) }
func unpackWords(dst, src []uint64)                                   { panic(noPacked) }
func packHeaders(dst []uint64, src [][4]uint64)                       { panic(noPacked) }
func unpackHeaders(dst [][4]uint64, src []uint64)                     { panic(noPacked) }
func packedBlock(data unsafe.Pointer, words, blocks int, sort bool)   { panic(noPacked) }
func packedFlip(low, high unsafe.Pointer, words, l, d, count int)     { panic(noPacked) }
func packedClean(data unsafe.Pointer, words, levels, distance, n int) { panic(noPacked) }

const noPacked = "kernel: no vector bodies"
