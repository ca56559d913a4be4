package cases

import "github.com/teems-go/teems/internal/choice"

// twoWords is a case of a function of two words.
func twoWords(name string, f func(a, b uint64) uint64) Case {
	return Case{Name: name, make: func(b *Builder) func() {
		x, out := b.words(2*8), make([]uint64, 8)
		return func() {
			for i := range out {
				out[i] = f(x[2*i], x[2*i+1])
			}
		}
	}}
}

// Choice is all of package choice.
var Choice = []Case{
	twoWords("choice.FromBit", func(a, _ uint64) uint64 { return uint64(choice.FromBit(a)) }),
	twoWords("choice.Mask.Bit", func(a, _ uint64) uint64 { return mask(a).Bit() }),
	twoWords("choice.Mask.Not", func(a, _ uint64) uint64 { return uint64(mask(a).Not()) }),
	twoWords("choice.Mask.And", func(a, b uint64) uint64 { return uint64(mask(a).And(mask(b))) }),
	twoWords("choice.Mask.Or", func(a, b uint64) uint64 { return uint64(mask(a).Or(mask(b))) }),
	twoWords("choice.Mask.Xor", func(a, b uint64) uint64 { return uint64(mask(a).Xor(mask(b))) }),
	twoWords("choice.NonZero", func(a, _ uint64) uint64 { return uint64(choice.NonZero(a)) }),
	twoWords("choice.Eq", func(a, b uint64) uint64 { return uint64(choice.Eq(a, b)) }),
	twoWords("choice.Less", func(a, b uint64) uint64 { return uint64(choice.Less(a, b)) }),
	twoWords("choice.LessEq", func(a, b uint64) uint64 { return uint64(choice.LessEq(a, b)) }),
	twoWords("choice.Select", func(a, b uint64) uint64 { return choice.Select(mask(a), a, b) }),
	twoWords("choice.Select32", func(a, b uint64) uint64 { return uint64(choice.Select32(mask(a), uint32(a), uint32(b))) }),
	twoWords("choice.Swap", func(a, b uint64) uint64 { choice.Swap(mask(a), &a, &b); return b }),
	{Name: "choice.Lookup32", make: func(b *Builder) func() {
		x, table, out := b.labels(8, 9), b.labels(9, 1<<20), make([]uint32, 8)
		return func() {
			for i := range out {
				out[i] = choice.Lookup32(table, x[i])
			}
		}
	}},
	{Name: "choice.Divider.DivMod", make: func(b *Builder) func() {
		x, out := b.words(8), make([]uint32, 16)
		d := choice.NewDivider(7)
		return func() {
			for i := range x {
				out[2*i], out[2*i+1] = d.DivMod(uint32(x[i]))
			}
		}
	}},
}
