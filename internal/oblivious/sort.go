package oblivious

import (
	"math/bits"

	"github.com/teems-go/teems/internal/kernel"
)

// KeyLimit is above all keys that Sort takes. For i < MaxRecords, i<<32|x is
// below it, whatever the 32 bits of x.
const KeyLimit = kernel.WordLimit

// Sort sorts keys below KeyLimit in ascending order, MaxRecords at most. A key
// that is not below it may come out lessened, and in the order of what it has
// become; it does no harm to others.
//
// Oblivious in keys; leaks nothing. About (n/4)*log2(n)^2 exchanges: bitonic
// sort (Batcher, "Sorting networks and their applications", AFIPS 1968), with
// all exchanges ascending, so that any length works.
func (w *Workers) Sort(keys []uint64) {
	checkLength(len(keys))
	if p, ok := w.packWords(keys); ok {
		parts := w.partsFor(p)
		if parts == 1 {
			kernel.PackWords(p.data, keys)
			w.sortPacked(p)
			kernel.UnpackWords(keys, p.data)
			return
		}
		w.Each(parts, func(part int) {
			data, a, b := p.cut(len(keys), parts, part)
			kernel.PackWords(data, keys[a:b])
		})
		w.sortPacked(p)
		w.Each(parts, func(part int) {
			data, a, b := p.cut(len(keys), parts, part)
			kernel.UnpackWords(keys[a:b], data)
		})
		return
	}
	w.words = wordNet{keys}
	w.sort(&w.words, len(keys), 1)
	w.words = wordNet{}
}

// SortPairs sorts the pairs (keys[i], values[i]) by key, then value.
//
// Oblivious in both; leaks nothing. Cost and source as for Sort.
func (w *Workers) SortPairs(keys, values []uint64) {
	if len(keys) != len(values) {
		panic("oblivious: keys and values differ in length")
	}
	if p, ok := w.pack(len(keys), 2); ok {
		parts := w.partsFor(p)
		if parts == 1 {
			kernel.PackPairs(p.data, keys, values)
			w.sortPacked(p)
			kernel.UnpackPairs(keys, values, p.data)
			return
		}
		w.Each(parts, func(part int) {
			data, a, b := p.cut(len(keys), parts, part)
			kernel.PackPairs(data, keys[a:b], values[a:b])
		})
		w.sortPacked(p)
		w.Each(parts, func(part int) {
			data, a, b := p.cut(len(keys), parts, part)
			kernel.UnpackPairs(keys[a:b], values[a:b], data)
		})
		return
	}
	w.pairs = pairNet{keys, values}
	w.sort(&w.pairs, len(keys), 2)
	w.pairs = pairNet{}
}

// SortHeaders sorts headers in ascending order, by word 0 first.
//
// Oblivious in the headers; leaks nothing. Cost and source as for Sort.
func (w *Workers) SortHeaders(h []Header) {
	if p, ok := w.pack(len(h), 4); ok {
		parts := w.partsFor(p)
		if parts == 1 {
			kernel.PackHeaders(p.data, headerWords(h))
			w.sortPacked(p)
			kernel.UnpackHeaders(headerWords(h), p.data)
			return
		}
		w.Each(parts, func(part int) {
			data, a, b := p.cut(len(h), parts, part)
			kernel.PackHeaders(data, headerWords(h[a:b]))
		})
		w.sortPacked(p)
		w.Each(parts, func(part int) {
			data, a, b := p.cut(len(h), parts, part)
			kernel.UnpackHeaders(headerWords(h[a:b]), data)
		})
		return
	}
	w.headers = headerNet{headerWords(h)}
	w.sort(&w.headers, len(h), 4)
	w.headers = headerNet{}
}

// network is what a sort needs of a kind of element. Blocks begin at s; a
// block that is cut short by the end of the array has its absent elements
// there. All arguments are public.
type network interface {
	sort(s, e int)               // sort elements s to e-1, at most kernel.Base
	finish(s, e, h int)          // clean them at distances h, ..., 1
	flip(s, e, h, from, to int)  // mirror exchanges of a block of 2h
	clean(s, e, q, from, to int) // exchanges at distances 2q and q of a block of 4q
}

type wordNet struct{ k []uint64 }

