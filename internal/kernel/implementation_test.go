package kernel

import "testing"

// onEach runs a test on every implementation that the machine has.
func onEach(t *testing.T, f func(t *testing.T)) {
	best := active
	for i := portable; i <= best; i++ {
		restore := setImplementation(i)
		t.Run(i.String(), f)
		restore()
	}
}

// TestRanks checks ranks and the columns of every shape against blocks.
func TestColumns(t *testing.T) { onEach(t, checkColumns) }

func checkColumns(t *testing.T) {
	const seed = 4
	r := random(seed)
	for _, width := range append(widths, 2048, 2064) {
		for shift := uint(0); shift <= 6; shift++ {
			for levels := uint(0); levels <= 9; levels++ {
				n := 1 << (shift + levels)
				if n*width > 1<<18 {
					continue
				}
				ranks, offset := make([]uint32, n), r.IntN(1000)
				sum := r.Uint32N(1000)
				for i := range ranks {
					ranks[i] = sum
					sum += r.Uint32N(2)
				}
				data := randomBytes(r, n*width)
				want, got := append([]byte(nil), data...), append([]byte(nil), data...)
				restore := setImplementation(portable)
				CompactBlock(want, width, ranks, offset)
				restore()
				small := 1 << shift
				for s := 0; s < n; s += small {
					CompactBlock(got[s*width:(s+small)*width], width, ranks[s:s+small], offset)
				}
				cut := r.IntN(small + 1)
				if r.IntN(2) == 0 {
					cut &^= 15
				}
				CompactColumns(got, width, ranks, offset, shift, cut, small-cut)
				CompactColumns(got, width, ranks, offset, shift, 0, cut)
				if string(got) != string(want) {
					t.Fatalf("seed %d width %d shift %d levels %d cut %d: CompactColumns", seed, width, shift, levels, cut)
				}
				ExpandColumns(got, width, ranks, offset, shift, cut, small-cut)
				ExpandColumns(got, width, ranks, offset, shift, 0, cut)
				for s := 0; s < n; s += small {
					ExpandBlock(got[s*width:(s+small)*width], width, ranks[s:s+small], offset)
				}
				if string(got) != string(data) {
					t.Fatalf("seed %d width %d shift %d levels %d cut %d: ExpandColumns", seed, width, shift, levels, cut)
				}
			}
		}
	}
}
