package oblivious

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSegments(t *testing.T) { onEach(t, eachSegments) }

func eachSegments(t *testing.T) {
	const seed = 31
	r := random(seed)
	w := NewWorkers(1)
	for _, n := range sizesToTry(r) {
		starts, ranks := randomMarks(r, n), make([]uint32, n)
		values, sums := make([]uint64, n), make([]uint32, n)
		for i := range n {
			values[i], sums[i] = r.Uint64(), r.Uint32()
		}
		first, addends := slices.Clone(values), slices.Clone(sums)
		w.SegmentRanks(starts, ranks)
		w.SegmentFirst(starts, first)
		w.SegmentSums(starts, sums)
		opened, sum := 0, uint32(0)
		for i := range n {
			if starts[i] == 1 {
				opened, sum = i, 0
			}
			sum += addends[i]
			if ranks[i] != uint32(i-opened) || first[i] != values[opened] || sums[i] != sum {
				t.Fatalf("seed %d n %d: element %d", seed, n, i)
			}
		}
		for i := range values {
			values[i] = narrow(r)
		}
		w.SegmentStarts(values, starts)
		for i := range n {
			if (starts[i] == 1) != (i == 0 || values[i] != values[i-1]) {
				t.Fatalf("SegmentStarts: seed %d n %d: element %d", seed, n, i)
			}
		}
	}
}

// someLabels returns labels of which some are out of range.
func someLabels(r *rand.Rand, n, sections int) []uint32 {
	labels := make([]uint32, n)
	for i := range labels {
		labels[i] = uint32(r.IntN(sections + 2))
		if r.IntN(8) == 0 {
			labels[i] = r.Uint32() | 1<<31
		}
	}
	return labels
}

// TestDeal deals records in their stable order by label.
func TestDeal(t *testing.T) { onEach(t, eachDeal) }

func eachDeal(t *testing.T) {
	const seed = 17
	r := random(seed)
	for _, n := range []int{0, 1, 2, 7, 100, 1000} {
		for _, length := range []int{1, 2, 5, longPattern - 1, longPattern, 3000} {
			for _, sections := range []int{1, 4, 30} {
				for _, workers := range []int{1, 3} {
					w := NewWorkers(workers)
					w.least = 1
					labels, pattern := make([]uint32, n), make([]uint32, length)
					for i := range labels {
						labels[i] = r.Uint32N(uint32(sections) + 3)
					}
					plain := r.IntN(2) == 0
					for i := range pattern {
						pattern[i] = uint32(i)
						if !plain {
							pattern[i] = r.Uint32N(9)
						}
					}
					order := make([]int, n)
					for i := range order {
						order[i] = i
					}
					slices.SortStableFunc(order, func(a, b int) int {
						return cmp.Compare(min(labels[a], uint32(sections)), min(labels[b], uint32(sections)))
					})
					first := r.IntN(5000)
					want := make([]uint32, n)
					for p, i := range order {
						want[i] = pattern[(first+p)%length]
					}
					if w.Deal(labels, sections, first, pattern); !slices.Equal(labels, want) {
						t.Fatalf("seed %d n %d pattern of %d, %d sections, %d workers: dealt %v, want %v", seed, n, length, sections, workers, labels, want)
					}
				}
			}
		}
	}
}

func TestTallyAndRankByLabel(t *testing.T) { onEach(t, eachTallyAndRankByLabel) }

func eachTallyAndRankByLabel(t *testing.T) {
	const seed = 32
	r := random(seed)
	ws := testWorkers()
	for _, n := range sizesToTry(r) {
		sections := r.IntN(40)
		labels := someLabels(r, n, sections)
		counts, want := make([]uint32, sections), make([]uint32, sections)
		order := make([]int, n)
		for i, l := range labels {
			order[i] = i
			if int(l) < sections {
				want[l]++
			}
		}
		if Tally(labels, counts); !slices.Equal(counts, want) {
			t.Fatalf("Tally: seed %d n %d: %v, want %v", seed, n, counts, want)
		}
		slices.SortStableFunc(order, func(a, b int) int {
			return min(int(labels[a]), sections) - min(int(labels[b]), sections)
		})
		for _, w := range ws {
			ranks := make([]uint32, n)
			w.RankByLabel(labels, sections, ranks)
			for position, i := range order {
				if ranks[i] != uint32(position) {
					t.Fatalf("RankByLabel: seed %d n %d sections %d workers %d: record %d at %d, want %d", seed, n, sections, w.n, i, ranks[i], position)
				}
			}
		}
	}
}

// exactReference is the text of Exact's comment in plain Go.
func exactReference(labels []uint32, sizes []int) (out []uint32, kept []byte) {
	out, kept = slices.Clone(labels), make([]byte, len(labels))
	count := make([]int, len(sizes)+1)
	for i, l := range labels {
		if int(l) < len(sizes) && count[l] < sizes[l] {
			count[l]++
			kept[i] = 1
		}
	}
	section := 0
	for i := range out {
		if kept[i] == 1 {
			continue
		}
		for section < len(sizes) && count[section] == sizes[section] {
			section++
		}
		count[section]++
		out[i] = uint32(section)
	}
	return out, kept
}

