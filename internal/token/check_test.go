package token_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/reference"
	"github.com/teems-go/teems/internal/token"
)

// put writes a real cell with grant g as in docs/protocol.md 1.2.
func put(b []byte, priority uint32, g reference.Grant) {
	le := binary.LittleEndian
	b[0] = 1
	le.PutUint16(b[2:], g.Slot)
	le.PutUint32(b[4:], g.Recipient)
	le.PutUint32(b[8:], priority)
	le.PutUint32(b[12:], g.Ceiling)
	le.PutUint64(b[16:], g.E1)
	le.PutUint64(b[24:], g.E2)
	le.PutUint32(b[32:], g.Era)
	le.PutUint32(b[36:], g.Generation)
	copy(b[40:], g.MAC[:])
}

// view lays out one submission of the grants, cells of HeadBytes.
func view(sender uint32, grants ...reference.Grant) token.Cells {
	c := token.Cells{Data: make([]byte, len(grants)*cell.MessageHeader), Cell: cell.MessageHeader,
		PerSender: len(grants), Senders: []uint32{sender}}
	for i, g := range grants {
		put(c.Data[i*cell.MessageHeader:], 100, g)
	}
	return c
}

func tokensOf(n int) token.Tokens {
	return token.Tokens{Real: make([]byte, n), Status: make([]byte, n), Recipient: make([]uint32, n), Slot: make([]uint32, n)}
}

func passesOf(n int) token.Passes {
	return token.Passes{Real: make([]byte, n), Status: make([]byte, n), Recipient: make([]uint32, n),
		Class: make([]byte, n), Priority: make([]uint32, n)}
}

var (
	rules   = token.Rules{Passes: true, Slots: 2, Lmax: 16, Hmax: 32}
	shards  = []uint32{3, 3} // clients 0 to 5
	workers = oblivious.NewWorkers(1)
)

