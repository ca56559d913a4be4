package idchannel_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/idchannel"
	"github.com/teems-go/teems/internal/oblivious"
)

// spy notes which recipients are asked for.
type spy struct {
	prf
	asked []uint32
}

func (p *spy) Routers(a [32]byte, recipients []uint32, out []uint64) {
	p.asked = append(p.asked[:0], recipients...)
	p.prf.Routers(a, recipients, out)
}

func makeRecords(n int) idchannel.Records {
	return idchannel.Records{Recipient: make([]uint32, n), Class: make([]byte, n),
		Priority: make([]uint32, n), Sender: make([]uint32, n),
		Index: make([]uint16, n), Real: make([]byte, n)}
}

// record sets one real record.
func record(in idchannel.Records, i int, recipient uint32, class byte, priority, sender uint32, index uint16) {
	in.Recipient[i], in.Class[i], in.Priority[i] = recipient, class, priority
	in.Sender[i], in.Index[i], in.Real[i] = sender, index, 1
}

// alone decides with one server of each role.
func alone(t testing.TB, k idchannel.Classes, p idchannel.PRF, in idchannel.Records) []uint32 {
	w := oblivious.NewWorkers(1)
	s, d := idchannel.NewSender(w, p), idchannel.NewRanker(w)
	n := len(in.Real)
	if err := s.Prepare(idchannel.Plan{Classes: k, Pattern: []uint32{0}, Links: []int{n}}, 1, [32]byte{}, in); err != nil {
		t.Fatal(err)
	}
	copy(d.Begin(n), s.Section(0))
	copy(s.Ranks(0), d.Rank(k))
	out := make([]uint32, n)
	if err := s.Cells(out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOrder(t *testing.T) {
	const x = idchannel.Dropped
	in := makeRecords(12)
	record(in, 0, 9, idchannel.Stranger, 0, 5, 0)
	record(in, 1, 9, idchannel.Contact, 1<<31, 4, 0)
	record(in, 2, 9, idchannel.Contact, 1<<32-1, 7, 1)
	record(in, 3, 9, idchannel.Contact, 1<<31+1, 8, 0) // differs in the bit that spills into word 1
	record(in, 4, 9, idchannel.Contact, 0, 3, 0)
	record(in, 5, 9, idchannel.Stranger, 0, 4, 0)
	record(in, 6, 0, idchannel.Contact, 0, 1<<32-1, 1<<16-1)
	record(in, 7, 0, idchannel.Contact, 0, 1<<32-1, 1<<16-2)
	record(in, 8, 1<<32-1, idchannel.Contact, 1<<32-1, 1, 0) // does not exist
	record(in, 9, 1<<32-2, idchannel.Contact, 0, 1, 1)
	record(in, 10, 9, idchannel.Contact, 1<<32-1, 1, 0)
	in.Real[10] = 0
	record(in, 11, 9, idchannel.Stranger, 0, 6, 0)
	got := alone(t, idchannel.Classes{Contact: 3, Stranger: 2}, prf{constant: true}, in)
	want := []uint32{4, 2, 0, 1, x, 3, 1, 0, x, 0, x, x}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("record %d: cell %d, want %d", i, got[i], want[i])
		}
	}
}

func TestNothingHashedButSurvivors(t *testing.T) {
	const n = 100
	in := makeRecords(n)
	for i := range n {
		record(in, i, 3, idchannel.Contact, uint32(i), uint32(i), 0)
		in.Real[i] = byte(i % 2)
	}
	p := &spy{}
	alone(t, idchannel.Classes{Contact: 4}, p, in)
	asked := 0
	for _, c := range p.asked {
		if c != 1<<32-1 {
			asked++
		}
	}
	if asked != 4 || len(p.asked) != n {
		t.Errorf("asked for %d recipients in %d calls, want 4 in %d", asked, len(p.asked), n)
	}
}

// listed is a PRF whose ties are listed by sender.
type listed struct {
	prf
	ties []uint64
}

func (p listed) Ties(_ uint64, in, out []uint64) {
	for i, x := range in {
		out[i] = p.ties[x>>16]
	}
}

func TestTies(t *testing.T) {
	ties := []uint64{1 << 63, 3, 2, 1<<63 + 1, 1<<64 - 1, 0, 3}
	in := makeRecords(len(ties))
	for i := range ties {
		record(in, i, 5, idchannel.Contact, 8, uint32(i), 0)
	}
	got := alone(t, idchannel.Classes{Contact: 7}, listed{ties: ties}, in)
	for i, want := range []uint32{4, 2, 1, 5, 6, 0, 3} {
		if got[i] != want {
			t.Errorf("record %d: cell %d, want %d", i, got[i], want)
		}
	}
}

