//go:build !purego

package kernel

import "unsafe"

// The choice among the generated sort kernels.

// groupLanes returns the elements of a group.
func groupLanes() int { return registerBytes() / 8 }

// packedRegisters returns how many registers hold elements in a kernel.
func packedRegisters() int {
	if active == withAVX512 {
		return 16
	}
	return 8
}

// packedWords returns the number of words of a block that a kernel sorts.
func packedWords() int {
	if active == portable {
		return 0
	}
	return packedRegisters() * groupLanes()
}

// signed says whether the kernels compare signed words, or doubles where
// elements are of one word.
func signed() bool { return active == withAVX2 }

// packWords turns whole groups of words into doubles in the same order.
func packWords(dst, src []uint64) {
	if len(dst) > 0 {
		packWordsAVX2(&dst[0], &src[0], len(dst)/4)
	}
}

// unpackWords undoes packWords.
func unpackWords(dst, src []uint64) {
	if len(dst) > 0 {
		unpackWordsAVX2(&dst[0], &src[0], len(dst)/4)
	}
}

// packHeaders packs whole groups of headers.
func packHeaders(dst []uint64, src [][4]uint64) {
	if len(dst) == 0 {
		return
	}
	if active == withAVX512 {
		packHeadersAVX512((*byte)(unsafe.Pointer(&dst[0])), (*byte)(unsafe.Pointer(&src[0])), len(dst)/32)
		return
	}
	for i := 0; i < len(dst); i += 16 {
		to, from := (*[16]uint64)(dst[i:]), (*[4][4]uint64)(src[i/4:])
		for h := range 4 {
			for w := range 4 {
				to[4*w+h] = from[h][w] ^ 1<<63
			}
		}
	}
}

// unpackHeaders unpacks whole groups of headers.
func unpackHeaders(dst [][4]uint64, src []uint64) {
	if len(src) == 0 {
		return
	}
	if active == withAVX512 {
		unpackHeadersAVX512((*byte)(unsafe.Pointer(&dst[0])), (*byte)(unsafe.Pointer(&src[0])), len(src)/32)
		return
	}
	for i := 0; i < len(src); i += 16 {
		from, to := (*[16]uint64)(src[i:]), (*[4][4]uint64)(dst[i/4:])
		for h := range 4 {
			for w := range 4 {
				to[h][w] = from[4*w+h] ^ 1<<63
			}
		}
	}
}

// packedBlock sorts or cleans blocks of packedWords words.
func packedBlock(data unsafe.Pointer, words, blocks int, sort bool) {
	p := (*byte)(data)
	if !sort {
		words = -words
	}
	if active == withAVX512 {
		switch words {
		case 1:
			sortGroups1AVX512(p, blocks)
		case -1:
			finishGroups1AVX512(p, blocks)
		case 2:
			sortGroups2AVX512(p, blocks)
		case -2:
			finishGroups2AVX512(p, blocks)
		case 4:
			sortGroups4AVX512(p, blocks)
		case -4:
			finishGroups4AVX512(p, blocks)
		}
		return
	}
	switch words {
	case 1:
		sortGroups1AVX2(p, blocks)
	case -1:
		finishGroups1AVX2(p, blocks)
	case 2:
		sortGroups2AVX2(p, blocks)
	case -2:
		finishGroups2AVX2(p, blocks)
	case 4:
		sortGroups4AVX2(p, blocks)
	case -4:
		finishGroups4AVX2(p, blocks)
	}
}

// packedFlip compares count groups from low on with as many from high down, and
// does the levels of cleaning that follow, down to the distance in bytes.
func packedFlip(low, high unsafe.Pointer, words, levels, distance, count int) {
	a, b := (*byte)(low), (*byte)(high)
	if active == withAVX512 {
		switch 10*words + levels {
		case 11:
			flip2Groups1AVX512(a, b, distance, count)
		case 12:
			flip4Groups1AVX512(a, b, distance, count)
		case 13:
			flip8Groups1AVX512(a, b, distance, count)
		case 21:
			flip2Groups2AVX512(a, b, distance, count)
		case 22:
			flip4Groups2AVX512(a, b, distance, count)
		case 23:
			flip8Groups2AVX512(a, b, distance, count)
		case 41:
			flip2Groups4AVX512(a, b, distance, count)
		case 42:
			flip4Groups4AVX512(a, b, distance, count)
		}
		return
	}
	switch 10*words + levels {
	case 11:
		flip2Groups1AVX2(a, b, distance, count)
	case 12:
		flip4Groups1AVX2(a, b, distance, count)
	case 13:
		flip8Groups1AVX2(a, b, distance, count)
	case 21:
		flip2Groups2AVX2(a, b, distance, count)
	case 22:
		flip4Groups2AVX2(a, b, distance, count)
	case 41:
		flip2Groups4AVX2(a, b, distance, count)
	}
}

// packedClean does levels of cleaning, down to the distance in bytes, on count
// combs of groups.
func packedClean(data unsafe.Pointer, words, levels, distance, count int) {
	p := (*byte)(data)
	if active == withAVX512 {
		switch 10*words + levels {
		case 11:
			clean2Groups1AVX512(p, distance, count)
		case 12:
			clean4Groups1AVX512(p, distance, count)
		case 13:
			clean8Groups1AVX512(p, distance, count)
		case 21:
			clean2Groups2AVX512(p, distance, count)
		case 22:
			clean4Groups2AVX512(p, distance, count)
		case 23:
			clean8Groups2AVX512(p, distance, count)
		case 41:
			clean2Groups4AVX512(p, distance, count)
		case 42:
			clean4Groups4AVX512(p, distance, count)
		}
		return
	}
	switch 10*words + levels {
	case 11:
		clean2Groups1AVX2(p, distance, count)
	case 12:
		clean4Groups1AVX2(p, distance, count)
	case 13:
		clean8Groups1AVX2(p, distance, count)
	case 21:
		clean2Groups2AVX2(p, distance, count)
	case 22:
		clean4Groups2AVX2(p, distance, count)
	case 41:
		clean2Groups4AVX2(p, distance, count)
	}
}
