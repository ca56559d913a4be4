//go:build !purego

package kernel

// active is the implementation in use. Only tests change it, through
// setImplementation.
var active = detect()

// detect returns the best implementation that the processor has and the
// operating system keeps the registers of. It asks the processor itself: what
// the environment of the process says is for the host to choose.
func detect() implementation {
	const (
		osxsave, avx           = 1 << 27, 1 << 28                       // leaf 1, ECX
		avx2                   = 1 << 5                                 // leaf 7, EBX
		avx512                 = 1<<16 | 1<<17 | 1<<30 | 1<<31          // leaf 7, EBX: F, DQ, BW, VL
		keepsYMM, keepsZMM     = 1<<1 | 1<<2, 1<<1 | 1<<2 | 1<<5 | 7<<5 // XCR0
		lastLeaf, first, seven = 0, 1, 7
	)
	if last, _, _, _ := cpuid(lastLeaf, 0); last < seven {
		return portable
	}
	if _, _, c, _ := cpuid(first, 0); c&(osxsave|avx) != osxsave|avx {
		return portable
	}
	kept, _ := xgetbv()
	_, b, _, _ := cpuid(seven, 0)
	switch {
	case b&avx2 == 0 || kept&keepsYMM != keepsYMM:
		return portable
	case b&avx512 != avx512 || kept&keepsZMM != keepsZMM:
		return withAVX2
	}
	return withAVX512
}
