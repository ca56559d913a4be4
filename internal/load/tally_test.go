package load

import (
	"slices"
	"testing"
)

// world is one epoch's traffic, and what arrives of it.
type world struct {
	t     *tally
	taken [channels][]bool
}

// newWorld makes an epoch in which everything is taken.
func newWorld(n, hot int, limit [channels]int) *world {
	w := &world{t: newTally(7, newPlanner(n, 42, hot, 5, 3), limit)}
	for c := range w.taken {
		w.taken[c] = make([]bool, n)
		for s := range w.taken[c] {
			w.taken[c][s] = limit[c] > 0
		}
	}
	return w
}

func (w *world) results() {
	for s := range w.t.plan.n {
		w.t.result(uint32(s), &outcome{
			accepted: true, head: []byte{1}, taken: [channels]bool{w.taken[0][s], w.taken[1][s]},
		})
	}
}

// survivors are the senders whose messages a recipient must get.
func (w *world) survivors(channel int, recipient uint32) []uint32 {
	var senders []uint32
	for s := range w.t.plan.n {
		if w.taken[channel][s] && w.t.plan.recipient(channel, w.t.epoch, uint32(s)) == recipient {
			senders = append(senders, uint32(s))
		}
	}
	if channel == idChannel {
		priority := w.t.plan.id(w.t.epoch).priority
		slices.SortStableFunc(senders, func(a, b uint32) int { return int(int64(at(priority, int(b))) - int64(at(priority, int(a)))) })
	}
	return senders[:min(len(senders), w.t.limit[channel])]
}

// deliver delivers what must be, through change.
func (w *world) deliver(change func(channel int, recipient uint32, senders []uint32) []uint32) {
	for r := range w.t.plan.n {
		for c := range w.t.flags {
			if w.t.limit[c] == 0 {
				continue
			}
			senders := w.survivors(c, uint32(r))
			if change != nil {
				senders = change(c, uint32(r), senders)
			}
			for _, s := range senders {
				w.t.found(c, uint32(r), s, true)
			}
		}
		w.t.delivered(uint32(r), []byte{1})
	}
}

func (w *world) close(t *testing.T) Account {
	t.Helper()
	if !w.t.complete() {
		t.Fatalf("not complete: %d results and %d deliveries of %d", w.t.results, w.t.deliveries, w.t.plan.n)
	}
	a, problems := w.t.close()
	if good := a.Lost == 0 && a.Unexpected == 0 && a.ReferenceMatch; good != (len(problems) == 0) {
		t.Errorf("account %+v, and problems %q", a, problems)
	}
	return a
}

func TestAccountOfAPermutation(t *testing.T) {
	w := newWorld(50, 0, [channels]int{1, 1})
	w.results()
	w.deliver(nil)
	a := w.close(t)
	if a.Sent != 100 || a.Delivered != 100 || a.Lost != 0 || a.OverLimit != 0 || a.Unexpected != 0 || !a.ReferenceMatch || a.Epochs != 1 {
		t.Errorf("account %+v", a)
	}
}

func TestAccountOfHotRecipients(t *testing.T) {
	w := newWorld(200, 3, [channels]int{2, 0})
	w.deliver(nil)
	w.results() // the order of results and deliveries does not matter
	a := w.close(t)
	if a.Sent != 200 || a.Delivered != 6 || a.OverLimit != 194 || a.Lost != 0 || a.Unexpected != 0 || !a.ReferenceMatch {
		t.Errorf("account %+v", a)
	}
}

func TestAccountFindsWhatIsWrong(t *testing.T) {
	once := func(f func(channel int, recipient uint32, senders []uint32) []uint32) func(int, uint32, []uint32) []uint32 {
		done := false
		return func(c int, r uint32, senders []uint32) []uint32 {
			if done || len(senders) == 0 {
				return senders
			}
			done = true
			return f(c, r, senders)
		}
	}
	for _, test := range []struct {
		name             string
		hot              int
		change           func(w *world) func(int, uint32, []uint32) []uint32
		lost, unexpected int
	}{
		{"one dropped", 0, func(*world) func(int, uint32, []uint32) []uint32 {
			return once(func(_ int, _ uint32, s []uint32) []uint32 { return s[1:] })
		}, 1, 0},
		{"one twice", 0, func(*world) func(int, uint32, []uint32) []uint32 {
			return once(func(_ int, _ uint32, s []uint32) []uint32 { return append(s, s[0]) })
		}, 0, 1},
		{"one altered", 0, func(w *world) func(int, uint32, []uint32) []uint32 {
			return once(func(c int, r uint32, s []uint32) []uint32 { w.t.found(c, r, s[0], false); return s[1:] })
		}, 1, 1},
		{"to another", 0, func(w *world) func(int, uint32, []uint32) []uint32 {
			return once(func(c int, r uint32, s []uint32) []uint32 { w.t.found(c, r^1, s[0], true); return s[1:] })
		}, 1, 1},
		{"from nobody", 0, func(w *world) func(int, uint32, []uint32) []uint32 {
			return once(func(c int, r uint32, s []uint32) []uint32 { w.t.found(c, r, 1<<30, true); return s })
		}, 0, 1},
		{"in no cell", 0, func(w *world) func(int, uint32, []uint32) []uint32 {
			return once(func(_ int, r uint32, s []uint32) []uint32 { w.t.misplaced(r, 9); return s })
		}, 0, 1},
		{"not taken", 0, func(w *world) func(int, uint32, []uint32) []uint32 {
			return once(func(c int, _ uint32, s []uint32) []uint32 { w.taken[c][s[0]] = false; return s })
		}, 0, 1},
		{"the wrong survivor", 2, func(w *world) func(int, uint32, []uint32) []uint32 {
			return once(func(c int, r uint32, s []uint32) []uint32 {
				w.t.limit[c] = w.t.plan.n
				all := w.survivors(c, r)
				w.t.limit[c] = 1
				return all[len(all)-1:]
			})
		}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(40, test.hot, [channels]int{1, 0})
			w.deliver(test.change(w))
			w.results()
			a := w.close(t)
			if a.Lost != test.lost || a.Unexpected != test.unexpected || a.ReferenceMatch {
				t.Errorf("account %+v: want lost %d, unexpected %d, no match", a, test.lost, test.unexpected)
			}
		})
	}
}

