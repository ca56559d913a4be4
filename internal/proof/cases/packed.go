package cases

import "github.com/teems-go/teems/internal/kernel"

// Packed is the sorts on packed elements, with what packs and unpacks them.
// Only some machines' kernels know them; where they do not, packing is all.
var Packed = []Case{
	packed("kernel.PackWords", 1, func(b *Builder, base int) (pack, unpack func(data []uint64)) {
		k := b.words(b.N)
		return func(data []uint64) { kernel.PackWords(data, k) }, func(data []uint64) { copy(k, data) }
	}),
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
					kernel.FlipPacked(data, words, h, 0, h)
					kernel.CleanPacked(data, words, h/2, 1, 0, h/2)
					if d := h / 4; d >= kernel.Lanes {
						kernel.CleanPacked(data, words, d, kernel.PackedLevels(words)-1, 0, d)
					}
				}
				kernel.FinishPacked(data, words)
			}
			unpack(data)
		}
	}}
}
