package oblivious

import (
	"math/bits"

	"github.com/teems-go/teems/internal/kernel"
)

// packed is an array of packed elements (see package kernel) to be sorted: the
// same network as for other elements, on whole blocks of the kernels.
type packed struct {
	data  []uint64
	words int // of an element
	base  int // elements of the least block
	n     int // elements, a multiple of base
}

// packWords makes room for words, or takes their own if they are whole blocks,
// since packed words lie as they were.
func (w *Workers) packWords(keys []uint64) (packed, bool) {
	if base := kernel.PackedBase(1); base > 0 && len(keys) > 1 && len(keys)%base == 0 {
		return packed{keys, 1, base, len(keys)}, true
	}
	return w.pack(len(keys), 1)
}

// pack makes room for n elements of so many words, filled up to whole blocks.
// It returns false where there are no kernels for packed elements.
func (w *Workers) pack(n, words int) (packed, bool) {
	base := kernel.PackedBase(words)
	if base == 0 || n < 2 {
		return packed{}, false
	}
	n = (n + base - 1) / base * base
	w.packed = grow(w.packed, n*words)
	return packed{w.packed, words, base, n}, true
}

// partsFor returns into how many parts to cut the packing of p.
func (w *Workers) partsFor(p packed) int { return w.parts(p.n * p.words / 2) }

// cut returns the elements of a part, whole blocks, and which of them, of n that
// were packed, are not there to fill up.
func (p packed) cut(n, parts, part int) (data []uint64, from, to int) {
	blocks := p.n / p.base
	a, b := p.base*cut(blocks, parts, part), p.base*cut(blocks, parts, part+1)
	return p.data[a*p.words : b*p.words], min(a, n), min(b, n)
}

// block returns the block of the size at s, cut off at the end.
func (p *packed) block(s, size int) []uint64 {
	return p.data[s*p.words : min(s+size, p.n)*p.words]
}

// nearWords is the length of a block that stays in the L1 cache.
const nearWords = 1 << 12

// sort sorts the block of the size, a power of two, depth first.
func (p *packed) sort(s, size int) {
	if s >= p.n {
		return
	}
	if size <= p.base || size*p.words <= nearWords {
		p.sortNear(s, size)
		return
	}
	h := size / 2
	p.sort(s, h)
	p.sort(s+h, h)
	if s+h >= p.n { // one run alone, which is in order
		return
	}
	levels := p.levels(size)
	d := size >> levels
	kernel.FlipPacked(p.block(s, size), p.words, d, levels, 0, d)
	p.cleanAll(s, size, d)
}

// sortNear is sort size by size, which takes fewer calls.
func (p *packed) sortNear(s, size int) {
	kernel.SortPacked(p.block(s, size), p.words)
	end := min(s+size, p.n)
	for h := p.base; s+h < end && h < size; h *= 2 {
		levels := p.levels(2 * h)
		d := 2 * h >> levels
		for i := s; i+h < end; i += 2 * h {
			kernel.FlipPacked(p.block(i, 2*h), p.words, d, levels, 0, d)
		}
		for d > p.base {
			levels, block := p.levels(d), d
			d = block >> levels
			for i := s; i < end; i += block {
				kernel.CleanPacked(p.block(i, block), p.words, d, levels, 0, d)
			}
		}
		kernel.FinishPacked(p.block(s, size), p.words)
	}
}

// levels returns how many levels to do next on a block of the size.
func (p *packed) levels(size int) int {
	left := bits.Len(uint(size/p.base)) - 1
	most := kernel.PackedLevels(p.words)
	return left / ((left + most - 1) / most)
}

// clean cleans the block of the size at distances size/2, ..., 1.
func (p *packed) clean(s, size int) {
	if s >= p.n {
		return
	}
	if size <= p.base {
		kernel.FinishPacked(p.block(s, size), p.words)
		return
	}
	levels := p.levels(size)
	d := size >> levels
	kernel.CleanPacked(p.block(s, size), p.words, d, levels, 0, d)
	p.cleanAll(s, size, d)
}

// cleanAll cleans every block of d in that of the size at s.
func (p *packed) cleanAll(s, size, d int) {
	if d == p.base {
		kernel.FinishPacked(p.block(s, size), p.words)
		return
	}
	for i := s; i < s+size; i += d {
		p.clean(i, d)
	}
}

// sortPacked sorts p on all workers, as Workers.sort does.
func (w *Workers) sortPacked(p packed) {
	size := p.base * ceilPower(p.n/p.base)
	if w.parts(p.n*p.words*bits.Len(uint(p.n))/8) == 1 {
		p.sort(0, size)
		return
	}
	w.share(p, size)
}

// share is sortPacked on several workers.
func (w *Workers) share(p packed, size int) {
	small := max(size/(4*ceilPower(w.n)), p.base)
	w.Each((p.n+small-1)/small, func(b int) { p.sort(b*small, small) })
	for h := small; h < size; h *= 2 {
		levels := p.levels(2 * h)
		block := 2 * h >> levels // to be cleaned
		w.eachPair(p.n, 2*h, block, func(s, from, to int) {
			kernel.FlipPacked(p.block(s, 2*h), p.words, block, levels, from, to)
		})
		for block > small {
			levels := p.levels(block)
			d := block >> levels
			w.eachPair(p.n, block, d, func(s, from, to int) {
				kernel.CleanPacked(p.block(s, block), p.words, d, levels, from, to)
			})
			block = d
		}
		w.Each((p.n+block-1)/block, func(b int) { p.clean(b*block, block) })
	}
}