// TestDecider looks at the ranks themselves: beyond a class's room, and for a
// dummy, there is none.
func TestDecider(t *testing.T) {
	in := makeRecords(6)
	for i := range 5 {
		record(in, i, 1, byte(i/3), uint32(i), uint32(i), 0)
	}
	s := idchannel.NewSender(oblivious.NewWorkers(1), prf{})
	plan := idchannel.Plan{Classes: idchannel.Classes{Contact: 9, Stranger: 9}, Pattern: []uint32{0}, Links: []int{6}}
	if err := s.Prepare(plan, 1, [32]byte{}, in); err != nil {
		t.Fatal(err)
	}
	d := idchannel.NewRanker(oblivious.NewWorkers(1))
	copy(d.Begin(6), s.Section(0))
	count := map[uint32]int{}
	for b := d.Rank(idchannel.Classes{Contact: 2, Stranger: 1}); len(b) > 0; b = b[idchannel.RankBytes:] {
		count[binary.LittleEndian.Uint32(b)]++
	}
	if len(count) != 3 || count[0] != 2 || count[1] != 1 || count[idchannel.Dropped] != 3 {
		t.Errorf("ranks %v", count)
	}
	out := make([]uint32, 6)
	if err := s.Cells(out); err != nil {
		t.Fatal(err)
	}
	for i, c := range out {
		if c != idchannel.Dropped {
			t.Errorf("record %d has cell %d without an answer", i, c)
		}
	}
}