func (n *wordNet) sort(s, e int)               { kernel.SortWords(n.k[s:e]) }
func (n *wordNet) finish(s, e, h int)          { kernel.FinishWords(n.k[s:e], h) }
func (n *wordNet) flip(s, e, h, from, to int)  { kernel.FlipWords(n.k[s:e], h, from, to) }
func (n *wordNet) clean(s, e, q, from, to int) { kernel.CleanWords(n.k[s:e], q, from, to) }

type pairNet struct{ k, v []uint64 }

func (n *pairNet) sort(s, e int)               { kernel.SortPairs(n.k[s:e], n.v[s:e]) }
func (n *pairNet) finish(s, e, h int)          { kernel.FinishPairs(n.k[s:e], n.v[s:e], h) }
func (n *pairNet) flip(s, e, h, from, to int)  { kernel.FlipPairs(n.k[s:e], n.v[s:e], h, from, to) }
func (n *pairNet) clean(s, e, q, from, to int) { kernel.CleanPairs(n.k[s:e], n.v[s:e], q, from, to) }

type headerNet struct{ h [][4]uint64 }

func (n *headerNet) sort(s, e int)               { kernel.SortHeaders(n.h[s:e]) }
func (n *headerNet) finish(s, e, h int)          { kernel.FinishHeaders(n.h[s:e], h) }
func (n *headerNet) flip(s, e, h, from, to int)  { kernel.FlipHeaders(n.h[s:e], h, from, to) }
func (n *headerNet) clean(s, e, q, from, to int) { kernel.CleanHeaders(n.h[s:e], q, from, to) }

// sort sorts n elements of so many words.
func (w *Workers) sort(net network, n, words int) {
	if n < 2 {
		return
	}
	size := 1 << bits.Len(uint(n-1)) // power of two, at least n
	levels := bits.Len(uint(n))
	if w.parts(n*words*levels) == 1 {
		sortBlock(net, 0, size, n)
		return
	}
	// Blocks of one size are sorted by one worker each. Larger ones are merged
	// level by level, with every level cut into parts.
	small := max(size/(4*ceilPower(w.n)), kernel.Base)
	blocks := (n + small - 1) / small
	w.Each(blocks, func(b int) { sortBlock(net, b*small, small, n) })
	for h := small; h < size; h *= 2 {
		w.eachPair(n, 2*h, h, func(s, from, to int) { net.flip(s, min(s+2*h, n), h, from, to) })
		d := h / 2
		for ; d >= small; d /= 4 {
			w.eachPair(n, 2*d, d/2, func(s, from, to int) { net.clean(s, min(s+2*d, n), d/2, from, to) })
		}
		w.Each((n+2*d-1)/(2*d), func(b int) { cleanBlock(net, b*2*d, d, n) })
	}
}

// eachPair cuts the work of all blocks of the size, each with per positions,
// evenly among the workers, at multiples of the lanes of a packed group.
func (w *Workers) eachPair(n, size, per int, f func(s, from, to int)) {
	unit := min(kernel.Lanes, per)
	total := (n + size - 1) / size * per / unit
	parts := min(4*w.n, total)
	w.Each(parts, func(part int) {
		x, end := unit*cut(total, parts, part), unit*cut(total, parts, part+1)
		for x < end {
			b, from := x/per, x%per
			to := min(per, from+end-x)
			f(b*size, from, to)
			x += to - from
		}
	})
}

func ceilPower(n int) int { return 1 << bits.Len(uint(n-1)) }

// sortBlock sorts the block of the size, a power of two, at s, depth first so
// that small blocks are done while they are in the cache.
func sortBlock(net network, s, size, n int) {
	if s >= n {
		return
	}
	if size <= kernel.Base {
		net.sort(s, min(s+size, n))
		return
	}
	h := size / 2
	sortBlock(net, s, h, n)
	sortBlock(net, s+h, h, n)
	if s+h < n {
		net.flip(s, min(s+size, n), h, 0, h)
	}
	cleanBlock(net, s, h/2, n)
	cleanBlock(net, s+h, h/2, n)
}

// cleanBlock cleans the block of 2h at s at distances h, h/2, ..., 1.
func cleanBlock(net network, s, h, n int) {
	if s >= n || h == 0 {
		return
	}
	if 2*h <= kernel.Base {
		net.finish(s, min(s+2*h, n), h)
		return
	}
	q := h / 2
	net.clean(s, min(s+2*h, n), q, 0, q)
	for i := range 4 {
		cleanBlock(net, s+i*q, q/2, n)
	}
}
