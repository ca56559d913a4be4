//go:build linux

package oblivious

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Run one kind, length or implementation at a time, for example
//
//	go test -run '^$' -bench 'Compact/256/AVX-512/w1/n2\^18' -benchtime 5x -count 5 ./internal/oblivious/
//
// ns/record is processor time, of all workers, since the machine may be shared;
// copies is that time in plain copies of the same data from memory to memory,
// measured beside it; GB/s counts every record once read and once written;
// moved/record is the bytes that the network loads and stores, at any level of
// the memory.

// shape is a benchmark's public shape.
type shape struct{ n, width int }

var (
	benchLengths = []int{1 << 14, 1 << 16, 1 << 18, 1 << 20}
	benchWidths  = []int{64, 256, 1024}
)

// eachShape benchmarks f, which does its work on n records once, and restores
// its secrets itself; setup is not timed.
func eachShape(b *testing.B, widths []int, setup func(b *testing.B, w *Workers, s shape) (f func(), moved float64)) {
	for _, width := range widths {
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			for _, name := range slices.Backward(implementations()) {
				b.Run(name, func(b *testing.B) {
					defer use(name)()
					eachLength(b, width, setup)
				})
			}
		})
	}
}

func eachLength(b *testing.B, width int, setup func(b *testing.B, w *Workers, s shape) (func(), float64)) {
	for workers := 1; workers <= 2; workers++ {
		for _, n := range benchLengths {
			if n*width > 1<<28 {
				continue
			}
			b.Run(fmt.Sprintf("w%d/n2^%d", workers, log2(n)), func(b *testing.B) {
				f, moved := setup(b, NewWorkers(workers), shape{n, width})
				f()
				var started time.Duration
				for b.Loop() {
					if started == 0 {
						started = processTime()
					}
					f()
				}
				took := float64(processTime()-started) / float64(b.N)
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(n), "wall-ns/record")
				b.ReportMetric(took/float64(n), "ns/record")
				b.ReportMetric(2*float64(n*width)/took, "GB/s")
				b.ReportMetric(took/copyTime(b, n*width), "copies")
				if moved > 0 {
					b.ReportMetric(moved, "moved/record")
				}
			})
		}
	}
}

// copyTime returns the median time to copy so many bytes, in nanoseconds.
func copyTime(b *testing.B, size int) float64 {
	from, to := arena[byte](b, size), arena[byte](b, size)
	var took []time.Duration
	for range 7 {
		start := processTime()
		copy(to, from)
		took = append(took, processTime()-start)
	}
	slices.Sort(took)
	return float64(took[len(took)/2].Nanoseconds())
}

// moves returns the bytes a record of the width is loaded and stored in
// compactions of n records: once each for every three levels at best.
func moves(n, width int) float64 {
	passes := 0
	for left := int(log2(n)); left > 0; left -= 3 {
		passes++
	}
	return float64(2 * passes * width)
}

// BenchmarkEach is what it costs to share work that is none.
func BenchmarkEach(b *testing.B) {
	w := NewWorkers(2)
	for b.Loop() {
		w.Each(2, func(int) {})
	}
}

func BenchmarkCopy(b *testing.B) {
	for _, width := range benchWidths {
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			eachLength(b, width, func(b *testing.B, w *Workers, s shape) (func(), float64) {
				from, to := arenaRows(b, s.n, width), arenaRows(b, s.n, width)
				return func() {
					w.Each(w.n, func(p int) {
						i, j := cut(s.n, w.n, p), cut(s.n, w.n, p+1)
						copy(to.Slice(i, j).Data, from.Slice(i, j).Data)
					})
				}, float64(2 * width)
			})
		})
	}
}

func BenchmarkCompact(b *testing.B) {
	eachShape(b, benchWidths, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		c, marks := arenaRows(b, s.n, s.width), randomMarks(random(1), s.n)
		return func() { w.Compact(marks, c) }, moves(s.n, s.width)
	})
}

func BenchmarkExpand(b *testing.B) {
	eachShape(b, []int{256}, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		c, marks := arenaRows(b, s.n, s.width), randomMarks(random(1), s.n)
		return func() { w.Expand(marks, c) }, moves(s.n, s.width)
	})
}

// benchSplit is a split into so many sections.
func benchSplit(b *testing.B, sections int) {
	eachShape(b, benchWidths, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		sizes := slices.Repeat([]int{s.n / sections}, sections)
		sizes[0] += s.n % sections
		c, secret := arenaRows(b, s.n, s.width), labelsOf(random(2), sizes)
		labels := arena[uint32](b, s.n)
		return func() {
			copy(labels, secret)
			w.Split(labels, sizes, c)
		}, 0
	})
}

func BenchmarkSplit4(b *testing.B)  { benchSplit(b, 4) }
func BenchmarkSplit72(b *testing.B) { benchSplit(b, 72) }

