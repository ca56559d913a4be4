package oblivious

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func checkCompact(t *testing.T, w *Workers, marks []byte, width int) []int {
	t.Helper()
	n := len(marks)
	before := slices.Clone(marks)
	c, side := numbered(n, width), numbered(n, 8)
	w.Compact(marks, c, side)
	got := ids(t, c)
	isPermutation(t, got)
	var want []int
	for i, m := range marks {
		if m == 1 {
			want = append(want, i)
		}
	}
	if !slices.Equal(got[:len(want)], want) {
		t.Fatalf("n=%d marks %v: front is %v", n, marks, got[:len(want)])
	}
	if !slices.Equal(got, ids(t, side)) {
		t.Fatal("columns differ")
	}
	if !slices.Equal(before, marks) {
		t.Fatal("marks changed")
	}
	w.Expand(marks, c)
	if !slices.IsSorted(ids(t, c)) {
		t.Fatalf("n=%d marks %v: Expand does not undo Compact", n, marks)
	}
	return got
}

func checkExpand(t *testing.T, w *Workers, marks []byte, width int) []int {
	t.Helper()
	c := numbered(len(marks), width)
	w.Expand(marks, c)
	got := ids(t, c)
	isPermutation(t, got)
	k := 0
	for i, m := range marks {
		if m == 1 {
			if got[i] != k {
				t.Fatalf("marks %v: place %d holds %d, want %d", marks, i, got[i], k)
			}
			k++
		}
	}
	return got
}

func TestCompactExpandAllMarks(t *testing.T) { onEach(t, eachCompactExpandAllMarks) }

func eachCompactExpandAllMarks(t *testing.T) {
	ws := testWorkers()
	for n := range 13 {
		for pattern := range 1 << n {
			marks := make([]byte, n)
			for i := range marks {
				marks[i] = byte(pattern >> i & 1)
			}
			checkCompact(t, ws[0], marks, 8)
			checkExpand(t, ws[0], marks, 8)
			if n < 8 {
				checkCompact(t, ws[2], marks, 8)
				checkExpand(t, ws[2], marks, 8)
			}
		}
	}
}

func TestCompactExpand(t *testing.T) { onEach(t, eachCompactExpand) }

func eachCompactExpand(t *testing.T) {
	const seed = 11
	r := random(seed)
	ws := testWorkers()
	for _, n := range sizesToTry(r) {
		width := testWidths[r.IntN(len(testWidths))]
		marks := randomMarks(r, n)
		t.Logf("seed %d n %d width %d", seed, n, width)
		var compacted, expanded []int
		for i, w := range ws {
			c, e := checkCompact(t, w, marks, width), checkExpand(t, w, marks, width)
			if i > 0 && (!slices.Equal(c, compacted) || !slices.Equal(e, expanded)) {
				t.Fatalf("outcome depends on the number of workers, %d", w.n)
			}
			compacted, expanded = c, e
		}
	}
}

func TestWidths(t *testing.T) { onEach(t, eachWidths) }

func eachWidths(t *testing.T) {
	r := random(12)
	w := NewWorkers(1)
	for _, width := range testWidths {
		for _, n := range []int{5, 64, 200} {
			checkCompact(t, w, randomMarks(r, n), width)
			checkExpand(t, w, randomMarks(r, n), width)
		}
	}
}

func checkSplit(t *testing.T, w *Workers, labels []uint32, sizes []int, width int) []int {
	t.Helper()
	n := len(labels)
	moved := slices.Clone(labels)
	c, side := numbered(n, width), numbered(n, 8)
	w.Split(moved, sizes, c, side)
	got := ids(t, c)
	isPermutation(t, got)
	row := 0
	for l, size := range sizes {
		for range size {
			if moved[row] != uint32(l) || labels[got[row]] != uint32(l) {
				t.Fatalf("row %d: label %d, record of label %d, want %d", row, moved[row], labels[got[row]], l)
			}
			row++
		}
	}
	if !slices.Equal(got, ids(t, side)) {
		t.Fatal("columns differ")
	}
	return got
}

func labelsOf(r *rand.Rand, sizes []int) []uint32 {
	var labels []uint32
	for l, size := range sizes {
		for range size {
			labels = append(labels, uint32(l))
		}
	}
	r.Shuffle(len(labels), func(i, j int) { labels[i], labels[j] = labels[j], labels[i] })
	return labels
}

func TestSplit(t *testing.T) { onEach(t, eachSplit) }

func eachSplit(t *testing.T) {
	const seed = 13
	r := random(seed)
	ws := testWorkers()
	for _, n := range sizesToTry(r) {
		sizes := randomSizes(r, n, 1+r.IntN(1+min(n, 40)))
		labels := labelsOf(r, sizes)
		width := testWidths[r.IntN(len(testWidths))]
		t.Logf("seed %d n %d sections %d width %d", seed, n, len(sizes), width)
		var first []int
		for i, w := range ws {
			got := checkSplit(t, w, labels, sizes, width)
			if i > 0 && !slices.Equal(got, first) {
				t.Fatalf("outcome depends on the number of workers, %d", w.n)
			}
			first = got
		}
	}
	ws[0].Split(nil, nil)
}

func TestPlace(t *testing.T) { onEach(t, eachPlace) }

func eachPlace(t *testing.T) {
	const seed = 14
	r := random(seed)
	ws := testWorkers()
	for _, n := range sizesToTry(r) {
		labels := make([]uint32, n)
		for i, p := range r.Perm(n) {
			labels[i] = uint32(p)
		}
		width := testWidths[r.IntN(len(testWidths))]
		t.Logf("seed %d n %d width %d", seed, n, width)
		for _, w := range ws {
			c, moved := numbered(n, width), slices.Clone(labels)
			w.Place(moved, c)
			for place, id := range ids(t, c) {
				if labels[id] != uint32(place) || moved[place] != uint32(place) {
					t.Fatalf("place %d holds the record of label %d", place, labels[id])
				}
			}
		}
	}
}

func TestNoColumns(t *testing.T) { onEach(t, eachNoColumns) }

func eachNoColumns(t *testing.T) {
	w := NewWorkers(1)
	w.Compact([]byte{1, 0, 1})
	w.Expand(nil)
	labels := []uint32{2, 0, 1}
	w.Place(labels)
	if !slices.Equal(labels, []uint32{0, 1, 2}) {
		t.Error(labels)
	}
}

func TestPanicsOnPublicMistakes(t *testing.T) {
	w := NewWorkers(1)
	for name, f := range map[string]func(){
		"length":   func() { w.Compact(make([]byte, 3), MakeRows(2, 8)) },
		"width":    func() { w.Compact(make([]byte, 3), Rows{make([]byte, 12), 4}) },
		"sizes":    func() { w.Split(make([]uint32, 3), []int{1, 1}) },
		"negative": func() { w.Split(make([]uint32, 1), []int{2, -1}) },
		"exact":    func() { w.Exact(make([]uint32, 1), []int{2}, make([]byte, 1)) },
		"cells":    func() { w.Destinations(make([]uint32, 1), 2, make([]byte, 1)) },
		"workers":  func() { NewWorkers(0) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
