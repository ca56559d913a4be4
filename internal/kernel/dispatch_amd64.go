//go:build !purego

package kernel

import "unsafe"

// The choice among the generated kernels. They are called by name, not through
// variables, so that their arguments stay on the stack.

// level does n levels on the groups of rows of a pass.
func level(n int, expand bool, u unit, dst, src, table *byte, p *pass) {
	words := (*[24]uint64)(unsafe.Pointer(p))
	lanes := u.lanes()
	code := 4 * n
	if expand && n > 1 {
		code += 2
	}
	if u.top == 31 {
		code++
	}
	if active == withAVX512 {
		switch code {
		case 4:
			swap2x64AVX512(dst, src, table, lanes, words)
		case 5:
			swap2x32AVX512(dst, src, table, lanes, words)
		case 8:
			compact4x64AVX512(dst, src, table, lanes, words)
		case 9:
			compact4x32AVX512(dst, src, table, lanes, words)
		case 10:
			expand4x64AVX512(dst, src, table, lanes, words)
		case 11:
			expand4x32AVX512(dst, src, table, lanes, words)
		case 12:
			compact8x64AVX512(dst, src, table, lanes, words)
		case 13:
			compact8x32AVX512(dst, src, table, lanes, words)
		case 14:
			expand8x64AVX512(dst, src, table, lanes, words)
		case 15:
			expand8x32AVX512(dst, src, table, lanes, words)
		}
		return
	}
	switch code {
	case 4:
		swap2x64AVX2(dst, src, table, lanes, words)
	case 5:
		swap2x32AVX2(dst, src, table, lanes, words)
	case 8:
		compact4x64AVX2(dst, src, table, lanes, words)
	case 9:
		compact4x32AVX2(dst, src, table, lanes, words)
	case 10:
		expand4x64AVX2(dst, src, table, lanes, words)
	case 11:
		expand4x32AVX2(dst, src, table, lanes, words)
	case 12:
		compact8x64AVX2(dst, src, table, lanes, words)
	case 13:
		compact8x32AVX2(dst, src, table, lanes, words)
	case 14:
		expand8x64AVX2(dst, src, table, lanes, words)
	case 15:
		expand8x32AVX2(dst, src, table, lanes, words)
	}
}

// first does the first three levels of blocks of 8 rows.
func first(expand bool, data, ranks *byte, p *pass) {
	words := (*[24]uint64)(unsafe.Pointer(p))
	switch {
	case active == withAVX512 && expand:
		expandFirstAVX512(data, data, ranks, nil, words)
	case active == withAVX512:
		compactFirstAVX512(data, data, ranks, nil, words)
	case expand:
		expandFirstAVX2(data, data, ranks, nil, words)
	default:
		compactFirstAVX2(data, data, ranks, nil, words)
	}
}

// withinRegisters does the levels whose pairs lie in one register.
func withinRegisters(width int, expand bool, data *byte, ranks *uint32, registers int, offset uint32) {
	if expand {
		width = -width
	}
	if active == withAVX512 {
		switch width {
		case 4:
			compactWithin4AVX512(data, ranks, registers, offset)
		case -4:
			expandWithin4AVX512(data, ranks, registers, offset)
		case 8:
			compactWithin8AVX512(data, ranks, registers, offset)
		case -8:
			expandWithin8AVX512(data, ranks, registers, offset)
		case 16:
			compactWithin16AVX512(data, ranks, registers, offset)
		case -16:
			expandWithin16AVX512(data, ranks, registers, offset)
		case 32:
			compactWithin32AVX512(data, ranks, registers, offset)
		case -32:
			expandWithin32AVX512(data, ranks, registers, offset)
		}
		return
	}
	switch width {
	case 4:
		compactWithin4AVX2(data, ranks, registers, offset)
	case -4:
		expandWithin4AVX2(data, ranks, registers, offset)
	case 8:
		compactWithin8AVX2(data, ranks, registers, offset)
	case -8:
		expandWithin8AVX2(data, ranks, registers, offset)
	case 16:
		compactWithin16AVX2(data, ranks, registers, offset)
	case -16:
		expandWithin16AVX2(data, ranks, registers, offset)
	}
}
