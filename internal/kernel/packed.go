package kernel

import "unsafe"

// Sorts on packed elements. Vector bodies sort elements of one, two or four
// words in groups of as many elements as a register has lanes: first the first
// words of all, then the second ones, and so on. The number of elements is a
// multiple of PackedBase; whoever packs fills up with words of all ones, which
// sort last. Positions are in elements and public, the elements are secret.

// Lanes divides all positions that the kernels on packed elements take. It is
// the number of elements of a group, or a multiple of it.
const Lanes = 8

// PackedBase returns the number of elements in a block that SortPacked sorts,
// for elements of so many words, or 0 if there are no vector bodies for packed
// elements. It depends on the machine alone.
func PackedBase(words int) int { return packedWords() / words }

// PackedLevels returns how many levels CleanPacked does at most at a time, for
// elements of so many words.
func PackedLevels(words int) int {
	n := 0
	for 2<<n*words <= packedRegisters() && n < 3 {
		n++
	}
	return n
}

// WordLimit is above all words that PackWords takes. A word that is not below it
// comes out lessened where there is AVX2 alone: its upper half becomes that of
// WordLimit-1.
const WordLimit = 1<<63 - 1<<53

// PackWords copies words to packed elements of one word, which may be in the
// same place.
func PackWords(dst, src []uint64) {
	if !signed() {
		fillUp(dst, copyWords(dst, src))
		return
	}
	whole := len(src) / groupLanes() * groupLanes()
	packWords(dst[:whole], src[:whole])
	rest := dst[whole:]
	fillUp(rest, copy(rest, src[whole:]))
	packWords(rest, rest)
}

// UnpackWords undoes PackWords; it changes src.
func UnpackWords(dst, src []uint64) {
	if !signed() {
		copyWords(dst, src)
		return
	}
	whole := len(dst) / groupLanes() * groupLanes()
	unpackWords(dst[:whole], src[:whole])
	rest := src[whole:]
	unpackWords(rest, rest)
	copy(dst[whole:], rest)
}

// copyWords is copy, but for words that are there already.
func copyWords(dst, src []uint64) int {
	if unsafe.SliceData(dst) == unsafe.SliceData(src) {
		return min(len(dst), len(src))
	}
	return copy(dst, src)
}

// PackPairs copies pairs to packed elements of two words.
func PackPairs(dst, keys, values []uint64) {
	sameLength(len(keys), len(values))
	n, l := len(keys), groupLanes()
	for g := 0; g < len(dst); g += 2 * l {
		i, j := min(g/2, n), min(g/2+l, n)
		fillUp(dst[g:g+l], copy(dst[g:], keys[i:j]))
		fillUp(dst[g+l:g+2*l], copy(dst[g+l:], values[i:j]))
	}
	bias(dst)
}

// UnpackPairs undoes PackPairs; it changes src.
func UnpackPairs(keys, values, src []uint64) {
	bias(src)
	l := groupLanes()
	for i := 0; i < len(keys); i += l {
		e := min(i+l, len(keys))
		copy(keys[i:e], src[2*i:])
		copy(values[i:e], src[2*i+l:])
	}
}

// PackHeaders copies headers to packed elements of four words.
func PackHeaders(dst []uint64, src [][4]uint64) {
	l := groupLanes()
	whole := len(src) / l
	packHeaders(dst[:whole*4*l], src)
	src, dst = src[whole*l:], dst[whole*4*l:]
	fillUp(dst, 0)
	for i, h := range src {
		for w, x := range h {
			dst[w*l+i] = x
		}
	}
	bias(dst)
}

// UnpackHeaders undoes PackHeaders; it changes src.
func UnpackHeaders(dst [][4]uint64, src []uint64) {
	l := groupLanes()
	whole := len(dst) / l
	unpackHeaders(dst, src[:whole*4*l])
	dst, src = dst[whole*l:], src[whole*4*l:]
	bias(src)
	for i := range dst {
		for w := range 4 {
			dst[i][w] = src[w*l+i]
		}
	}
}

func fillUp(words []uint64, from int) {
	for i := range words[from:] {
		words[from+i] = ^uint64(0)
	}
}

