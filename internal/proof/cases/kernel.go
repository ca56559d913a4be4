package cases

import (
	"github.com/teems-go/teems/internal/kernel"
	"github.com/teems-go/teems/internal/oblivious"
)

// rowWidths are widths that take different ways through the bodies.
var rowWidths = []int{8, 16, 32, 64, 72, 272}

// power is the largest power of two up to n, at least 1.
func power(n int) int {
	p := 1
	for 2*p <= n {
		p *= 2
	}
	return p
}

// perWidth runs f on columns of all widths, one after the other.
func (b *Builder) perWidth(n int, f func(c oblivious.Rows)) func() {
	var cols []oblivious.Rows
	for _, width := range rowWidths {
		cols = append(cols, b.rows(n, width))
	}
	return func() {
		for _, c := range cols {
			f(c)
		}
	}
}

// ranks are running counts of secret marks.
func (b *Builder) ranks(n int) (ranks []uint32, count func()) {
	m, ranks := b.marks(n), make([]uint32, n)
	return ranks, func() { kernel.RankMarks(m, ranks, 0) }
}

// block is a case of a kernel on a block of a power of two rows and its ranks.
func block(name string, f func(data []byte, width int, ranks []uint32, offset int)) Case {
	return Case{Name: name, make: func(b *Builder) func() {
		n := min(power(b.N), 64)
		ranks, count := b.ranks(n)
		run := b.perWidth(n, func(c oblivious.Rows) { f(c.Data, c.Width, ranks, 0) })
		narrow := b.labels(n, 1<<30)
		return func() {
			count()
			f(bytesOf(narrow), 4, ranks, 0)
			run()
		}
	}}
}

// quad is a case of a kernel of two levels.
func quad(name string, f func(data []byte, width, lo, count int, c [3]uint64, shift uint)) Case {
	return Case{Name: name, make: func(b *Builder) func() {
		q, c := power(max(1, b.N/4)), b.words(3)
		shift := uint(0)
		for 1<<shift < q {
			shift++
		}
		narrow := b.labels(4*q, 1<<30)
		run := b.perWidth(4*q, func(r oblivious.Rows) { f(r.Data, r.Width, 0, q, [3]uint64(c), shift) })
		return func() {
			f(bytesOf(narrow), 4, 0, q, [3]uint64(c), shift)
			run()
		}
	}}
}

// columns is a case of a kernel of the upper levels of a large block, in columns.
func columns(name string, f func(data []byte, width int, ranks []uint32, offset int, shift uint, from, count int)) Case {
	return Case{Name: name, make: func(b *Builder) func() {
		n := power(max(b.N, 64))
		ranks, count := b.ranks(n)
		run := b.perWidth(n, func(c oblivious.Rows) {
			f(c.Data, c.Width, ranks, 0, 4, 0, 16)
			f(c.Data, c.Width, ranks, 0, 5, 3, 20)
		})
		narrow := b.labels(n, 1<<30)
		return func() {
			count()
			f(bytesOf(narrow), 4, ranks, 0, 4, 0, 16)
			run()
		}
	}}
}

// counters are numbers of counters that fill one vector register after another.
var counters = []int{1, 5, 12, 20, 28, 36, 45, 60, 70, 90, 108, 125, 140}

