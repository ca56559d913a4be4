package commit

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestGolden(t *testing.T) {
	f := Facts{Cluster: [32]byte{1}, Manifest: [32]byte{2}, Era: 3, Epoch: 4, Attempt: 5, Previous: EpochHead{6},
		Roster: RosterHash([]byte("roster")), Users: []int{7, 8}, Boots: [][16]byte{{9}, {10}}}
	a := f.ID()
	g := Genesis([32]byte{1}, [32]byte{2})
	n := Next(g, a, []Tag{{1}, {2}})
	for _, c := range []struct {
		name string
		got  [32]byte
		want string
	}{
		{"roster", f.Roster, "57a50391b7b5a3c77cb68392fb55421dcc90d2512277f462ba5ab06e5cda7962"},
		{"attempt", a, "e0f5e029c0b1bb149da3006f2ad62e70fd4f1c44bfb2ffba0c871d7351895b02"},
		{"genesis", g, "c5be03b485e9a213b504a6301773632b62dac7aac0171930d3113534a4af48a8"},
		{"head", n, "9483a555f438edbb4ed7437ebd894d760faae169bc74f6815e9f7ca70b857775"},
	} {
		if got := hex.EncodeToString(c.got[:]); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// TestIDCovers: every fact counts, and lists cannot run into each other.
func TestIDCovers(t *testing.T) {
	seen := map[ID]int{}
	for i, f := range []Facts{{}, {Cluster: [32]byte{1}}, {Manifest: [32]byte{1}}, {Era: 1}, {Epoch: 1}, {Attempt: 1},
		{Previous: EpochHead{1}}, {Roster: [32]byte{1}}, {Users: []int{0}}, {Users: []int{0, 0}}, {Boots: [][16]byte{{}}},
		{Users: []int{1}}, {Boots: [][16]byte{{1}}}} {
		if j, ok := seen[f.ID()]; ok {
			t.Errorf("facts %d and %d have one ID", i, j)
		}
		seen[f.ID()] = i
	}
}

func FuzzRecords(f *testing.F) {
	o := outcome{epoch: 1, attempt: 2, a: ID{3}, prev: EpochHead{4}, tags: []Tag{{5}, {6}}}
	f.Add(o.encode())
	f.Add(encodeAttempts(7, []uint16{1, 5}))
	f.Add(append(encodePrepared(7, prepared{vote: vote{1, ID{2}, Tag{3}}}, 2), 8, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, ok := decodeOutcome(b); ok && !bytes.Equal(o.encode(), b) {
			t.Error("outcome is not canonical")
		}
		if e, attempts, ok := decodeAttempts(b); ok && !bytes.Equal(encodeAttempts(e, attempts), b) {
			t.Error("attempts are not canonical")
		}
		if e, p, state, ok := decodePrepared(b); ok &&
			!bytes.Equal(append(encodePrepared(e, p, uint64(len(state))), state...), b) {
			t.Error("prepared is not canonical")
		}
	})
}

// TestCorruptStores: a record that is cut, longer or of another version is never
// taken for its absence.
func TestCorruptStores(t *testing.T) {
	s := newStore()
	m := finished(t, s)
	mustPrepare(t, m, 1)
	mustStep(t, m, 1, committedOf(3, 2, 1))
	if len(s.values) != 4 {
		t.Fatalf("store has %d records", len(s.values))
	}
	for name, v := range s.values {
		for _, bad := range []string{"", v[:len(v)-1], v + "x", "\x02" + v[1:], v[:2] + "\x09" + v[3:]} {
			c := s.copy()
			c.values[name] = bad
			if _, err := New(0, 3, c, genesis); err == nil {
				t.Errorf("%s: %q was read", name, bad)
			} else {
				want(t, err, ErrCorrupt)
			}
		}
	}
	lost := s.copy()
	delete(lost.values, namePrepared(2, 1))
	_, err := New(0, 3, lost, genesis)
	want(t, err, ErrCorrupt)
	_, err = New(0, 3, s.copy(), EpochHead{9})
	want(t, err, ErrCorrupt)
	_, err = New(0, 4, s.copy(), genesis)
	want(t, err, ErrCorrupt)
}