// bias changes words for kernels that compare signed ones, and back.
func bias(words []uint64) {
	if !signed() {
		return
	}
	for i := range words {
		words[i] ^= 1 << 63
	}
}

// packedBlocks returns the number of blocks in data.
func packedBlocks(data []uint64) int {
	if size := packedWords(); len(data) > 0 && (size == 0 || len(data)%size != 0) {
		panic("kernel: packed elements are no whole blocks")
	} else if len(data) > 0 {
		return len(data) / size
	}
	return 0
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

// groupsOf checks positions and returns them, and the length of data, in
// groups, with the bytes of one.
func groupsOf(data []uint64, words, h, from, to int) (n, f, t, size int) {
	l := groupLanes()
	if (h|from|to)%l != 0 || len(data)%(words*l) != 0 || from < 0 || to > h {
		panic("kernel: positions of packed elements are no whole groups")
	}
	return len(data) / (words * l), from / l, to / l, 8 * words * l
}

// FlipPacked does levels of merging two runs of d<<(levels-1) elements, the
// block that data holds: it compares elements that are equally far from the two
// ends of the block, then those at half the length of a run, ..., 2d, d in
// either run, at positions from, from+1, ..., to-1, modulo d, from the ends. All
// are multiples of Lanes; there are one to PackedLevels levels. Until they are
// cleaned to the end, elements of the second run are turned round in groups.
func FlipPacked(data []uint64, words, d, levels, from, to int) {
	levelRange(levels, words)
	n, f, t, size := groupsOf(data, words, d, from, to)
	if traceOn {
		trace("FlipPacked", unsafe.Pointer(unsafe.SliceData(data)), nil, len(data), words, d, levels, from, to)
	}
	if n == 0 {
		return
	}
	p, g := unsafe.Pointer(&data[0]), d/groupLanes()
	h := g << (levels - 1)
	flip := func(levels, f, t int) {
		if f = max(f, 2*h-n); f < t {
			packedFlip(unsafe.Add(p, f*size), unsafe.Add(p, (2*h-1-f)*size), words, levels, g*size, t-f)
		}
	}
	flip(levels, f, t)
	// Where a part of a comb is absent, a level at a time.
	if t = min(t, 2*h-n); levels > 1 && f < t {
		for r := range 1 << (levels - 1) {
			flip(1, f+r*g, t+r*g)
		}
		cut := min(h, n) * size / 8
		clean(data[:cut], words, levels-1, g, f, t)
		clean(data[cut:], words, levels-1, g, g-t, g-f)
	}
}

// CleanPacked compares elements at distances d<<(levels-1), ..., 2d, d in the
// block of d<<levels that data holds, at positions i, i+d, ... for from <= i <
// to <= d. All are multiples of Lanes; there are one to PackedLevels levels.
func CleanPacked(data []uint64, words, d, levels, from, to int) {
	levelRange(levels, words)
	_, f, t, _ := groupsOf(data, words, d, from, to)
	if traceOn {
		trace("CleanPacked", unsafe.Pointer(unsafe.SliceData(data)), nil, len(data), words, d, levels, from, to)
	}
	clean(data, words, levels, d/groupLanes(), f, t)
}

func levelRange(levels, words int) {
	if levels < 1 || levels > PackedLevels(words) {
		panic("kernel: so many levels do not fit the registers")
	}
}

// clean is CleanPacked in groups: g is d.
func clean(data []uint64, words, levels, g, f, t int) {
	size, rows := 8*words*groupLanes(), 1<<levels
	n := 8 * len(data) / size
	if n == 0 {
		return
	}
	p := unsafe.Pointer(&data[0])
	if full := min(t, n-(rows-1)*g); f < full { // all of a comb are there
		packedClean(unsafe.Add(p, f*size), words, levels, g*size, full-f)
		f = full
	}
	for l := levels - 1; l >= 0 && f < t; l-- { // a level at a time
		for r := range rows {
			if r>>l&1 == 0 {
				if e := min(t, n-(r+1<<l)*g); f < e {
					packedClean(unsafe.Add(p, (f+r*g)*size), words, 1, g<<l*size, e-f)
				}
			}
		}
	}
}