func checkExact(t *testing.T, w *Workers, labels []uint32, sizes []int) {
	t.Helper()
	want, wantKept := exactReference(labels, sizes)
	got, kept := slices.Clone(labels), make([]byte, len(labels))
	for i := range kept {
		kept[i] = 0xff
	}
	w.Exact(got, sizes, kept)
	if !slices.Equal(got, want) || !slices.Equal(kept, wantKept) {
		t.Fatalf("workers %d labels %v sizes %v: %v kept %v, want %v kept %v", w.n, labels, sizes, got, kept, want, wantKept)
	}
}

func TestExact(t *testing.T) { onEach(t, eachExact) }

func eachExact(t *testing.T) {
	const seed = 33
	r := random(seed)
	ws := testWorkers()
	for _, n := range sizesToTry(r) {
		sizes := randomSizes(r, r.IntN(n+1), r.IntN(30)+1)
		labels := someLabels(r, n, len(sizes))
		for _, w := range ws {
			checkExact(t, w, labels, sizes)
			checkExact(t, w, labels, nil)
		}
		// What it makes must be exact for Split.
		sum := 0
		for _, size := range sizes {
			sum += size
		}
		ws[0].Exact(labels, sizes, make([]byte, n))
		checkSplit(t, ws[0], labels, append(sizes, n-sum), 8)
	}
}

func FuzzExact(f *testing.F) {
	f.Add([]byte{0, 1, 1, 9, 0}, []byte{1, 1, 2}, uint8(3))
	f.Fuzz(func(t *testing.T, data, wishes []byte, workers uint8) {
		labels, left := make([]uint32, len(data)), len(data)
		for i, d := range data {
			labels[i] = uint32(int8(d)) // negative ones are far out of range
		}
		sizes := make([]int, len(wishes))
		for l, size := range wishes {
			sizes[l] = min(int(size), left)
			left -= sizes[l]
		}
		w := NewWorkers(1 + int(workers%4))
		w.least = 1
		checkExact(t, w, labels, sizes)
	})
}

func checkDestinations(t *testing.T, w *Workers, want []uint32, cells int) []uint32 {
	t.Helper()
	n := len(want)
	got, kept := slices.Clone(want), make([]byte, n)
	for i := range kept {
		kept[i] = 0xff
	}
	w.Destinations(got, cells, kept)
	places, taken := make([]int, n), make([]bool, cells)
	for i, c := range want {
		places[i] = int(got[i])
		var keep byte
		if int64(c) < int64(cells) && !taken[c] {
			taken[c], keep = true, 1
		}
		if kept[i] != keep || keep == 1 && got[i] != c {
			t.Fatalf("workers %d cells %d want %v: record %d got %d kept %d", w.n, cells, want, i, got[i], kept[i])
		}
	}
	isPermutation(t, places)
	return got
}

func TestDestinationsAll(t *testing.T) { onEach(t, eachDestinationsAll) }

func eachDestinationsAll(t *testing.T) {
	ws := testWorkers()
	for n := range 6 {
		for cells := range n + 1 {
			total := 1
			for range n {
				total *= cells + 1
			}
			for code := range total {
				want := make([]uint32, n)
				for i, c := 0, code; i < n; i++ {
					want[i] = uint32(c % (cells + 1))
					c /= cells + 1
				}
				checkDestinations(t, ws[code%2], want, cells)
			}
		}
	}
}

func TestDestinations(t *testing.T) { onEach(t, eachDestinations) }

func eachDestinations(t *testing.T) {
	const seed = 34
	r := random(seed)
	ws := testWorkers()
	for _, n := range sizesToTry(r) {
		cells := r.IntN(n + 1)
		if r.IntN(3) == 0 {
			cells = n
		}
		want := someLabels(r, n, max(1, cells>>r.IntN(4)))
		t.Logf("seed %d n %d cells %d", seed, n, cells)
		var first []uint32
		for i, w := range ws {
			got := checkDestinations(t, w, want, cells)
			if i > 0 && !slices.Equal(got, first) {
				t.Fatalf("outcome depends on the number of workers, %d", w.n)
			}
			first = got
		}
	}
}

func FuzzDestinations(f *testing.F) {
	f.Add([]byte{3, 3, 0, 200}, uint8(4), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, cells, workers uint8) {
		want := make([]uint32, len(data))
		for i, d := range data {
			want[i] = uint32(int8(d))
		}
		w := NewWorkers(1 + int(workers%4))
		w.least = 1
		checkDestinations(t, w, want, min(int(cells), len(want)))
	})
}
