package oblivious

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

var testWidths = []int{8, 16, 24, 32, 64, 256, 272, 1024}

// testWorkers are workers that share even the smallest work. They are not so
// patient: with the race detector looking takes long.
func testWorkers() []*Workers {
	var ws []*Workers
	for _, t := range []int{1, 2, 3, 8} {
		w := NewWorkers(t)
		w.least, w.pool.spinRounds = 1, 1<<10
		ws = append(ws, w)
	}
	return ws
}

// sizesToTry are lengths where cuts, powers of two and blocks go wrong, and
// some random ones.
func sizesToTry(r *rand.Rand) []int {
	ns := []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 129, 255, 256, 257, 511, 513}
	for range 6 {
		ns = append(ns, r.IntN(700))
	}
	return append(ns, 1000+r.IntN(3000), 2048)
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// numbered returns a column whose records hold their number in every word.
func numbered(n, width int) Rows {
	c := MakeRows(n, width)
	for i := range n {
		number(c.Row(i), uint64(i))
	}
	return c
}

func number(row []byte, id uint64) {
	for off := 0; off < len(row); off += 8 {
		binary.NativeEndian.PutUint64(row[off:], id*1000+uint64(off))
	}
}

// ids reads back the numbers and checks that the records are whole.
func ids(t *testing.T, c Rows) []int {
	t.Helper()
	out := make([]int, c.Len())
	for i := range out {
		row := c.Row(i)
		id := binary.NativeEndian.Uint64(row) / 1000
		for off := 0; off < len(row); off += 8 {
			if binary.NativeEndian.Uint64(row[off:]) != id*1000+uint64(off) {
				t.Fatalf("row %d of width %d is torn", i, c.Width)
			}
		}
		out[i] = int(id)
	}
	return out
}

// isPermutation checks that every number from 0 to len(p)-1 occurs.
func isPermutation(t *testing.T, p []int) {
	t.Helper()
	seen := make([]bool, len(p))
	for _, x := range p {
		if x < 0 || x >= len(p) || seen[x] {
			t.Fatalf("not a permutation: %d", x)
		}
		seen[x] = true
	}
}

func randomMarks(r *rand.Rand, n int) []byte {
	m := make([]byte, n)
	bias := 1 + r.IntN(9)
	for i := range m {
		if r.IntN(10) < bias {
			m[i] = 1
		}
	}
	return m
}

// randomSizes cuts n into s sections, some of them empty.
func randomSizes(r *rand.Rand, n, s int) []int {
	sizes := make([]int, s)
	for range n {
		sizes[r.IntN(1+r.IntN(s))]++
	}
	return sizes
}
