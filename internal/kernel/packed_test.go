package kernel

import (
	"math"
	"slices"
	"testing"
)

// TestPacked checks packing, there and back, and the sort of every block.
func TestPacked(t *testing.T) { onEach(t, checkPacked) }

func checkPacked(t *testing.T) {
	if active == portable {
		if PackedBase(1) != 0 {
			t.Error("plain Go has no packed elements")
		}
		return
	}
	const seed = 8
	r := random(seed)
	for _, n := range []int{0, 1, 3, 4, 7, 8, 9, 31, 33, 127, 128, 129, 1000} {
		room := func(words int) []uint64 {
			base := PackedBase(words)
			return make([]uint64, (n+base-1)/base*base*words)
		}
		keys, values, heads := make([]uint64, n), make([]uint64, n), make([][4]uint64, n)
		for i := range n {
			keys[i], values[i] = r.Uint64N(5)<<62|r.Uint64N(3), r.Uint64()
			heads[i] = [4]uint64{r.Uint64N(3) << 62, r.Uint64N(3), keys[i], values[i]}
		}
		k, v, h := slices.Clone(keys), slices.Clone(values), slices.Clone(heads)
		words := make([]uint64, n)
		for i := range words {
			words[i] = values[i] % WordLimit
		}
		one, two, four := room(1), room(2), room(4)
		PackWords(one, words)
		PackPairs(two, keys, values)
		PackHeaders(four, heads)
		clear(k)
		UnpackWords(k, slices.Clone(one))
		if !slices.Equal(k, words) {
			t.Errorf("n %d: words", n)
		}
		if copy(one, words) == len(one) { // in the same place
			PackWords(one, one)
			UnpackWords(one, one)
			if !slices.Equal(one, words) {
				t.Errorf("n %d: words in place", n)
			}
		}
		UnpackPairs(k, v, slices.Clone(two))
		UnpackHeaders(h, slices.Clone(four))
		if !slices.Equal(k, keys) || !slices.Equal(v, values) || !slices.Equal(h, heads) {
			t.Errorf("n %d: pairs or headers", n)
		}
		SortPacked(four, 4)
		UnpackHeaders(h, four)
		for i := 0; i < n; i += PackedBase(4) {
			e := min(i+PackedBase(4), n)
			slices.SortFunc(heads[i:e], func(a, b [4]uint64) int { return slices.Compare(a[:], b[:]) })
		}
		if !slices.Equal(h, heads) {
			t.Errorf("seed %d n %d: blocks are not sorted", seed, n)
		}
	}
	mustPanic(t, "no whole block", func() { SortPacked(make([]uint64, 8), 1) })
	mustPanic(t, "levels", func() { CleanPacked(make([]uint64, 512), 4, 8, 3, 0, 8) })
	mustPanic(t, "positions", func() { FlipPacked(make([]uint64, 128), 1, 64, 1, 1, 64) })
}

// TestDoubles checks that AVX2 sorts nothing but positive normal finite
// doubles, whatever the words, and that they are in the order of the words.
func TestDoubles(t *testing.T) {
	if active < withAVX2 {
		t.Skip("no AVX2")
	}
	defer setImplementation(withAVX2)()
	const seed = 9
	r := random(seed)
	words := []uint64{0, 1, 1<<32 - 1, 1 << 32, 1<<52 - 1, 1 << 52, 1<<62 - 1, 1 << 62, WordLimit - 1<<32, WordLimit - 2, WordLimit - 1}
	good := len(words)
	words = append(words, WordLimit, WordLimit+1, 1<<63-1<<52, 1<<63-1, 1<<63, 1<<63+1, 1<<63+1<<52, 1<<64-1<<52, 1<<64-1<<51, 1<<64-1)
	for range 1000 {
		words = append(words, r.Uint64()>>r.IntN(64))
	}
	base := PackedBase(1)
	doubles := make([]uint64, (len(words)+base-1)/base*base)
	PackWords(doubles, words)
	for i, x := range doubles {
		if f := math.Float64frombits(x); !(f >= 0x1p-1022 && f <= math.MaxFloat64) {
			t.Errorf("seed %d: double %d is %x: %v", seed, i, x, f)
		}
		if i > 0 && i < good && math.Float64frombits(doubles[i-1]) >= math.Float64frombits(x) {
			t.Errorf("%x and %x are not in order", words[i-1], words[i])
		}
		if i >= len(words) && x != math.Float64bits(math.MaxFloat64) {
			t.Errorf("filled up with %x, which is not last", x)
		}
	}
}
