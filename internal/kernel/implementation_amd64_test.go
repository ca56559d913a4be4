//go:build !purego

package kernel

import (
	"os"
	"strings"
	"testing"
)

func setImplementation(i implementation) (restore func()) {
	before := active
	active = i
	return func() { active = before }
}

// TestImplementation fails unless the best implementation was chosen, by what
// the operating system says of the processor.
func TestImplementation(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip("no /proc/cpuinfo")
	}
	has := map[string]bool{}
	for _, line := range strings.Split(string(info), "\n") {
		if name, flags, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "flags" {
			for _, f := range strings.Fields(flags) {
				has[f] = true
			}
			break
		}
	}
	want := portable
	if has["avx2"] {
		want = withAVX2
		if has["avx512f"] && has["avx512dq"] && has["avx512bw"] && has["avx512vl"] {
			want = withAVX512
		}
	}
	if active != want || Implementation() != want.String() {
		t.Errorf("%v was chosen, want %v", active, want)
	}
}
