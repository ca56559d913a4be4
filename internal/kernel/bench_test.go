package kernel

import (
	"fmt"
	"testing"

	"github.com/teems-go/teems/internal/choice"
)

// eachImplementation runs a benchmark on all implementations, the best first.
func eachImplementation(b *testing.B, f func(b *testing.B)) {
	best := active
	for i := int(best); i >= int(portable); i-- {
		restore := setImplementation(implementation(i))
		b.Run(implementation(i).String(), f)
		restore()
	}
}

// BenchmarkSwap is one conditional swap a call, of rows in the L1 cache.
func BenchmarkSwap(b *testing.B) {
	for _, width := range []int{64, 256, 272, 1024} {
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			eachImplementation(b, func(b *testing.B) {
				const n = 16
				var pairs [n][2][]byte
				for i := range pairs {
					pairs[i][0], pairs[i][1] = make([]byte, width), make([]byte, width)
				}
				for i := range uint(b.N) { // b.Loop would keep CondSwap from being inlined
					p := &pairs[i%n]
					CondSwap(choice.FromBit(uint64(i)), p[0], p[1])
				}
			})
		})
	}
}

// BenchmarkBlock reports the time of one conditional swap inside a block in the
// L1 cache.
func BenchmarkBlock(b *testing.B) {
	for _, width := range []int{4, 8, 16, 32, 64, 256, 272, 1024} {
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			eachImplementation(b, func(b *testing.B) {
				const n, levels = 64, 6
				data, ranks := make([]byte, n*width), make([]uint32, n)
				for i := range ranks {
					ranks[i] = uint32(i / 2)
				}
				for b.Loop() {
					CompactBlock(data, width, ranks, 0)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(n/2*levels), "ns/swap")
			})
		})
	}
}
