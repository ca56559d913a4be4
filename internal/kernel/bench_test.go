package kernel

import (
	"strconv"
	"testing"

	"github.com/teems-go/teems/internal/choice"
)

func BenchmarkSwapL1(b *testing.B) {
	for _, width := range []int{64, 256, 272, 1024} {
		b.Run(strconv.Itoa(width), func(b *testing.B) {
			x, y := make([]byte, width), make([]byte, width)
			for i := 0; b.Loop(); i++ {
				CondSwap(choice.FromBit(uint64(i)), x, y)
			}
		})
	}
}

// BenchmarkBlock reports the time of one conditional swap inside a block in L1.
func BenchmarkBlock(b *testing.B) {
	for _, width := range []int{4, 8, 32, 64, 256, 272, 1024} {
		b.Run(strconv.Itoa(width), func(b *testing.B) {
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
	}
}
