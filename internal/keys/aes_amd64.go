//go:build amd64 && !purego

package keys

// cpuid1ECX is ECX of CPUID leaf 1. In aes_amd64.s.
func cpuid1ECX() uint32

func hardwareAES() bool {
	const need = 1<<1 | 1<<9 | 1<<19 | 1<<25 // PCLMULQDQ, SSSE3, SSE4.1, AES
	return cpuid1ECX()&need == need
}