// Kernel is all of package kernel.
var Kernel = []Case{
	{Name: "kernel.CondSwap", make: func(b *Builder) func() {
		m := b.words(1)
		return b.perWidth(2, func(c oblivious.Rows) { kernel.CondSwap(mask(m[0]), c.Row(0), c.Row(1)) })
	}},
	{Name: "kernel.CondCopy", make: func(b *Builder) func() {
		m := b.words(1)
		return b.perWidth(2, func(c oblivious.Rows) { kernel.CondCopy(mask(m[0]), c.Row(0), c.Row(1)) })
	}},
	{Name: "kernel.SwapRamp", make: func(b *Builder) func() {
		c := b.words(1)
		half := max(1, b.N/2)
		narrow := b.labels(2*half, 1<<30)
		run := b.perWidth(2*half, func(r oblivious.Rows) { kernel.SwapRamp(r.Data, r.Width, 0, half, half, c[0], 3) })
		return func() {
			kernel.SwapRamp(bytesOf(narrow), 4, 0, half, half, c[0], 3)
			run()
		}
	}},
	quad("kernel.CompactQuad", kernel.CompactQuad),
	quad("kernel.ExpandQuad", kernel.ExpandQuad),
	columns("kernel.CompactColumns", kernel.CompactColumns),
	columns("kernel.ExpandColumns", kernel.ExpandColumns),
	block("kernel.CompactBlock", kernel.CompactBlock),
	block("kernel.ExpandBlock", kernel.ExpandBlock),
	{Name: "kernel.RankMarks", make: func(b *Builder) func() {
		m, ranks, start := b.marks(b.N), make([]uint32, b.N), b.labels(1, 9)
		return func() { kernel.RankMarks(m, ranks, start[0]) }
	}},
	{Name: "kernel.RankBelow", make: func(b *Builder) func() {
		l, ranks, start := b.labels(b.N, 9), make([]uint32, b.N), b.labels(1, 9)
		return func() { kernel.RankBelow(l, 4, ranks, start[0]) }
	}},
	{Name: "kernel.Tally", make: func(b *Builder) func() {
		l, counts := b.labels(b.N, 140), make([]uint32, 140)
		return func() {
			for _, n := range counters {
				clear(counts)
				kernel.Tally(l, counts[:n])
			}
		}
	}},
	{Name: "kernel.RankLabels", make: func(b *Builder) func() {
		l, next, ranks := b.labels(b.N, 140), b.labels(140, 99), make([]uint32, b.N)
		return func() {
			for _, n := range counters {
				kernel.RankLabels(l, next[:n], ranks)
			}
		}
	}},
	{Name: "kernel.KeepLabels", make: func(b *Builder) func() {
		l, room, kept := b.labels(b.N, 140), b.labels(140, 9), make([]byte, b.N)
		return func() {
			for _, n := range counters {
				kernel.KeepLabels(l, room[:n], kept)
			}
		}
	}},
	{Name: "kernel.FillLabels", make: func(b *Builder) func() {
		l, kept, upto, first := b.labels(b.N, 9), b.marks(b.N), b.labels(9, 9), b.labels(1, 5)
		return func() { kernel.FillLabels(l, kept, upto, first[0]) }
	}},
	{Name: "kernel.Lookup", make: func(b *Builder) func() {
		index, table, out := b.labels(b.N, 9), b.labels(9, 1<<30), make([]uint32, b.N)
		return func() { kernel.Lookup(table, index, out) }
	}},
	{Name: "kernel.Route", make: func(b *Builder) func() {
		half := max(1, b.N/2)
		e := b.words(2 * half)
		return func() { kernel.Route(e, 0, half, half, uint32(b.N), uint32(half)) }
	}},
	{Name: "kernel.RouteBlock", make: func(b *Builder) func() {
		e := b.words(power(b.N))
		return func() { kernel.RouteBlock(e, uint32(b.N), 3) }
	}},
	{Name: "kernel.SortWords", make: func(b *Builder) func() {
		k := b.words(min(b.N, kernel.Base))
		return func() { kernel.SortWords(k) }
	}},
	{Name: "kernel.FlipWords", make: func(b *Builder) func() {
		k, h := b.words(b.N), power(b.N)
		return func() { kernel.FlipWords(k, h, 0, h) }
	}},
	{Name: "kernel.CleanWords", make: func(b *Builder) func() {
		k, q := b.words(b.N), power(max(1, b.N/4))
		return func() { kernel.CleanWords(k, q, 0, q) }
	}},
	{Name: "kernel.FinishWords", make: func(b *Builder) func() {
		k := b.words(min(b.N, kernel.Base))
		return func() { kernel.FinishWords(k, power(max(1, len(k)/2))) }
	}},
	{Name: "kernel.SortPairs", make: func(b *Builder) func() {
		k, v := b.words(min(b.N, kernel.Base)), b.words(min(b.N, kernel.Base))
		return func() { kernel.SortPairs(k, v) }
	}},
	{Name: "kernel.FlipPairs", make: func(b *Builder) func() {
		k, v, h := b.words(b.N), b.words(b.N), power(b.N)
		return func() { kernel.FlipPairs(k, v, h, 0, h) }
	}},
	{Name: "kernel.CleanPairs", make: func(b *Builder) func() {
		k, v, q := b.words(b.N), b.words(b.N), power(max(1, b.N/4))
		return func() { kernel.CleanPairs(k, v, q, 0, q) }
	}},
	{Name: "kernel.FinishPairs", make: func(b *Builder) func() {
		k, v := b.words(min(b.N, kernel.Base)), b.words(min(b.N, kernel.Base))
		return func() { kernel.FinishPairs(k, v, power(max(1, len(k)/2))) }
	}},
	{Name: "kernel.SortHeaders", make: func(b *Builder) func() {
		h := headerWords(b.headers(min(b.N, kernel.Base)))
		return func() { kernel.SortHeaders(h) }
	}},
	{Name: "kernel.FlipHeaders", make: func(b *Builder) func() {
		hs, h := headerWords(b.headers(b.N)), power(b.N)
		return func() { kernel.FlipHeaders(hs, h, 0, h) }
	}},
	{Name: "kernel.CleanHeaders", make: func(b *Builder) func() {
		hs, q := headerWords(b.headers(b.N)), power(max(1, b.N/4))
		return func() { kernel.CleanHeaders(hs, q, 0, q) }
	}},
	{Name: "kernel.FinishHeaders", make: func(b *Builder) func() {
		hs := headerWords(b.headers(min(b.N, kernel.Base)))
		return func() { kernel.FinishHeaders(hs, power(max(1, len(hs)/2))) }
	}},
}
