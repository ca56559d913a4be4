package choice

import (
	"math/rand/v2"
	"testing"
)

// edges are the values where carries, signs and widths go wrong.
var edges = []uint64{0, 1, 2, 3, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<63 + 1, 1<<64 - 2, 1<<64 - 1}

func asMask(b bool) Mask {
	if b {
		return True
	}
	return False
}

func checkPair(t *testing.T, a, b uint64) {
	t.Helper()
	for _, c := range []struct {
		name      string
		got, want Mask
	}{
		{"Eq", Eq(a, b), asMask(a == b)},
		{"Less", Less(a, b), asMask(a < b)},
		{"LessEq", LessEq(a, b), asMask(a <= b)},
		{"NonZero", NonZero(a), asMask(a != 0)},
		{"FromBit", FromBit(a), asMask(a&1 == 1)},
	} {
		if c.got != c.want {
			t.Errorf("%s(%d, %d) = %x, want %x", c.name, a, b, c.got, c.want)
		}
	}
	for _, m := range []Mask{False, True} {
		wantSel, x, y := b, a, b
		if m == True {
			wantSel, x, y = a, b, a
		}
		if got := Select(m, a, b); got != wantSel {
			t.Errorf("Select(%x, %d, %d) = %d", m, a, b, got)
		}
		if got := Select32(m, uint32(a), uint32(b)); got != uint32(wantSel) {
			t.Errorf("Select32(%x, %d, %d) = %d", m, uint32(a), uint32(b), got)
		}
		p, q := a, b
		if Swap(m, &p, &q); p != x || q != y {
			t.Errorf("Swap(%x, %d, %d) left %d, %d", m, a, b, p, q)
		}
	}
}

func TestPairs(t *testing.T) {
	for _, a := range edges {
		for _, b := range edges {
			checkPair(t, a, b)
		}
	}
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	for range 10000 {
		a, b := r.Uint64(), r.Uint64()
		checkPair(t, a>>(r.Uint32()%64), b>>(r.Uint32()%64))
		checkPair(t, a, a)
	}
}

func TestMaskMethods(t *testing.T) {
	for _, a := range []bool{false, true} {
		m := asMask(a)
		if m.Not() != asMask(!a) || m.Bit() != uint64(m)&1 {
			t.Errorf("Not or Bit of %v", a)
		}
		for _, b := range []bool{false, true} {
			o := asMask(b)
			if m.And(o) != asMask(a && b) || m.Or(o) != asMask(a || b) || m.Xor(o) != asMask(a != b) {
				t.Errorf("And, Or or Xor of %v, %v", a, b)
			}
		}
	}
}

func TestLookup32(t *testing.T) {
	table := []uint32{7, 0, 1<<32 - 1, 5}
	for i, v := range table {
		if got := Lookup32(table, uint32(i)); got != v {
			t.Errorf("Lookup32(%d) = %d, want %d", i, got, v)
		}
	}
	for _, i := range []uint32{4, 5, 1 << 31, 1<<32 - 1} {
		if got := Lookup32(table, i); got != 0 {
			t.Errorf("Lookup32(%d) = %d, out of range", i, got)
		}
	}
	if got := Lookup32(nil, 0); got != 0 {
		t.Errorf("Lookup32 of an empty table = %d", got)
	}
}

func checkDivMod(t *testing.T, x, d uint32) {
	t.Helper()
	if q, r := NewDivider(d).DivMod(x); q != x/d || r != x%d {
		t.Errorf("%d / %d = %d remainder %d, want %d remainder %d", x, d, q, r, x/d, x%d)
	}
}

func TestDivider(t *testing.T) {
	var around []uint32
	for k := range 32 {
		p := uint32(1) << k
		around = append(around, p-1, p, p+1, -p, -p-1, -p+1)
	}
	for _, d := range around {
		if d == 0 {
			continue
		}
		for _, x := range around {
			checkDivMod(t, x, d)
		}
		// Around the multiples of d nearest to the top, where rounding is worst.
		top := ^uint32(0) / d * d
		checkDivMod(t, top, d)
		checkDivMod(t, top-1, d)
		checkDivMod(t, ^uint32(0), d)
	}
	const seed = 2
	r := rand.New(rand.NewPCG(seed, 0))
	for range 200000 {
		d := r.Uint32() >> (r.Uint32() % 32)
		checkDivMod(t, r.Uint32(), max(d, 1))
	}
	defer func() {
		if recover() == nil {
			t.Error("NewDivider(0) did not panic")
		}
	}()
	NewDivider(0)
}

func FuzzDivMod(f *testing.F) {
	f.Add(uint32(10), uint32(3))
	f.Fuzz(func(t *testing.T, x, d uint32) { checkDivMod(t, x, max(d, 1)) })
}
