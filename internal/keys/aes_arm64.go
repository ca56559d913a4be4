//go:build arm64 && !purego

package keys

import (
	"os"
	"runtime"
)

// hardwareAES asks the kernel: on Linux the auxiliary vector, as Go's runtime
// does; Apple's processors all have both.
func hardwareAES() bool {
	switch runtime.GOOS {
	case "darwin", "ios":
		return true
	case "linux", "android":
	default:
		return false
	}
	const (
		hwcap = 16
		need  = 1<<3 | 1<<4 // AES, PMULL
	)
	auxv, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return false
	}
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		if le.Uint64(auxv) == hwcap {
			return le.Uint64(auxv[8:])&need == need
		}
	}
	return false
}
