package kernel

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/teems-go/teems/internal/choice"
)

var widths = []int{4, 8, 16, 24, 32, 40, 64, 72, 120, 128, 136, 256, 272, 1024}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 9)) }

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func mustPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", name)
		}
	}()
	f()
}

func TestCondSwapAndCopy(t *testing.T) { onEach(t, checkCondSwapAndCopy) }

func checkCondSwapAndCopy(t *testing.T) {
	r := random(1)
	for _, width := range append(widths[1:], 0) {
		for misaligned := range 2 {
			a, b := randomBytes(r, width+1)[misaligned:][:width], randomBytes(r, width+1)[misaligned:][:width]
			wantA, wantB := slices.Clone(a), slices.Clone(b)
			if CondSwap(choice.False, a, b); !bytes.Equal(a, wantA) || !bytes.Equal(b, wantB) {
				t.Errorf("width %d: swapped under False", width)
			}
			if CondSwap(choice.True, a, b); !bytes.Equal(a, wantB) || !bytes.Equal(b, wantA) {
				t.Errorf("width %d: not swapped under True", width)
			}
			if CondCopy(choice.False, a, b); !bytes.Equal(a, wantB) {
				t.Errorf("width %d: copied under False", width)
			}
			if CondCopy(choice.True, a, b); !bytes.Equal(a, wantA) || !bytes.Equal(b, wantA) {
				t.Errorf("width %d: not copied under True", width)
			}
		}
	}
	mustPanic(t, "lengths", func() { CondSwap(choice.True, make([]byte, 8), make([]byte, 16)) })
	mustPanic(t, "width", func() { CondCopy(choice.True, make([]byte, 9), make([]byte, 9)) })
	mustPanic(t, "rows", func() { SwapRamp(make([]byte, 64), 8, 0, 5, 4, 0, 1) })
	mustPanic(t, "quad", func() { CompactQuad(make([]byte, 56), 8, 0, 2, [3]uint64{}, 1) })
	mustPanic(t, "block", func() { CompactBlock(make([]byte, 24), 8, make([]uint32, 3), 0) })
}

// referenceLevel does one level of compaction on a block of 2h rows as the paper states
// it: block rotated by z, with m marks in its first half.
func referenceLevel(data []byte, width, s, h, z, m int) {
	flip := ((z%h)+m >= h) != (z >= h)
	for i := range h {
		if flip != (i >= (z+m)%h) {
			a, b := data[(s+i)*width:][:width], data[(s+h+i)*width:][:width]
			for k := range a {
				a[k], b[k] = b[k], a[k]
			}
		}
	}
}

// reference is OROffCompact of the paper.
func reference(data []byte, width int, marks []byte, s, n, z int) {
	if n < 2 {
		return
	}
	m := 0
	for _, x := range marks[s : s+n/2] {
		m += int(x)
	}
	reference(data, width, marks, s, n/2, z%(n/2))
	reference(data, width, marks, s+n/2, n/2, (z+m)%(n/2))
	referenceLevel(data, width, s, n/2, z, m)
}

func TestBlocksAgainstThePaper(t *testing.T) { onEach(t, checkBlocksAgainstThePaper) }

func checkBlocksAgainstThePaper(t *testing.T) {
	const seed = 2
	r := random(seed)
	for _, width := range widths {
		for n := 1; n <= 128; n *= 2 {
			marks, ranks := make([]byte, n), make([]uint32, n)
			for i := range marks {
				marks[i] = byte(r.IntN(2))
			}
			z := r.IntN(n)
			RankMarks(marks, ranks, uint32(z)) // ranks from z on rotate by z
			original := randomBytes(r, n*width)
			want := slices.Clone(original)
			reference(want, width, marks, 0, n, z)
			got := slices.Clone(original)
			if CompactBlock(got, width, ranks, 0); !bytes.Equal(got, want) {
				t.Fatalf("seed %d width %d n %d z %d: CompactBlock", seed, width, n, z)
			}
			if ExpandBlock(got, width, ranks, 0); !bytes.Equal(got, original) {
				t.Fatalf("seed %d width %d n %d z %d: ExpandBlock does not undo it", seed, width, n, z)
			}
			if n < 4 {
				continue
			}
			// The last two levels by quads, cut at a random place.
			q := n / 4
			shift := uint(bits.TrailingZeros(uint(q)))
			for i := range 4 {
				CompactBlock(got[i*q*width:(i+1)*q*width], width, ranks[i*q:(i+1)*q], 0)
			}
			c := ramps(ranks, 0, q, 0)
			cut := r.IntN(q + 1)
			later := [3]uint64{c[0] - uint64(cut), c[1] - uint64(cut), c[2] - uint64(cut)}
			CompactQuad(got, width, cut, q-cut, later, shift)
			CompactQuad(got, width, 0, cut, c, shift)
			if !bytes.Equal(got, want) {
				t.Fatalf("seed %d width %d n %d z %d: CompactQuad", seed, width, n, z)
			}
			ExpandQuad(got, width, 0, cut, c, shift)
			ExpandQuad(got, width, cut, q-cut, later, shift)
			for i := range 4 {
				ExpandBlock(got[i*q*width:(i+1)*q*width], width, ranks[i*q:(i+1)*q], 0)
			}
			if !bytes.Equal(got, original) {
				t.Fatalf("seed %d width %d n %d z %d: ExpandQuad", seed, width, n, z)
			}
		}
	}
}

func TestSortBlocks(t *testing.T) { onEach(t, checkSortBlocks) }

func checkSortBlocks(t *testing.T) {
	r := random(3)
	for n := range Base + 1 {
		keys, values, heads := make([]uint64, n), make([]uint64, n), make([][4]uint64, n)
		for i := range n {
			keys[i], values[i] = r.Uint64()>>(r.IntN(2)*60), r.Uint64()
			heads[i] = [4]uint64{keys[i] % 3, keys[i] % 5, keys[i], values[i]}
		}
		words := slices.Clone(keys)
		SortWords(words)
		SortPairs(keys, values)
		SortHeaders(heads)
		if !slices.IsSorted(words) || !slices.Equal(words, keys) {
			t.Errorf("n=%d: words %v, keys %v", n, words, keys)
		}
		if !slices.IsSortedFunc(heads, func(a, b [4]uint64) int { return slices.Compare(a[:], b[:]) }) {
			t.Errorf("n=%d: headers", n)
		}
	}
	mustPanic(t, "Base", func() { SortWords(make([]uint64, Base+1)) })
}

// TestSort8 is the zero-one principle on the network of 19 exchanges, and on
// cleaning of bitonic words.
func TestSort8(t *testing.T) {
	for pattern := range 256 {
		var k [8]uint64
		for i := range k {
			k[i] = uint64(pattern >> i & 1)
		}
		if sort8(&k); !slices.IsSorted(k[:]) {
			t.Errorf("%08b: %v", pattern, k)
		}
	}
	for ones := range 9 {
		for at := range 8 {
			var k [8]uint64
			for i := range ones {
				k[(at+i)%8] = 1
			}
			if clean8(&k); !slices.IsSorted(k[:]) {
				t.Errorf("%d ones from %d: %v", ones, at, k)
			}
		}
	}
}
