package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// TestRosterAgainstMap compares a roster with sets.
func TestRosterAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, limit := range []uint32{0, 1, 7, 8, 9, 63, 64, 65, 1000} {
		r := NewRoster(limit)
		want := [3]map[uint32]bool{1: {}, 2: {}}
		for range 3 * limit {
			role, id, up := uint8(1+rng.IntN(2)), rng.Uint32N(limit+3), rng.IntN(3) > 0
			r.Set(role, id, up)
			if id < limit {
				want[role][id] = up
			}
		}
		var counts [3]int
		for role := uint8(1); role <= 2; role++ {
			for id := range limit + 10 {
				if r.Get(role, id) != want[role][id] {
					t.Fatalf("limit %d, role %d: client %d is %v", limit, role, id, r.Get(role, id))
				}
				if want[role][id] {
					counts[role]++
				}
			}
		}
		if i, s := r.Counts(); i != counts[1] || s != counts[2] {
			t.Errorf("limit %d: counts %d, %d, want %v", limit, i, s, counts)
		}
		b := r.Append(nil)
		if len(b) != r.Bytes() {
			t.Errorf("limit %d: %d bytes, said %d", limit, len(b), r.Bytes())
		}
		var back Roster
		if err := back.Parse(b); err != nil || !bytes.Equal(back.Append(nil), b) {
			t.Errorf("limit %d: %v", limit, err)
		}
		c := back.Clone()
		if limit > 0 {
			before := back.Get(1, 0)
			c.Set(1, 0, !before)
			if back.Get(1, 0) != before {
				t.Error("a clone shares bits")
			}
		}
		for _, bad := range [][]byte{b[:len(b)-1], append(bytes.Clone(b), 0)} {
			if err := new(Roster).Parse(bad); !errors.Is(err, ErrLength) {
				t.Errorf("limit %d, %d bytes: %v", limit, len(bad), err)
			}
		}
		for bit := limit % 8; bit != 0 && bit < 8; bit++ {
			for _, at := range []int{rosterHead + rosterRow(limit) - 1, len(b) - 1} {
				bad := bytes.Clone(b)
				bad[at] |= 1 << bit
				if err := new(Roster).Parse(bad); !errors.Is(err, ErrReserved) {
					t.Errorf("limit %d, bit %d of byte %d: %v", limit, bit, at, err)
				}
			}
		}
	}
	// A limit far above what was sent costs nothing.
	if err := new(Roster).Parse([]byte{0xff, 0xff, 0xff, 0xff}); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
}
