package cases

import (
	"unsafe"

	"github.com/teems-go/teems/internal/oblivious"
)

func bytesOf(s []uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), 4*len(s))
}

func headerWords(h []oblivious.Header) [][4]uint64 {
	return unsafe.Slice((*[4]uint64)(unsafe.Pointer(unsafe.SliceData(h))), len(h))
}

var share = func(*oblivious.Workers) {}

// Share sets how workers are made to share even the smallest work. Rewritten
// builds know how.
func Share(f func(*oblivious.Workers)) { share = f }

// moves is a case of a function on marks and three columns.
func moves(name string, f func(w *oblivious.Workers, marks []byte, cols ...oblivious.Rows)) Case {
	return Case{Name: name, make: func(b *Builder) func() {
		m, body, side, odd := b.marks(b.N), b.rows(b.N, 256), b.rows(b.N, 8), b.rows(b.N, 72)
		return func() { f(b.W, m, body, side, odd) }
	}}
}

// Oblivious is all of package oblivious.
var Oblivious = []Case{
	moves("oblivious.Workers.Compact", (*oblivious.Workers).Compact),
	moves("oblivious.Workers.Expand", (*oblivious.Workers).Expand),
	{Name: "oblivious.Workers.Split", make: func(b *Builder) func() {
		s := sizes(b.N, 6)
		l, body, side := b.sections(s), b.rows(b.N, 256), b.rows(b.N, 16)
		broken := b.labels(b.N, 7)
		return func() {
			b.W.Split(l, s, body, side)
			b.W.Split(broken, s, body, side)
		}
	}},
	{Name: "oblivious.Workers.Place", make: func(b *Builder) func() {
		each := make([]int, b.N)
		for i := range each {
			each[i] = 1
		}
		l, body, side := b.sections(each), b.rows(b.N, 256), b.rows(b.N, 16)
		return func() { b.W.Place(l, body, side) }
	}},
	{Name: "oblivious.Workers.Sort", make: func(b *Builder) func() {
		k := b.words(b.N)
		return func() { b.W.Sort(k) }
	}},
	{Name: "oblivious.Workers.SortPairs", make: func(b *Builder) func() {
		k, v := b.words(b.N), b.words(b.N)
		return func() { b.W.SortPairs(k, v) }
	}},
	{Name: "oblivious.Workers.SortHeaders", Covers: []string{"oblivious.HeaderRows"}, make: func(b *Builder) func() {
		h, m := b.headers(b.N), b.marks(b.N)
		return func() {
			b.W.SortHeaders(h)
			b.W.Compact(m, oblivious.HeaderRows(h))
		}
	}},
	{Name: "oblivious.Workers.SegmentRanks", make: func(b *Builder) func() {
		s, ranks := b.marks(b.N), make([]uint32, b.N)
		return func() { b.W.SegmentRanks(s, ranks) }
	}},
	{Name: "oblivious.Workers.SegmentFirst", make: func(b *Builder) func() {
		s, v := b.marks(b.N), b.words(b.N)
		return func() { b.W.SegmentFirst(s, v) }
	}},
	{Name: "oblivious.Workers.SegmentSums", make: func(b *Builder) func() {
		s, v := b.marks(b.N), b.labels(b.N, 1000)
		return func() { b.W.SegmentSums(s, v) }
	}},
	{Name: "oblivious.Workers.SegmentStarts", make: func(b *Builder) func() {
		k, s := b.words(b.N), make([]byte, b.N)
		return func() { b.W.SegmentStarts(k, s) }
	}},
	{Name: "oblivious.Workers.RankByLabel", make: func(b *Builder) func() {
		l, ranks := b.labels(b.N, 5), make([]uint32, b.N)
		return func() { b.W.RankByLabel(l, 5, ranks) }
	}},
	{Name: "oblivious.Workers.Deal", make: func(b *Builder) func() {
		l, far := b.labels(b.N, 5), make([]uint32, 600)
		for i := range far {
			far[i] = uint32(i % 7)
		}
		patterns := [][]uint32{{0, 1, 2}, {0, 1, 0, 2}, far}
		return func() {
			for _, pattern := range patterns {
				b.W.Deal(l, 5, 1, pattern)
			}
		}
	}},
	{Name: "oblivious.Workers.Exact", make: func(b *Builder) func() {
		l, s, kept := b.labels(b.N, 5), sizes(b.N/2, 5), make([]byte, b.N)
		return func() { b.W.Exact(l, s, kept) }
	}},
	{Name: "oblivious.Workers.Destinations", make: func(b *Builder) func() {
		want, kept := b.labels(b.N, b.N/2+1), make([]byte, b.N)
		return func() { b.W.Destinations(want, b.N/2, kept) }
	}},
	{Name: "oblivious.Tally", make: func(b *Builder) func() {
		l, counts := b.labels(b.N, 5), make([]uint32, 5)
		return func() { clear(counts); oblivious.Tally(l, counts) }
	}},
}