func BenchmarkPlace(b *testing.B) {
	eachShape(b, benchWidths, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		c := arenaRows(b, s.n, s.width)
		secret, labels := make([]uint32, s.n), arena[uint32](b, s.n)
		for i, p := range random(3).Perm(s.n) {
			secret[i] = uint32(p)
		}
		return func() {
			copy(labels, secret)
			w.Place(labels, c)
		}, 0
	})
}

// BenchmarkRecordSort is what not to do: a bitonic sort that swaps whole
// records, here with the conditional swap of this module.
func BenchmarkRecordSort(b *testing.B) {
	eachShape(b, []int{256}, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		c, secret, labels := arenaRows(b, s.n, s.width), make([]uint32, s.n), arena[uint32](b, s.n)
		for i, p := range random(3).Perm(s.n) {
			secret[i] = uint32(p)
		}
		return func() {
			copy(labels, secret)
			w.start(0, nil)
			w.cols = append(w.cols[:0], labelRows(labels), c)
			for h := 1; h < s.n; h *= 2 {
				for at := 0; at < s.n; at += 2 * h {
					for i := range h {
						w.exchange(at, i, 2*h-1-i, labels[at:])
					}
				}
				for d := h / 2; d > 0; d /= 2 {
					for i := range s.n {
						if i&d == 0 {
							w.exchange(0, i, i+d, labels)
						}
					}
				}
			}
			w.stop()
		}, 0
	})
}

func words(b *testing.B, n int, seed uint64) []uint64 {
	r, s := rand.New(rand.NewPCG(seed, 7)), arena[uint64](b, n)
	for i := range s {
		s[i] = r.Uint64N(KeyLimit)
	}
	return s
}

func BenchmarkSort(b *testing.B) {
	eachShape(b, []int{8}, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		secret, keys := words(b, s.n, 4), arena[uint64](b, s.n)
		return func() {
			copy(keys, secret)
			w.Sort(keys)
		}, 0
	})
}

func BenchmarkSortPairs(b *testing.B) {
	eachShape(b, []int{16}, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		secret, keys, values := words(b, s.n, 4), arena[uint64](b, s.n), arena[uint64](b, s.n)
		return func() {
			copy(keys, secret)
			w.SortPairs(keys, values)
		}, 0
	})
}

func BenchmarkSortHeaders(b *testing.B) {
	eachShape(b, []int{32}, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		r := random(5)
		secret, h := make([]Header, s.n), arena[Header](b, s.n)
		for i := range secret {
			secret[i] = Header{r.Uint64() % 99, r.Uint64(), r.Uint64(), r.Uint64()}
		}
		return func() {
			copy(h, secret)
			w.SortHeaders(h)
		}, 0
	})
}

func BenchmarkDestinations(b *testing.B) {
	eachShape(b, []int{4}, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		secret := someLabels(random(6), s.n, s.n/2)
		want, kept := arena[uint32](b, s.n), make([]byte, s.n)
		return func() {
			copy(want, secret)
			w.Destinations(want, s.n/2, kept)
		}, 0
	})
}

func benchExact(b *testing.B, sections int) {
	eachShape(b, []int{4}, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		secret := someLabels(random(7), s.n, sections)
		labels, kept := arena[uint32](b, s.n), make([]byte, s.n)
		sizes := slices.Repeat([]int{s.n / sections}, sections)
		return func() {
			copy(labels, secret)
			w.Exact(labels, sizes, kept)
		}, 0
	})
}

func BenchmarkExact4(b *testing.B)  { benchExact(b, 4) }
func BenchmarkExact72(b *testing.B) { benchExact(b, 72) }

func benchRank(b *testing.B, sections int) {
	eachShape(b, []int{4}, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		labels, ranks := someLabels(random(8), s.n, sections), make([]uint32, s.n)
		return func() { w.RankByLabel(labels, sections, ranks) }, 0
	})
}

func BenchmarkRankByLabel4(b *testing.B)  { benchRank(b, 4) }
func BenchmarkRankByLabel72(b *testing.B) { benchRank(b, 72) }

func benchDeal(b *testing.B, pattern []uint32) {
	eachShape(b, []int{4}, func(b *testing.B, w *Workers, s shape) (func(), float64) {
		secret := someLabels(random(9), s.n, 4)
		labels := arena[uint32](b, s.n)
		return func() {
			copy(labels, secret)
			w.Deal(labels, 4, 0, pattern)
		}, 0
	})
}

// weighted is a pattern of the length that does not count.
func weighted(length int) []uint32 {
	pattern := make([]uint32, length)
	for i := range pattern {
		pattern[i] = uint32(i) % 5 % 4
	}
	return pattern
}

func BenchmarkDealEqual(b *testing.B) { benchDeal(b, []uint32{0, 1, 2, 3}) }
func BenchmarkDeal9(b *testing.B)     { benchDeal(b, weighted(9)) }
func BenchmarkDeal500(b *testing.B)   { benchDeal(b, weighted(500)) }
func BenchmarkDeal18432(b *testing.B) { benchDeal(b, weighted(18432)) }
