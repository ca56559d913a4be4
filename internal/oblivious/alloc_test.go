//go:build !trace

package oblivious

import "testing"

// TestNoAllocations: the second call of everything, with one worker, allocates
// nothing. (Trace hooks do.)
func TestNoAllocations(t *testing.T) { onEach(t, eachNoAllocations) }

func eachNoAllocations(t *testing.T) {
	const n = 1000
	r := random(51)
	w := NewWorkers(1)
	body, side := numbered(n, 64), numbered(n, 8)
	marks, labels, ranks := randomMarks(r, n), make([]uint32, n), make([]uint32, n)
	keys, values, heads := make([]uint64, n), make([]uint64, n), make([]Header, n)
	sizes := []int{n / 2, 0, n / 4, n - n/2 - n/4}
	kept, near, far := make([]byte, n), []uint32{0, 1, 0, 2}, make([]uint32, longPattern)
	for name, f := range map[string]func(){
		"Compact":       func() { w.Compact(marks, body, side) },
		"Expand":        func() { w.Expand(marks, body, side) },
		"Split":         func() { w.Split(labels, sizes, body, side) },
		"Place":         func() { w.Place(labels, body, side) },
		"Sort":          func() { w.Sort(keys) },
		"SortPairs":     func() { w.SortPairs(keys, values) },
		"SortHeaders":   func() { w.SortHeaders(heads) },
		"SegmentRanks":  func() { w.SegmentRanks(marks, ranks) },
		"SegmentFirst":  func() { w.SegmentFirst(marks, values) },
		"SegmentSums":   func() { w.SegmentSums(marks, ranks) },
		"SegmentStarts": func() { w.SegmentStarts(keys, kept) },
		"Tally":         func() { Tally(labels, ranks[:9]) },
		"RankByLabel":   func() { w.RankByLabel(labels, 9, ranks) },
		"Deal":          func() { w.Deal(labels, 9, 7, near) },
		"Deal far":      func() { w.Deal(labels, 9, 7, far) },
		"Exact":         func() { w.Exact(labels, sizes, kept) },
		"Destinations":  func() { w.Destinations(labels, n/2, kept) },
	} {
		f()
		if a := testing.AllocsPerRun(3, f); a != 0 {
			t.Errorf("%s: %v allocations in a steady state", name, a)
		}
	}
}
