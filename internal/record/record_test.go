package record

import "testing"

// counted is memory that knows how much is in use.
type counted struct {
	used map[*byte]int
}

func (c *counted) Get(n int) []byte {
	b := Heap{}.Get(n)
	for i := range b {
		b[i] = 0xa5
	}
	c.used[&b[0]] = n
	return b
}

func (c *counted) Put(b []byte) { delete(c.used, &b[:1][0]) }

type pair struct {
	a uint64
	b uint32
}

// TestMake: arrays are zero and as long as asked for, use memory again where it
// is large enough, and give it back.
func TestMake(t *testing.T) {
	m := &counted{map[*byte]int{}}
	s := Make[pair](m, 100)
	if len(s) != 100 || cap(s) < 100 {
		t.Fatalf("length %d, capacity %d", len(s), cap(s))
	}
	for i := range s {
		if s[i] != (pair{}) {
			t.Fatalf("element %d is not zero", i)
		}
		s[i] = pair{uint64(i), uint32(i)}
	}
	if again := Remake(m, s, 50); len(again) != 50 || &again[0] != &s[0] || len(m.used) != 1 {
		t.Error("memory that is large enough was not used again")
	}
	more := Remake(m, s[:50], 5000)
	if len(more) != 5000 || len(m.used) != 1 {
		t.Errorf("%d arrays are in use after one was replaced", len(m.used))
	}
	Drop(m, more[:0])
	if len(m.used) != 0 {
		t.Error("an array was not given back")
	}
	Drop[pair](m, nil)
	if none := Make[uint64](m, 0); len(none) != 0 {
		t.Errorf("an empty array has %d elements", len(none))
	}
	if fresh := Remake[uint64](m, nil, 3); len(fresh) != 3 {
		t.Errorf("an array made from none has %d elements, want 3", len(fresh))
	}
}

// TestReceiver: rows are placed once, whatever comes again or does not fit, and
// a receiver that is reset forgets.
func TestReceiver(t *testing.T) {
	var r Receiver
	for range 2 {
		r.Reset(2, func(l int) (at, rows int) { return 10 * l, 4 })
		for _, c := range []struct {
			from        int
			first, rows uint32
			at          int
			fresh, ok   bool
		}{
			{0, 0, 2, 0, true, true}, {0, 0, 2, 0, false, true}, {1, 2, 2, 12, true, true},
			{1, 3, 2, 0, false, false}, {2, 0, 1, 0, false, false}, {-1, 0, 1, 0, false, false},
			{0, 0, 0, 0, false, false}, {0, 1<<32 - 1, 2, 0, false, false},
		} {
			if at, fresh, ok := r.Take(c.from, c.first, c.rows); at != c.at || fresh != c.fresh || ok != c.ok {
				t.Errorf("rows %d of link %d from %d: %d %v %v", c.rows, c.from, c.first, at, fresh, ok)
			}
		}
		if r.Complete() {
			t.Error("complete with rows missing")
		}
		r.Take(0, 2, 2)
		r.Take(1, 0, 2)
		if !r.Complete() {
			t.Error("not complete with all rows there")
		}
	}
}

// No elements are an array like any other: it is given back, and made again.
func TestMakeNone(t *testing.T) {
	type element struct{ words [16]uint64 }
	none := Make[element](Heap{}, 0)
	if len(none) != 0 {
		t.Fatal(len(none))
	}
	if some := Remake(Heap{}, none, 3); len(some) != 3 || some[2].words[15] != 0 {
		t.Error(some)
	}
}
