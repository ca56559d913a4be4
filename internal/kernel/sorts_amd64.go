//go:build !purego

package kernel

import "unsafe"

func packs() bool { return active == withAVX512 }

func packHeaders(dst, src unsafe.Pointer, groups int) {
	packHeadersAVX512((*byte)(dst), (*byte)(src), groups)
}

func unpackHeaders(dst, src unsafe.Pointer, groups int) {
	unpackHeadersAVX512((*byte)(dst), (*byte)(src), groups)
}

// packedBlock sorts or cleans blocks of packedWords words.
func packedBlock(data unsafe.Pointer, words, blocks int, sort bool) {
	p := (*byte)(data)
	switch {
	case words == 1 && sort:
		sortGroups1AVX512(p, blocks)
	case words == 1:
		finishGroups1AVX512(p, blocks)
	case words == 2 && sort:
		sortGroups2AVX512(p, blocks)
	case words == 2:
		finishGroups2AVX512(p, blocks)
	case sort:
		sortGroups4AVX512(p, blocks)
	default:
		finishGroups4AVX512(p, blocks)
	}
}

// packedFlip compares count groups from low on with as many from high down.
func packedFlip(low, high unsafe.Pointer, words, count int) {
	a, b := (*byte)(low), (*byte)(high)
	switch words {
	case 1:
		flipGroups1AVX512(a, b, count)
	case 2:
		flipGroups2AVX512(a, b, count)
	case 4:
		flipGroups4AVX512(a, b, count)
	}
}

// packedClean does levels of cleaning, down to the distance in bytes, on count
// combs of groups.
func packedClean(data unsafe.Pointer, words, levels, distance, count int) {
	p := (*byte)(data)
	switch words<<4 | levels {
	case 1<<4 | 1:
		clean2Groups1AVX512(p, distance, count)
	case 1<<4 | 2:
		clean4Groups1AVX512(p, distance, count)
	case 1<<4 | 3:
		clean8Groups1AVX512(p, distance, count)
	case 2<<4 | 1:
		clean2Groups2AVX512(p, distance, count)
	case 2<<4 | 2:
		clean4Groups2AVX512(p, distance, count)
	case 4<<4 | 1:
		clean2Groups4AVX512(p, distance, count)
	case 4<<4 | 2:
		clean4Groups4AVX512(p, distance, count)
	}
}
