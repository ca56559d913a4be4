package cases

import (
	"github.com/teems-go/teems/internal/kernel"
	"github.com/teems-go/teems/internal/oblivious"
)

// Packed is the sorts on packed elements, with what packs and unpacks them.
// Only some machines' kernels know them; where they do not, packing is all.
var Packed = []Case{
	packed("kernel.PackWords", 1, func(b *Builder, base int) (pack, unpack func(data []uint64)) {
		k := b.words(b.N)
		return func(data []uint64) { kernel.PackWords(data, k) }, func(data []uint64) { kernel.UnpackWords(k, data) }
	}, "kernel.UnpackWords"),
	packed("kernel.PackPairs", 2, func(b *Builder, base int) (pack, unpack func(data []uint64)) {
		k, v := b.words(b.N), b.words(b.N)
		return func(data []uint64) { kernel.PackPairs(data, k, v) }, func(data []uint64) { kernel.UnpackPairs(k, v, data) }
	}, "kernel.UnpackPairs"),
	packed("kernel.PackHeaders", 4, func(b *Builder, base int) (pack, unpack func(data []uint64)) {
		h := headerWords(b.headers(b.N))
		return func(data []uint64) {
				if base > 0 || len(h) < kernel.Lanes {
					kernel.PackHeaders(data, h)
				}
			}, func(data []uint64) {
				if base > 0 || len(h) < kernel.Lanes {
					kernel.UnpackHeaders(h, data)
				}
			}
	}, "kernel.UnpackHeaders", "kernel.SortPacked", "kernel.FlipPacked", "kernel.CleanPacked", "kernel.FinishPacked"),
}

// Eights is the sort of eight rows.
var Eights = []Case{{Name: "kernel.Order8", Covers: []string{"kernel.Move8"}, make: func(b *Builder) func() {
	l := b.labels(8, 1<<20)
	move := &kernel.Masks8{}
	run := b.perWidth(8, func(c oblivious.Rows) { kernel.Move8(c.Data, c.Width, move) })
	return func() {
		kernel.Order8(l, move)
		run()
	}
}}}

// packed is a case of elements of so many words.
func packed(name string, words int, fill func(b *Builder, base int) (pack, unpack func(data []uint64)), covers ...string) Case {
	return Case{Name: name, Covers: covers, make: func(b *Builder) func() {
		base := kernel.PackedBase(words)
		block := max(base, kernel.Lanes)
		blocks := power(b.N/block + 1)
		for blocks*block < b.N {
			blocks *= 2
		}
		n := blocks * block
		data := make([]uint64, n*words)
		pack, unpack := fill(b, base)
		return func() {
			pack(data)
			if base > 0 {
				kernel.SortPacked(data, words)
				for h := base; h < n; h *= 2 {
					for l := 1; l <= kernel.PackedLevels(words); l++ {
						kernel.FlipPacked(data, words, h>>(l-1), l, 0, h>>(l-1))
					}
				}
				for l := 1; l <= kernel.PackedLevels(words); l++ {
					if d := n >> l; d >= kernel.Lanes {
						kernel.CleanPacked(data, words, d, l, 0, d)
					}
				}
				kernel.FinishPacked(data, words)
			}
			unpack(data)
		}
	}}
}
