package oblivious

import (
	"strconv"
	"testing"
)

// Run with: go test -run '^$' -bench . -benchtime 3x ./internal/oblivious/

// eachLength benchmarks f, which does its work on n records once, and restores
// its secrets itself; setup is not timed.
func eachLength(b *testing.B, lengths []int, setup func(n int) func()) {
	for _, n := range lengths {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			f := setup(n)
			f()
			for b.Loop() {
				f()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
		})
	}
}

var benchLengths = []int{1 << 14, 1 << 16}

func BenchmarkCompact(b *testing.B) {
	eachLength(b, benchLengths, func(n int) func() {
		w, c, marks := NewWorkers(1), numbered(n, 256), randomMarks(random(1), n)
		return func() { w.Compact(marks, c) }
	})
}

func BenchmarkExpand(b *testing.B) {
	eachLength(b, benchLengths, func(n int) func() {
		w, c, marks := NewWorkers(1), numbered(n, 256), randomMarks(random(1), n)
		return func() { w.Expand(marks, c) }
	})
}

func BenchmarkCompactTwoWorkers(b *testing.B) {
	eachLength(b, benchLengths, func(n int) func() {
		w, c, marks := NewWorkers(2), numbered(n, 256), randomMarks(random(1), n)
		return func() { w.Compact(marks, c) }
	})
}

func BenchmarkSplit4(b *testing.B) {
	eachLength(b, benchLengths, func(n int) func() {
		sizes := []int{n / 4, n / 4, n / 4, n / 4}
		w, c, secret := NewWorkers(1), numbered(n, 256), labelsOf(random(2), sizes)
		labels := make([]uint32, n)
		return func() {
			copy(labels, secret)
			w.Split(labels, sizes, c)
		}
	})
}

func BenchmarkPlace(b *testing.B) {
	eachLength(b, benchLengths, func(n int) func() {
		w, c := NewWorkers(1), numbered(n, 256)
		secret, labels := make([]uint32, n), make([]uint32, n)
		for i, p := range random(3).Perm(n) {
			secret[i] = uint32(p)
		}
		return func() {
			copy(labels, secret)
			w.Place(labels, c)
		}
	})
}

func BenchmarkSort(b *testing.B) {
	eachLength(b, append(benchLengths, 1<<20), func(n int) func() {
		w, secret, keys := NewWorkers(1), make([]uint64, n), make([]uint64, n)
		r := random(4)
		for i := range secret {
			secret[i] = r.Uint64()
		}
		return func() {
			copy(keys, secret)
			w.Sort(keys)
		}
	})
}

func BenchmarkSortPairs(b *testing.B) {
	eachLength(b, benchLengths, func(n int) func() {
		w, secret, keys, values := NewWorkers(1), make([]uint64, n), make([]uint64, n), make([]uint64, n)
		r := random(4)
		for i := range secret {
			secret[i] = r.Uint64()
		}
		return func() {
			copy(keys, secret)
			w.SortPairs(keys, values)
		}
	})
}

func BenchmarkSortHeaders(b *testing.B) {
	eachLength(b, benchLengths, func(n int) func() {
		w, secret, h := NewWorkers(1), make([]Header, n), make([]Header, n)
		r := random(5)
		for i := range secret {
			secret[i] = Header{r.Uint64() % 99, r.Uint64(), r.Uint64(), r.Uint64()}
		}
		return func() {
			copy(h, secret)
			w.SortHeaders(h)
		}
	})
}

func BenchmarkDestinations(b *testing.B) {
	eachLength(b, benchLengths, func(n int) func() {
		w, secret := NewWorkers(1), someLabels(random(6), n, n/2)
		want, kept := make([]uint32, n), make([]byte, n)
		return func() {
			copy(want, secret)
			w.Destinations(want, n/2, kept)
		}
	})
}

func BenchmarkExact(b *testing.B) {
	for _, sections := range []int{4, 72} {
		b.Run(strconv.Itoa(sections), func(b *testing.B) {
			eachLength(b, benchLengths, func(n int) func() {
				w, secret := NewWorkers(1), someLabels(random(7), n, sections)
				labels, kept, sizes := make([]uint32, n), make([]byte, n), make([]int, sections)
				for l := range sizes {
					sizes[l] = n / sections
				}
				return func() {
					copy(labels, secret)
					w.Exact(labels, sizes, kept)
				}
			})
		})
	}
}

func BenchmarkRankByLabel(b *testing.B) {
	for _, sections := range []int{4, 72} {
		b.Run(strconv.Itoa(sections), func(b *testing.B) {
			eachLength(b, benchLengths, func(n int) func() {
				w, labels, ranks := NewWorkers(1), someLabels(random(8), n, sections), make([]uint32, n)
				return func() { w.RankByLabel(labels, sections, ranks) }
			})
		})
	}
}
