package idchannel

import (
	"math/rand/v2"
	"testing"

	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/oblivious"
)

// TestRankings scans sorted headers part by part, with groups of one recipient
// and class across the borders of parts, and compares with counting.
func TestRankings(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 9))
		k := Classes{Contact: 1 + rng.Uint32N(3), Stranger: rng.Uint32N(65)}
		const n = 3*partRows + 5
		h, rank := make([]oblivious.Header, 0, n), make([]uint64, 0, n)
		for group := uint64(0); len(h) < n; group += 1 + rng.Uint64N(2) {
			for i := range 1 + rng.IntN([]int{1, 9, 200}[rng.IntN(3)]) {
				h, rank = append(h, oblivious.Header{group << 31, rng.Uint64()}), append(rank, uint64(i))
			}
		}
		for i := n - 100; i < n; i++ {
			h[i] = oblivious.Header{ones, ones, ones}
		}
		h = h[:n]
		before := rankings(nil, h, k)
		kept := 0
		for p := range parts(n) {
			state := before[p]
			from, to := part(n, p)
			for i := from; i < to; i++ {
				want := choice.False
				if room := []uint32{k.Contact, k.Stranger}[h[i][0]>>31&1]; i < n-100 && rank[i] < uint64(room) {
					want = choice.True
					kept++
				}
				got := state.next(h[i])
				if keeps := k.keeps(h[i], got); keeps != want || want == choice.True && got != rank[i] {
					t.Fatalf("seed %d, header %d: rank %d, kept %v; want rank %d, kept %v", seed, i, got, keeps, rank[i], want)
				}
			}
		}
		if kept < n/20 {
			t.Fatalf("seed %d: only %d of %d kept: the test has lost its point", seed, kept, n)
		}
	}
}
