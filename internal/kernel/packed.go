package kernel

import "unsafe"

// Sorts on packed elements. Vector bodies sort elements of one, two or four
// words in groups of Lanes: first the first words of all, then the second ones,
// and so on. The number of elements is a multiple of PackedBase, whoever packs
// fills up with words of all ones, which sort last. As everywhere, positions
// are in elements and public, and the elements are secret.

// Lanes is the number of elements of a group.
const Lanes = 8

// packedWords is the number of words of a block that a kernel sorts.
const packedWords = 128

// PackedBase returns the number of elements in a block that SortPacked sorts,
// for elements of so many words, or 0 if there are no vector bodies for packed
// elements. It depends on the machine alone.
func PackedBase(words int) int {
	if !packs() {
		return 0
	}
	return packedWords / words
}

// PackWords copies words to packed elements of one word.
func PackWords(dst, src []uint64) { fillUp(dst, copy(dst, src)) }

// PackPairs copies pairs to packed elements of two words.
func PackPairs(dst, keys, values []uint64) {
	sameLength(len(keys), len(values))
	n := len(keys)
	for g := 0; g < len(dst); g += 2 * Lanes {
		i, j := min(g/2, n), min(g/2+Lanes, n)
		fillUp(dst[g:g+Lanes], copy(dst[g:], keys[i:j]))
		fillUp(dst[g+Lanes:g+2*Lanes], copy(dst[g+Lanes:], values[i:j]))
	}
}

// UnpackPairs undoes PackPairs.
func UnpackPairs(keys, values, src []uint64) {
	for i := 0; i < len(keys); i += Lanes {
		e := min(i+Lanes, len(keys))
		copy(keys[i:e], src[2*i:])
		copy(values[i:e], src[2*i+Lanes:])
	}
}

// PackHeaders copies headers to packed elements of four words.
func PackHeaders(dst []uint64, src [][4]uint64) {
	whole := len(src) / Lanes
	if whole > 0 {
		packHeaders(unsafe.Pointer(&dst[:whole*4*Lanes][0]), unsafe.Pointer(&src[0]), whole)
	}
	src, dst = src[whole*Lanes:], dst[whole*4*Lanes:]
	fillUp(dst, 0)
	for i, h := range src {
		for w, x := range h {
			dst[w*Lanes+i] = x
		}
	}
}

// UnpackHeaders undoes PackHeaders.
func UnpackHeaders(dst [][4]uint64, src []uint64) {
	whole := len(dst) / Lanes
	if whole > 0 {
		unpackHeaders(unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[:whole*4*Lanes][0]), whole)
	}
	dst, src = dst[whole*Lanes:], src[whole*4*Lanes:]
	for i := range dst {
		for w := range 4 {
			dst[i][w] = src[w*Lanes+i]
		}
	}
}

func fillUp(words []uint64, from int) {
	for i := range words[from:] {
		words[from+i] = ^uint64(0)
	}
}

// packedBlocks returns the number of blocks in data.
func packedBlocks(data []uint64) int {
	if len(data)%packedWords != 0 {
		panic("kernel: packed elements are no whole blocks")
	}
	return len(data) / packedWords
}

// SortPacked sorts every block of PackedBase elements by itself.
func SortPacked(data []uint64, words int) {
	if traceOn {
		trace("SortPacked", unsafe.Pointer(unsafe.SliceData(data)), nil, len(data), words)
	}
	if n := packedBlocks(data); n > 0 {
		packedBlock(unsafe.Pointer(&data[0]), words, n, true)
	}
}

// FinishPacked cleans every block of PackedBase elements at half its length and
// all lesser distances.
func FinishPacked(data []uint64, words int) {
	if traceOn {
		trace("FinishPacked", unsafe.Pointer(unsafe.SliceData(data)), nil, len(data), words)
	}
	if n := packedBlocks(data); n > 0 {
		packedBlock(unsafe.Pointer(&data[0]), words, n, false)
	}
}

// groupsOf checks a range of positions and returns it in groups.
func groupsOf(data []uint64, words, h, from, to int) (n, f, t int) {
	if (h|from|to)%Lanes != 0 || len(data)%(words*Lanes) != 0 || from < 0 || to > h {
		panic("kernel: positions of packed elements are no whole groups")
	}
	return len(data) / (words * Lanes), from / Lanes, to / Lanes
}

// FlipPacked compares elements i and 2h-1-i for from <= i < to <= h. All are
// multiples of Lanes.
func FlipPacked(data []uint64, words, h, from, to int) {
	n, f, t := groupsOf(data, words, h, from, to)
	if traceOn {
		trace("FlipPacked", unsafe.Pointer(unsafe.SliceData(data)), nil, len(data), words, h, from, to)
	}
	last := 2*h/Lanes - 1
	if f = max(f, last+1-n); f < t {
		p := unsafe.Pointer(&data[0])
		size := 8 * words * Lanes
		packedFlip(unsafe.Add(p, f*size), unsafe.Add(p, (last-f)*size), words, t-f)
	}
}

// CleanPacked compares elements at distances d<<(levels-1), ..., 2d, d in the
// block of d<<levels that data holds, at positions i, i+d, ... for from <= i <
// to <= d. All are multiples of Lanes; there are one to PackedLevels levels.
func CleanPacked(data []uint64, words, d, levels, from, to int) {
	n, f, t := groupsOf(data, words, d, from, to)
	if traceOn {
		trace("CleanPacked", unsafe.Pointer(unsafe.SliceData(data)), nil, len(data), words, d, levels, from, to)
	}
	if levels < 1 || levels > PackedLevels(words) {
		panic("kernel: so many levels do not fit the registers")
	}
	if n == 0 {
		return
	}
	p, size, g := unsafe.Pointer(&data[0]), 8*words*Lanes, d/Lanes
	// While all elements of a comb are there; then, where the end is cut off,
	// a level at a time.
	rows := 1 << levels
	if full := min(t, n-(rows-1)*g); f < full {
		packedClean(unsafe.Add(p, f*size), words, levels, g*size, full-f)
		f = full
	}
	for l := levels - 1; l >= 0 && f < t; l-- {
		for r := range rows {
			if r>>l&1 == 0 {
				if e := min(t, n-(r+1<<l)*g); f < e {
					packedClean(unsafe.Add(p, (f+r*g)*size), words, 1, g<<l*size, e-f)
				}
			}
		}
	}
}

// PackedLevels is how many levels CleanPacked does at most, for elements of so
// many words.
func PackedLevels(words int) int {
	if words == 1 {
		return 3
	}
	return 2
}
