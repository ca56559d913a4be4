package oblivious

import (
	"math/bits"
	"unsafe"

	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/kernel"
)

// Split sorts the records into len(sizes) sections: after it, the records with
// label 0 are the first sizes[0], in any order, and so on. Label l must occur
// exactly sizes[l] times and the sizes must sum to len(labels); the caller
// sees to both (Exact makes labels so). Labels are permuted along.
//
// Oblivious in labels and records; leaks sizes, lengths and widths. A label
// that breaks the promise spoils the order and nothing else. ceil(log2(number
// of sections)) levels of compaction at public boundaries, hence at most
// n*log2(n)/2 conditional swaps a level and column.
func (w *Workers) Split(labels []uint32, sizes []int, cols ...Rows) {
	checkLength(len(sizes))
	w.offsets = grow(w.offsets, len(sizes)+1)
	sum := 0
	for l, size := range sizes {
		if size < 0 || size > len(labels)-sum {
			panic("oblivious: the sizes of the sections do not sum to the number of labels")
		}
		w.offsets[l] = sum
		sum += size
	}
	w.offsets[len(sizes)] = sum
	if sum != len(labels) {
		panic("oblivious: the sizes of the sections do not sum to the number of labels")
	}
	w.split(labels, node{0, len(sizes)}, cols)
}

// Place sorts the records by label, labels being a permutation of the numbers
// from 0 to n-1: the record with label i ends at position i. Labels end in
// order. It is Split into sections of one record each.
//
// Oblivious in labels and records; leaks lengths and widths. Labels that are
// no permutation spoil the order and nothing else. n*log2(n)^2/4 conditional
// swaps a column.
func (w *Workers) Place(labels []uint32, cols ...Rows) {
	w.offsets = w.offsets[:0]
	w.split(labels, node{0, len(labels)}, cols)
}

// node is a subtree of a split: the sections first to end-1.
type node struct{ first, end int }

// boundary returns the row at which section l begins.
func (w *Workers) boundary(l int) int {
	if len(w.offsets) == 0 {
		return l
	}
	return w.offsets[l]
}

// middle returns the section at which the right half of a node begins. The
// left half has the largest power of two that leaves something to the right.
func (v node) middle() int { return v.first + 1<<(bits.Len(uint(v.end-v.first-1))-1) }

func (w *Workers) split(labels []uint32, root node, cols []Rows) {
	w.start(len(labels), cols)
	w.cols = append(w.cols, Rows{})
	copy(w.cols[1:], w.cols)
	w.cols[0] = labelRows(labels)
	w.nodes = append(w.nodes[:0], root)
	if w.parts(len(labels)*w.rowSteps()) > 1 {
		// The uppermost levels on all workers, until there is a subtree for each.
		for level := 0; level < bits.Len(uint(w.n))+2; level++ {
			w.spare = w.spare[:0]
			for _, v := range w.nodes {
				w.splitNode(v)
			}
			w.nodes, w.spare = w.spare, w.nodes
		}
		w.Each(len(w.nodes), func(i int) { w.splitAlone(w.nodes[i]) })
	} else {
		w.splitAlone(root)
	}
	w.stop()
}

// rowSteps is about how many nanoseconds a swap of a row of all columns takes.
func (w *Workers) rowSteps() int {
	steps := 0
	for _, c := range w.cols {
		steps += c.Width/16 + 1
	}
	return steps
}

// splitNode divides one node with all workers and appends its halves to spare.
func (w *Workers) splitNode(v node) {
	a, b := w.boundary(v.first), w.boundary(v.end)
	if v.end-v.first < 2 || b-a <= tiny {
		w.spare = append(w.spare, v) // splitAlone finishes it
		return
	}
	m := v.middle()
	if at := w.boundary(m); a < at && at < b {
		ranks := w.ranks[a:b]
		w.rankBelow(w.labels()[a:b], uint32(m), ranks)
		for _, c := range w.cols {
			w.compact(c.Slice(a, b), ranks)
		}
	}
	w.spare = append(w.spare, node{v.first, m}, node{m, v.end})
}

// labels returns the label column.
func (w *Workers) labels() []uint32 {
	d := w.cols[0].Data
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(d))), len(d)/4)
}

// splitAlone does a whole subtree with one worker, depth first.
func (w *Workers) splitAlone(v node) {
	a, b := w.boundary(v.first), w.boundary(v.end)
	if v.end-v.first < 2 || b-a < 2 {
		return
	}
	labels := w.labels()[a:b]
	if b-a == tiny {
		w.sort8(a, labels)
		return
	}
	if b-a < tiny {
		w.sortTiny(a, labels)
		return
	}
	m := v.middle()
	if at := w.boundary(m); a < at && at < b {
		ranks := w.ranks[a:b]
		kernel.RankBelow(labels, uint32(m), ranks, 0)
		for _, c := range w.cols {
			compactRows(c.Slice(a, b), ranks)
		}
	}
	w.splitAlone(node{v.first, m})
	w.splitAlone(node{m, v.end})
}

// tiny is up to how many rows a sorting network has the fewest swaps.
const tiny = 8

// sort8 sorts the eight rows from a on by label.
func (w *Workers) sort8(a int, labels []uint32) {
	var masks kernel.Masks8
	kernel.Order8(labels, &masks)
	for _, c := range w.cols[1:] {
		kernel.Move8(c.Slice(a, a+8).Data, c.Width, &masks)
	}
}

// sortTiny sorts fewer rows from a on by label, by merge exchange (Knuth, The
// Art of Computer Programming 3, 5.2.2, Algorithm M).
func (w *Workers) sortTiny(a int, labels []uint32) {
	n := len(labels)
	top := 1 << (bits.Len(uint(n-1)) - 1)
	for p := top; p > 0; p /= 2 {
		for q, r, d := top, 0, p; ; q, r, d = q/2, p, q-p {
			for i := range n - d {
				if i&p == r {
					w.exchange(a, i, i+d, labels)
				}
			}
			if q == p {
				break
			}
		}
	}
}

func (w *Workers) exchange(a, i, j int, labels []uint32) {
	m := choice.Less(uint64(labels[j]), uint64(labels[i]))
	for _, c := range w.cols {
		if c.Width == 4 {
			d := (labels[i] ^ labels[j]) & uint32(m)
			labels[i] ^= d
			labels[j] ^= d
			continue
		}
		kernel.CondSwap(m, c.Row(a+i), c.Row(a+j))
	}
}
