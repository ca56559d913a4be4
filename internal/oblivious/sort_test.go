package oblivious

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSortZeroOne(t *testing.T) { onEach(t, eachSortZeroOne) }

func eachSortZeroOne(t *testing.T) {
	ws := testWorkers()
	for n := range 11 {
		for pattern := range 1 << n {
			for _, w := range ws[:1+2*(pattern&1)] {
				keys, values := make([]uint64, n), make([]uint64, n)
				heads := make([]Header, n)
				for i := range n {
					keys[i] = uint64(pattern >> i & 1)
					values[i] = keys[i] + 5
					heads[i][i%4] = keys[i]
				}
				wantHeads := slices.Clone(heads)
				slices.SortFunc(wantHeads, func(a, b Header) int { return slices.Compare(a[:], b[:]) })
				words := slices.Clone(keys)
				w.Sort(words)
				w.SortPairs(keys, values)
				w.SortHeaders(heads)
				for i := range n {
					if i > 0 && words[i-1] > words[i] || keys[i] != words[i] || values[i] != keys[i]+5 {
						t.Fatalf("n=%d pattern %b: words %v keys %v values %v", n, pattern, words, keys, values)
					}
				}
				if !slices.Equal(heads, wantHeads) {
					t.Fatalf("n=%d pattern %b: %v", n, pattern, heads)
				}
			}
		}
	}
}

// narrow returns a random word with few distinct values at times, and bits at
// both ends at others.
func narrow(r *rand.Rand) uint64 {
	switch r.IntN(3) {
	case 0:
		return r.Uint64()
	case 1:
		return r.Uint64N(4) << 62
	}
	return r.Uint64N(5)
}

func TestSorts(t *testing.T) { onEach(t, eachSorts) }

func eachSorts(t *testing.T) {
	const seed = 21
	r := random(seed)
	ws := testWorkers()
	for _, n := range sizesToTry(r) {
		keys, values, heads := make([]uint64, n), make([]uint64, n), make([]Header, n)
		type pair struct{ k, v uint64 }
		pairs := make([]pair, n)
		for i := range n {
			keys[i], values[i] = narrow(r), narrow(r)
			pairs[i] = pair{keys[i], values[i]}
			heads[i] = Header{narrow(r) % 3, narrow(r) % 3, narrow(r), narrow(r)}
		}
		words := make([]uint64, n)
		for i, x := range keys {
			words[i] = x % KeyLimit
			if x&2 != 0 {
				words[i] = KeyLimit - 1 - words[i]
			}
		}
		wantWords, wantHeads := slices.Clone(words), slices.Clone(heads)
		slices.Sort(wantWords)
		slices.SortFunc(pairs, func(a, b pair) int { return cmp.Or(cmp.Compare(a.k, b.k), cmp.Compare(a.v, b.v)) })
		slices.SortFunc(wantHeads, func(a, b Header) int { return slices.Compare(a[:], b[:]) })
		for _, w := range ws {
			k := slices.Clone(words)
			w.Sort(k)
			if !slices.Equal(k, wantWords) {
				t.Fatalf("Sort: seed %d n %d workers %d", seed, n, w.n)
			}
			k, v := slices.Clone(keys), slices.Clone(values)
			w.SortPairs(k, v)
			for i, p := range pairs {
				if k[i] != p.k || v[i] != p.v {
					t.Fatalf("SortPairs: seed %d n %d workers %d", seed, n, w.n)
				}
			}
			h := slices.Clone(heads)
			w.SortHeaders(h)
			if !slices.Equal(h, wantHeads) {
				t.Fatalf("SortHeaders: seed %d n %d workers %d", seed, n, w.n)
			}
		}
	}
}

// TestSortBeyondLimit checks that keys that are too great do no harm to others:
// these come out, in front and in order.
func TestSortBeyondLimit(t *testing.T) { onEach(t, eachBeyondLimit) }

func eachBeyondLimit(t *testing.T) {
	const seed = 22
	r := random(seed)
	ws := testWorkers()
	for _, n := range sizesToTry(r) {
		keys, want := make([]uint64, n), []uint64{}
		for i := range keys {
			keys[i] = r.Uint64N(KeyLimit >> 1)
			if r.IntN(3) == 0 {
				keys[i] = KeyLimit + r.Uint64N(1<<64-KeyLimit)>>r.IntN(64)
			} else {
				want = append(want, keys[i])
			}
		}
		slices.Sort(want)
		for _, w := range ws {
			k := slices.Clone(keys)
			w.Sort(k)
			if !slices.Equal(k[:len(want)], want) {
				t.Fatalf("seed %d n %d workers %d", seed, n, w.n)
			}
		}
	}
}
