package kernel

import (
	"slices"
	"testing"
)

// TestLookup checks a lookup by plain indexing.
func TestLookup(t *testing.T) {
	onEach(t, func(t *testing.T) {
		r := random(6)
		for _, n := range []int{0, 1, 31, 32, 63, 64, 65, 200} {
			for _, size := range []int{0, 1, 3, 72, 1000} {
				table, index, out := make([]uint32, size), make([]uint32, n), make([]uint32, n)
				for i := range table {
					table[i] = r.Uint32()
				}
				for i := range index {
					index[i] = r.Uint32N(uint32(size) + 2)
				}
				Lookup(table, index, out)
				for i, x := range index {
					var want uint32
					if int(x) < size {
						want = table[x]
					}
					if out[i] != want {
						t.Fatalf("n %d, size %d: entry %d is %d, want %d", n, size, x, out[i], want)
					}
				}
			}
		}
	})
}

// TestLabels checks the scans over labels against the portable ones.
func TestLabels(t *testing.T) { onEach(t, checkLabels) }

func checkLabels(t *testing.T) {
	const seed = 5
	r := random(seed)
	for _, n := range []int{0, 1, 7, 8, 9, 63, 64, 65, 300, labelBlock - 1, labelBlock, labelBlock + 5, 5000} {
		for _, sections := range []int{0, 1, 2, 7, 8, 9, 16, 17, 40, 41, 72, 73, 128, 129, 300} {
			labels, marks := make([]uint32, n), randomBytes(r, n)
			for i := range labels {
				labels[i] = r.Uint32N(uint32(sections) + 3)
				if r.IntN(9) == 0 {
					labels[i] = r.Uint32() | r.Uint32()
				}
			}
			counters := make([]uint32, sections)
			for i := range counters {
				counters[i] = r.Uint32N(uint32(n/(sections+1) + 2))
				if r.IntN(9) == 0 {
					counters[i] = r.Uint32()
				}
			}
			ascending := slices.Sorted(slices.Values(counters))
			start := r.Uint32()
			run := func() (all [][]uint32) {
				add := func(x ...uint32) { all = append(all, slices.Clone(x)) }
				ranks, kept, c := make([]uint32, n), slices.Clone(marks), slices.Clone(counters)
				add(RankMarks(marks, ranks, start))
				add(ranks...)
				add(RankBelow(labels, uint32(sections)/2, ranks, start))
				add(ranks...)
				Tally(labels, c)
				add(c...)
				if sections > 0 {
					RankLabels(labels, c, ranks)
					add(ranks...)
					add(c...)
				}
				c = slices.Clone(counters)
				KeepLabels(labels, c, kept)
				for _, k := range kept {
					add(uint32(k))
				}
				add(c...)
				filled := slices.Clone(labels)
				add(FillLabels(filled, marks, ascending, uint32(n/3)))
				add(filled...)
				found := make([]uint32, n)
				Lookup(counters, labels, found)
				add(found...)
				found = slices.Clone(labels)
				Lookup(counters, found, found)
				add(found...)
				return all
			}
			got := run()
			restore := setImplementation(portable)
			want := run()
			restore()
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Fatalf("seed %d n %d sections %d: result %d", seed, n, sections, i)
				}
			}
		}
	}
}