func TestAccountOfAVoidEpoch(t *testing.T) {
	w := newWorld(4, 0, [channels]int{1, 1})
	for s := range 4 {
		w.t.result(uint32(s), &outcome{void: true, head: []byte{1}})
		w.t.delivered(uint32(s), []byte{1})
	}
	if a := w.close(t); a.Epochs != 0 || a.Void != 1 || a.Sent != 0 {
		t.Errorf("account %+v", a)
	}
}

func TestHeadsThatDiffer(t *testing.T) {
	w := newWorld(4, 0, [channels]int{1, 1})
	w.results()
	for r := range 4 {
		w.t.delivered(uint32(r), []byte{byte(1 + r/3)})
	}
	if a := w.close(t); a.Unexpected != 1 {
		t.Errorf("account %+v", a)
	}
}

func TestLateSubmissions(t *testing.T) {
	w := newWorld(4, 0, [channels]int{1, 0})
	w.taken[0][2] = false
	for s := range 4 {
		w.t.result(uint32(s), &outcome{accepted: s != 2, head: []byte{1}, taken: [channels]bool{s != 2}})
	}
	w.deliver(nil)
	if a := w.close(t); a.Missed != 1 || a.Sent != 3 || a.Lost != 0 || !a.ReferenceMatch {
		t.Errorf("account %+v", a)
	}
}

func TestPlan(t *testing.T) {
	p, q := newPlanner(100, 3, 0, 5, 4), newPlanner(100, 3, 0, 5, 4)
	sorted := make([]uint32, 100)
	for i := range sorted {
		sorted[i] = uint32(i)
	}
	check := func(to []uint32) {
		t.Helper()
		if s := slices.Sorted(slices.Values(to)); !slices.Equal(s, sorted) {
			t.Errorf("not a permutation: %v", s)
		}
	}
	check(p.id(5).to)
	check(p.token(1).to)
	if !slices.Equal(p.id(6).to, q.id(6).to) || slices.Equal(p.id(6).to, p.id(7).to) {
		t.Error("plans must follow from seed and epoch")
	}
	if p.recipient(tokenChannel, 5, 9) != p.recipient(tokenChannel, 8, 9) || p.begin(p.spanOf(9)) != 9 {
		t.Error("a span of 4 epochs begins in 5 and in 9")
	}
	for s, r := range p.token(2).to {
		if p.token(2).from[r] != uint32(s) {
			t.Error("from is not the inverse of to")
		}
	}
	hot := newPlanner(100, 3, 7, 5, 4)
	if n := len(slices.Compact(slices.Sorted(slices.Values(hot.id(5).to)))); n != 7 {
		t.Errorf("%d recipients, want 7", n)
	}
}

func TestBodiesDiffer(t *testing.T) {
	b, in := newBodies(1), make([]byte, 16)
	seen := map[string]bool{}
	for _, v := range [][4]uint64{{0, 5, 1, 2}, {1, 5, 1, 2}, {0, 6, 1, 2}, {0, 5, 2, 1}, {0, 5, 1, 3}} {
		body := make([]byte, 64)
		b.fill(body, in, int(v[0]), v[1], uint32(v[2]), uint32(v[3]))
		for i := range 4 {
			block := string(body[16*i : 16*i+16])
			if seen[block] {
				t.Errorf("a block of %v was there before", v)
			}
			seen[block] = true
		}
	}
}

func TestAsks(t *testing.T) {
	p := newPlanner(4, 1, 0, 5, 2) // spans [5,7), [7,9), ...
	var a asks
	var end uint64
	for epoch := uint64(1); epoch < 20; epoch++ {
		r, ok := a.due(p, epoch, 20)
		if ok != (epoch%2 == 1 && epoch+Lead <= 20) {
			t.Fatalf("epoch %d: asks: %v", epoch, ok)
		}
		if !ok {
			continue
		}
		if r.e1 != epoch+Lead || r.e1 < end || r.e2 != r.e1+2 {
			t.Errorf("epoch %d: asks for [%d, %d) after one that ends in %d", epoch, r.e1, r.e2, end)
		}
		end = r.e2
		if got, ok := a.answered(epoch); !ok || got != r {
			t.Errorf("epoch %d: the answer is to %+v", epoch, got)
		}
		if _, ok := a.answered(epoch); ok {
			t.Errorf("epoch %d: answered twice", epoch)
		}
	}
	a.again = append(a.again, ask{span: 9, e1: 23, e2: 25})
	if r, ok := a.due(p, 22, 20); !ok || r.e1 != 24 || r.e2 != 25 {
		t.Errorf("asks again for [%d, %d), %v", r.e1, r.e2, ok)
	}
	a.again = append(a.again, ask{span: 9, e1: 23, e2: 25})
	if r, ok := a.due(p, 23, 20); ok {
		t.Errorf("asks for [%d, %d), which is over", r.e1, r.e2)
	}
}