func TestSizes(t *testing.T) {
	s := idchannel.NewSender(oblivious.NewWorkers(1), prf{})
	for name, plan := range map[string]idchannel.Plan{
		"no pattern":           {Links: []int{1}},
		"pattern out of range": {Pattern: []uint32{1}, Links: []int{1}},
		"negative link":        {Pattern: []uint32{0}, Links: []int{-1}},
	} {
		if err := s.Prepare(plan, 1, [32]byte{}, makeRecords(1)); !errors.Is(err, idchannel.ErrSize) {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := makeRecords(2)
	in.Real = in.Real[:1]
	plan := idchannel.Plan{Pattern: []uint32{0}, Links: []int{0}}
	if err := s.Prepare(plan, 1, [32]byte{}, in); !errors.Is(err, idchannel.ErrSize) {
		t.Errorf("columns of different lengths: %v", err)
	}
	if err := s.Prepare(plan, 1, [32]byte{}, makeRecords(2)); err != nil {
		t.Errorf("link of length 0: %v", err)
	}
	if err := s.Cells(make([]uint32, 1)); !errors.Is(err, idchannel.ErrSize) {
		t.Errorf("short output: %v", err)
	}
	out := []uint32{1, 1}
	if err := s.Cells(out); err != nil || out[0] != idchannel.Dropped || out[1] != idchannel.Dropped {
		t.Errorf("link of length 0: %v, %v", out, err)
	}
	if got := alone(t, idchannel.Classes{Contact: 1}, prf{}, makeRecords(0)); len(got) != 0 {
		t.Errorf("no records: %v", got)
	}
}

// TestHostileRanks checks that answers which no honest router gives yield no
// cell outside the class.
func TestHostileRanks(t *testing.T) {
	const n = 64
	in := makeRecords(n)
	for i := range n {
		record(in, i, uint32(i), byte(i%2), 0, uint32(i), 0)
	}
	s := idchannel.NewSender(oblivious.NewWorkers(1), prf{})
	plan := idchannel.Plan{Classes: idchannel.Classes{Contact: 2, Stranger: 3}, Pattern: []uint32{0}, Links: []int{2 * n}}
	if err := s.Prepare(plan, 1, [32]byte{}, in); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range s.Ranks(0) {
		s.Ranks(0)[i] = byte(rng.IntN(4)) * byte(rng.IntN(2))
	}
	out := make([]uint32, n)
	if err := s.Cells(out); err != nil {
		t.Fatal(err)
	}
	for i, c := range out {
		if in := c < 2; c != idchannel.Dropped && (c >= 5 || in != (i%2 == 0)) {
			t.Errorf("record %d of class %d: cell %d", i, i%2, c)
		}
	}
}

// TestLinksOfGeometry runs a load that fills every mailbox over links of the
// real bound, with weights and many rows, and expects nothing lost.
func TestLinksOfGeometry(t *testing.T) {
	const clients = 24000
	g, err := geometry.New(geometry.Params{Capacity: clients, VirtualShards: 8, CellBytes: 16,
		Servers: []geometry.Server{{Roles: geometry.AllRoles, Weight: 3}, {Roles: geometry.AllRoles, Weight: 1}, {Roles: geometry.Routing, Weight: 4}},
		ID:      geometry.IDChannel{Out: 1, Contact: 1, Open: true}})
	if err != nil {
		t.Fatal(err)
	}
	users := make([]int, 8)
	ingesting := make([]int, len(g.Ingestions()))
	for c := range uint32(clients) {
		users[c%8]++
		ingesting[g.IngestionOf(c)]++
	}
	a, err := g.Attempt(users, ingesting)
	if err != nil {
		t.Fatal(err)
	}
	w := oblivious.NewWorkers(2)
	k := idchannel.Classes{Contact: 1}
	senders := make([]*idchannel.Sender, len(ingesting))
	var ins []idchannel.Records
	for i := range senders {
		in := makeRecords(ingesting[i])
		j := 0
		for c := range uint32(clients) {
			if int(g.IngestionOf(c)) == i {
				record(in, j, clients-1-c, idchannel.Contact, 0, c, 0)
				j++
			}
		}
		ins = append(ins, in)
		senders[i] = idchannel.NewSender(w, prf{key: 9})
		plan := idchannel.Plan{Classes: k, Pattern: g.Pattern(), Links: a.HeaderLinks(i)}
		if err := senders[i].Prepare(plan, 1, [32]byte{1}, in); err != nil {
			t.Fatal(err)
		}
	}
	d := idchannel.NewRanker(w)
	for r := range g.Routers() {
		rows := d.Begin(a.RouterHeaders(r))
		for _, s := range senders {
			rows = rows[copy(rows, s.Section(r)):]
		}
		ranks := d.Rank(k)
		for _, s := range senders {
			ranks = ranks[copy(s.Ranks(r), ranks):]
		}
		if len(rows)+len(ranks) != 0 {
			t.Fatalf("router %d: %d bytes of rows and %d of ranks are left", r, len(rows), len(ranks))
		}
	}
	for i, s := range senders {
		out := make([]uint32, len(ins[i].Real))
		if err := s.Cells(out); err != nil {
			t.Fatal(err)
		}
		for j, c := range out {
			if c != 0 {
				t.Fatalf("server %d, record %d: cell %d", i, j, c)
			}
		}
	}
}

func TestSteadyAllocations(t *testing.T) {
	const n = 1000
	in := makeRecords(n)
	for i := range n {
		record(in, i, uint32(i%300), 0, uint32(i), uint32(i), 0)
	}
	w := oblivious.NewWorkers(1)
	s, d := idchannel.NewSender(w, prf{}), idchannel.NewRanker(w)
	plan := idchannel.Plan{Classes: idchannel.Classes{Contact: 2}, Pattern: []uint32{0, 1}, Links: []int{600, 600}}
	out := make([]uint32, n)
	allocs := testing.AllocsPerRun(5, func() {
		if err := s.Prepare(plan, 1, [32]byte{}, in); err != nil {
			t.Fatal(err)
		}
		for r := range 2 {
			copy(d.Begin(600), s.Section(r))
			copy(s.Ranks(r), d.Rank(plan.Classes))
		}
		if err := s.Cells(out); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations in a steady epoch", allocs)
	}
}

func BenchmarkEpoch(b *testing.B) {
	const n = 1 << 18
	in := makeRecords(n)
	for i := range n {
		record(in, i, rand.Uint32N(n), 0, rand.Uint32(), uint32(i), 0)
	}
	w := oblivious.NewWorkers(1)
	s, d := idchannel.NewSender(w, prf{}), idchannel.NewRanker(w)
	k := idchannel.Classes{Contact: 1}
	plan := idchannel.Plan{Classes: k, Pattern: []uint32{0, 1, 2, 3}, Links: []int{67938, 67938, 67938, 67938}}
	out := make([]uint32, n)
	b.Run("Prepare", func(b *testing.B) {
		for b.Loop() {
			if err := s.Prepare(plan, 1, [32]byte{}, in); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
	})
	b.Run("Rank", func(b *testing.B) {
		buffer := d.Begin(4 * 67938)
		for r := range 4 {
			buffer = buffer[copy(buffer, s.Section(r)):]
		}
		for b.Loop() {
			d.Rank(k)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
	})
	b.Run("Cells", func(b *testing.B) {
		for b.Loop() {
			if err := s.Cells(out); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
	})
}