func directory(t testing.TB) *token.Directory {
	t.Helper()
	d, err := token.NewDirectory(shards, []uint32{7, 8})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sealed returns g with its MAC, after the change.
func sealed(m mac, g reference.Grant, change func(*reference.Grant)) reference.Grant {
	change(&g)
	g.MAC = m.tag(g)
	return g
}

func TestTokenStatuses(t *testing.T) {
	m := mac{1}
	base := reference.Grant{Kind: cell.KindToken, Sender: 1, Recipient: 2, Slot: 1, Era: 3, Generation: 7, E1: 10, E2: 20}
	keep := func(*reference.Grant) {}
	good := sealed(m, base, keep)
	for _, c := range []struct {
		name string
		g    reference.Grant
		want byte
	}{
		{"good", good, cell.StatusTaken},
		{"last epoch", sealed(m, base, func(g *reference.Grant) { g.E2 = 13 }), cell.StatusTaken},
		{"first epoch", sealed(m, base, func(g *reference.Grant) { g.E1 = 12 }), cell.StatusTaken},
		{"expired", sealed(m, base, func(g *reference.Grant) { g.E2 = 12 }), cell.StatusWindow},
		{"too early", sealed(m, base, func(g *reference.Grant) { g.E1 = 13 }), cell.StatusWindow},
		{"foreign", sealed(m, base, func(g *reference.Grant) { g.Sender = 4 }), cell.StatusBadToken},
		{"old era", sealed(m, base, func(g *reference.Grant) { g.Era = 2 }), cell.StatusBadToken},
		{"old generation", sealed(m, base, func(g *reference.Grant) { g.Generation = 6 }), cell.StatusBadToken},
		{"a pass", sealed(m, base, func(g *reference.Grant) { g.Kind = cell.KindPass }), cell.StatusBadToken},
		{"another cluster", sealed(mac{2}, base, keep), cell.StatusBadToken},
		{"slot out of range", sealed(m, base, func(g *reference.Grant) { g.Slot = 2 }), cell.StatusBadToken},
		{"no recipient", sealed(m, base, func(g *reference.Grant) { g.Recipient = 6 }), cell.StatusNoRecipient},
		{"recipient 2^32-1", sealed(m, base, func(g *reference.Grant) { g.Recipient = 1<<32 - 1 }), cell.StatusNoRecipient},
	} {
		in, out := view(1, c.g), tokensOf(1)
		checker := token.NewChecker(rules, []token.Key{{Era: 3, MAC: m}}, workers)
		if err := checker.Tokens(12, directory(t), in, out); err != nil {
			t.Fatal(err)
		}
		if out.Status[0] != c.want || (out.Real[0] == 1) != (c.want == cell.StatusTaken) {
			t.Errorf("%s: status %d, real %d, want status %d", c.name, out.Status[0], out.Real[0], c.want)
		}
	}
	// Every bit of what is covered counts.
	for bit := range cell.MessageHeader * 8 {
		in, out := view(1, good), tokensOf(1)
		in.Data[bit/8] ^= 1 << (bit % 8)
		checker := token.NewChecker(rules, []token.Key{{Era: 3, MAC: m}}, workers)
		if err := checker.Tokens(12, directory(t), in, out); err != nil {
			t.Fatal(err)
		}
		offset := bit / 8
		covered := offset != 1 && (offset < 8 || offset >= 16) && offset < 56
		if covered != (out.Real[0] == 0) {
			t.Errorf("bit %d flipped: real %d, status %d", bit, out.Real[0], out.Status[0])
		}
	}
}

func TestRepeatedUse(t *testing.T) {
	m := mac{1}
	base := reference.Grant{Kind: cell.KindToken, Sender: 1, Recipient: 2, Era: 3, Generation: 7, E1: 10, E2: 20}
	a := sealed(m, base, func(g *reference.Grant) {})
	other := sealed(m, base, func(g *reference.Grant) { g.Slot = 1 })
	expired := sealed(m, base, func(g *reference.Grant) { g.E2 = 11 })
	overlapping := sealed(m, base, func(g *reference.Grant) { g.E1 = 11 })
	checker := token.NewChecker(rules, []token.Key{{Era: 2, MAC: mac{9}}, {Era: 3, MAC: m}}, workers)
	// A cell that fails a check does not stand in the way of a later one.
	in, out := view(1, expired, a, other, a, overlapping, expired), tokensOf(6)
	if err := checker.Tokens(12, directory(t), in, out); err != nil {
		t.Fatal(err)
	}
	want := []byte{cell.StatusWindow, cell.StatusTaken, cell.StatusTaken,
		cell.StatusRepeated, cell.StatusRepeated, cell.StatusWindow}
	if string(out.Status) != string(want) {
		t.Errorf("statuses %v, want %v", out.Status, want)
	}
}

func TestPassClasses(t *testing.T) {
	m := mac{1}
	base := reference.Grant{Kind: cell.KindPass, Sender: 1, Recipient: 2, Ceiling: 50, Era: 3, Generation: 7, E1: 10, E2: 20}
	pass := sealed(m, base, func(g *reference.Grant) {})
	high := sealed(m, base, func(g *reference.Grant) { g.Ceiling = 1000 })
	none := base
	expired := sealed(m, base, func(g *reference.Grant) { g.E2 = 12 })
	isToken := sealed(m, base, func(g *reference.Grant) { g.Kind, g.Ceiling = cell.KindToken, 0 })
	toOther := none
	toOther.Recipient = 3
	in, out := view(1, pass, high, none, expired, isToken, toOther, pass), passesOf(7)
	checker := token.NewChecker(rules, []token.Key{{Era: 3, MAC: m}}, workers)
	if err := checker.Passes(12, directory(t), in, out); err != nil {
		t.Fatal(err)
	}
	wantPriority := []uint32{50, 100, 0, 0, 0, 0, 50}
	wantClass := []byte{0, 0, 1, 1, 1, 1, 0}
	wantStatus := []byte{1, 1, 1, 5, 5, 1, 1}
	for i := range wantClass {
		if out.Priority[i] != wantPriority[i] || out.Class[i] != wantClass[i] || out.Status[i] != wantStatus[i] ||
			(out.Real[i] == 1) != (wantStatus[i] == 1) {
			t.Errorf("cell %d: priority %d, class %d, status %d, real %d", i, out.Priority[i], out.Class[i], out.Status[i], out.Real[i])
		}
	}
	open := rules
	open.Passes = false
	if err := token.NewChecker(open, nil, workers).Passes(12, directory(t), in, out); err != nil {
		t.Fatal(err)
	}
	for i := range wantClass {
		if out.Priority[i] != 100 || out.Class[i] != 0 || out.Status[i] != 1 {
			t.Errorf("open, cell %d: priority %d, class %d, status %d", i, out.Priority[i], out.Class[i], out.Status[i])
		}
	}
}

// zeroMAC is a MAC whose tags are all zero.
type zeroMAC struct{}

func (zeroMAC) Tags(_ uint8, _, out []byte) { clear(out) }

// TestNoPass checks that a pass of zeros is none, even if its MAC were zero.
func TestNoPass(t *testing.T) {
	in, out := view(1, reference.Grant{Kind: cell.KindPass, Recipient: 2, Ceiling: 9, Era: 3, Generation: 7, E1: 1, E2: 99}), passesOf(1)
	checker := token.NewChecker(rules, []token.Key{{Era: 3, MAC: zeroMAC{}}}, workers)
	if err := checker.Passes(12, directory(t), in, out); err != nil {
		t.Fatal(err)
	}
	if out.Class[0] != 1 || out.Priority[0] != 0 || out.Real[0] != 1 {
		t.Errorf("class %d, priority %d, real %d", out.Class[0], out.Priority[0], out.Real[0])
	}
}

// TestManyCells crosses the borders of chunks and of workers' parts: a
// submission's verdict does not depend on what else is in the batch, nor on the
// number of workers, nor on what the scratch held before.
func TestManyCells(t *testing.T) {
	m := mac{1}
	for _, per := range []int{1, 3, 64} {
		rng := rand.New(rand.NewPCG(uint64(per), 4))
		var all token.Cells
		var want []byte
		checker := token.NewChecker(rules, []token.Key{{Era: 3, MAC: m}}, workers)
		for s := range uint32(2500 / per) {
			var grants []reference.Grant
			for range per {
				to := rng.Uint32N(8)
				g := sealed(m, reference.Grant{Kind: cell.KindToken, Sender: s - rng.Uint32N(2), Recipient: to,
					Slot: uint16(rng.IntN(3)), Era: 3, Generation: 7 + to%2, E1: 10, E2: 12 + rng.Uint64N(3)}, func(*reference.Grant) {})
				grants = append(grants, g)
			}
			one, out := view(s, grants...), tokensOf(per)
			if err := checker.Tokens(12, directory(t), one, out); err != nil {
				t.Fatal(err)
			}
			want = append(want, out.Status...)
			all.Data = append(all.Data, one.Data...)
			all.Senders = append(all.Senders, s)
		}
		all.Cell, all.Submission, all.PerSender = cell.MessageHeader, per*cell.MessageHeader, per
		dir := directory(t)
		for _, n := range []int{1, 2, 3, 7} {
			checker := token.NewChecker(rules, []token.Key{{Era: 3, MAC: m}}, oblivious.NewWorkers(n))
			out := tokensOf(all.Count())
			for range 2 {
				clear(out.Status)
				if err := checker.Tokens(12, dir, all, out); err != nil {
					t.Fatal(err)
				}
				if string(out.Status) != string(want) {
					t.Errorf("%d a submission, %d workers: the batch's statuses differ from those of single submissions", per, n)
				}
			}
			if n := testing.AllocsPerRun(3, func() { _ = checker.Tokens(12, dir, all, out) }); n > 0 {
				t.Errorf("%d a submission: %v allocations", per, n)
			}
		}
	}
}

func TestCheckSizes(t *testing.T) {
	checker := token.NewChecker(rules, []token.Key{{Era: 3, MAC: mac{}}}, workers)
	in := view(1, reference.Grant{})
	if err := checker.Tokens(1, directory(t), in, tokensOf(2)); !errors.Is(err, token.ErrSize) {
		t.Errorf("output too long: %v", err)
	}
	in.Senders = append(in.Senders, 2)
	in.Submission = cell.MessageHeader
	if err := checker.Passes(1, directory(t), in, passesOf(2)); !errors.Is(err, token.ErrSize) {
		t.Errorf("data too short: %v", err)
	}
	in.Senders, in.Cell = in.Senders[:1], cell.MessageHeader-1
	if err := checker.Passes(1, directory(t), in, passesOf(1)); !errors.Is(err, token.ErrSize) {
		t.Errorf("cells too small: %v", err)
	}
	if err := checker.Passes(1, directory(t), token.Cells{Cell: cell.MessageHeader}, passesOf(0)); err != nil {
		t.Errorf("no cells: %v", err)
	}
}

func TestDirectory(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 5))
		p := reference.Parameters{}
		for range 1 + rng.IntN(20) {
			p.Users = append(p.Users, pick(rng, 0, rng.Uint32N(5), 1<<32-1))
			p.Generations = append(p.Generations, rng.Uint32())
		}
		d, err := token.NewDirectory(p.Users, p.Generations)
		if err != nil {
			t.Fatal(err)
		}
		var clients []uint32
		for range 100 {
			c := pick(rng, rng.Uint32N(100), rng.Uint32(), 1<<32-2)
			clients = append(clients, c)
		}
		exists, generations := make([]uint32, len(clients)), make([]uint32, len(clients))
		d.Find(clients, exists, generations)
		for i, c := range clients {
			if want := p.Exists(c); want != (exists[i] == 1<<32-1) || want == (exists[i] == 0) ||
				generations[i] != p.Generation(c) || generations[i] != d.Generation(c) {
				t.Fatalf("seed %d: client %d: %x, %d", seed, c, exists[i], generations[i])
			}
		}
	}
	d, _ := token.NewDirectory([]uint32{1<<32 - 1}, []uint32{1})
	exists := []uint32{1}
	if d.Find([]uint32{1<<32 - 1}, exists, []uint32{0}); exists[0] != 0 {
		t.Error("client 2^32-1 exists")
	}
}

// BenchmarkTokens measures everything but the MACs.
func BenchmarkTokens(b *testing.B) {
	const n = 1 << 16
	in := token.Cells{Data: make([]byte, n*cell.MessageHeader), Cell: cell.MessageHeader,
		Submission: cell.MessageHeader, PerSender: 1, Senders: make([]uint32, n)}
	out, dir := tokensOf(n), directory(b)
	checker := token.NewChecker(rules, []token.Key{{Era: 3, MAC: zeroMAC{}}}, workers)
	for b.Loop() {
		if err := checker.Tokens(12, dir, in, out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/cell")
}
