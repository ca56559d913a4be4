package idchannel_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/idchannel"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/reference"
	"github.com/teems-go/teems/internal/token"
)

// server is an ingestion server of the test: what it checked and decided.
type server struct {
	subs   []reference.Submission
	passes token.Passes
	tokens token.Tokens
	in     idchannel.Records
	sender *idchannel.Sender
	cells  []uint32
}

// judge has the server check its submissions.
func (w *world) judge(t *testing.T, s *server, seed uint64) {
	t.Helper()
	data, senders := w.encode(s.subs)
	size := 64 + (w.outID+w.outTk)*(cell.MessageHeader+bodyBytes)
	view := token.Cells{Data: data, First: 64, Submission: size, Cell: cell.MessageHeader + bodyBytes,
		PerSender: w.outID, Senders: senders}
	n := view.Count()
	s.passes = token.Passes{Real: make([]byte, n), Status: make([]byte, n), Recipient: make([]uint32, n),
		Class: make([]byte, n), Priority: make([]uint32, n)}
	dir, err := token.NewDirectory(w.p.Users, w.p.Generations)
	if err != nil {
		t.Fatal(err)
	}
	var keys []token.Key
	for _, e := range w.p.Eras {
		keys = append(keys, token.Key{Era: e, MAC: w.mac})
	}
	checker := token.NewChecker(token.Rules{Passes: !w.p.Open, Slots: uint16(w.p.Slots)}, keys, oblivious.NewWorkers(1))
	if err := checker.Passes(w.epoch, dir, view, s.passes); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	s.in = idchannel.Records{Recipient: s.passes.Recipient, Class: s.passes.Class,
		Priority: s.passes.Priority, Real: s.passes.Real}
	for _, c := range senders {
		for i := range w.outID {
			s.in.Sender = append(s.in.Sender, c)
			s.in.Index = append(s.in.Index, uint16(i))
		}
	}
	view.First, view.PerSender = 64+w.outID*view.Cell, w.outTk
	n = view.Count()
	s.tokens = token.Tokens{Real: make([]byte, n), Status: make([]byte, n),
		Recipient: make([]uint32, n), Slot: make([]uint32, n)}
	if err := checker.Tokens(w.epoch, dir, view, s.tokens); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
}

// run decides one epoch with the given numbers of servers; link says how long a
// link is of n headers.
func (w *world) run(t *testing.T, seed uint64, servers, routers int, link func(n int) int) []*server {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 2))
	all := make([]*server, servers)
	for i := range all {
		all[i] = &server{}
	}
	for _, s := range w.submissions {
		i := rng.IntN(servers)
		all[i].subs = append(all[i].subs, s)
	}
	var pattern []uint32
	for r := range routers {
		for range 1 + rng.IntN(3) {
			pattern = append(pattern, uint32(r))
		}
	}
	k := idchannel.Classes{Contact: uint32(w.p.Contact), Stranger: uint32(w.p.Stranger)}
	a := [32]byte{byte(rng.IntN(256))}
	workers := oblivious.NewWorkers(1 + rng.IntN(3))
	for _, s := range all {
		w.judge(t, s, seed)
		n := len(s.in.Real)
		plan := idchannel.Plan{Classes: k, Pattern: pattern}
		for range routers {
			plan.Links = append(plan.Links, link(n))
		}
		s.sender = idchannel.NewSender(workers, w.prf)
		if err := s.sender.Prepare(plan, w.epoch, a, s.in); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	decider := idchannel.NewRanker(workers)
	for r := range routers {
		var rows []byte
		for _, s := range all {
			if got, want := len(s.sender.Section(r)), link(len(s.in.Real))*idchannel.RowBytes; got != want {
				t.Fatalf("seed %d: section has %d bytes, want %d", seed, got, want)
			}
			rows = append(rows, s.sender.Section(r)...)
		}
		copy(decider.Begin(len(rows)/idchannel.RowBytes), rows)
		ranks := decider.Rank(k)
		for _, s := range all {
			ranks = ranks[copy(s.sender.Ranks(r), ranks):]
		}
	}
	for _, s := range all {
		s.cells = make([]uint32, len(s.in.Real))
		if err := s.sender.Cells(s.cells); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	return all
}

// outcome delivers what the servers decided.
func (w *world) outcome(t *testing.T, seed uint64, all []*server) reference.Outcome {
	t.Helper()
	out := reference.Outcome{Mailboxes: map[uint32][]reference.Message{},
		Statuses: map[uint32][]byte{}, OverLimit: map[uint32]int{}}
	ins := w.p.Contact + w.p.Stranger
	deliver := func(to, cell, from uint32, body string) {
		if out.Mailboxes[to] == nil {
			out.Mailboxes[to] = make([]reference.Message, ins+w.p.Slots)
		}
		if out.Mailboxes[to][cell].Real {
			t.Fatalf("seed %d: two messages in cell %d of %d", seed, cell, to)
		}
		out.Mailboxes[to][cell] = reference.Message{Real: true, Sender: from, Body: body}
	}
	for _, s := range all {
		for j, sub := range s.subs {
			statuses := append([]byte{}, s.passes.Status[j*w.outID:(j+1)*w.outID]...)
			out.Statuses[sub.Sender] = append(statuses, s.tokens.Status[j*w.outTk:(j+1)*w.outTk]...)
			for i, c := range sub.ID {
				at := j*w.outID + i
				switch {
				case s.cells[at] != idchannel.Dropped:
					deliver(s.in.Recipient[at], s.cells[at], sub.Sender, c.Body)
				case s.in.Real[at] == 1:
					out.OverLimit[s.in.Recipient[at]]++
				}
			}
			for i, c := range sub.Token {
				if at := j*w.outTk + i; s.tokens.Real[at] == 1 {
					deliver(s.tokens.Recipient[at], uint32(ins)+s.tokens.Slot[at], sub.Sender, c.Body)
				}
			}
		}
	}
	return out
}

// TestEpochAgainstReference runs whole epochs, from opened submissions to
// cells, over random worlds, and compares every mailbox, in order, every
// status and every count of dropped messages with the reference.
func TestEpochAgainstReference(t *testing.T) {
	for seed := range uint64(400) {
		w := newWorld(seed)
		servers, routers := 1+int(seed%4), 1+int(seed/4%5)
		all := w.run(t, seed, servers, routers, func(n int) int { return n })
		got, want := w.outcome(t, seed, all), w.want()
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d, %d servers, %d routers:\n got %v\nwant %v", seed, servers, routers, got, want)
		}
	}
}

// TestOverflowTruncates checks that links that are too short lose messages and
// nothing else: sections keep their size, and no cell is taken twice.
func TestOverflowTruncates(t *testing.T) {
	for seed := range uint64(60) {
		w := newWorld(seed)
		all := w.run(t, seed, 2, 3, func(n int) int { return n / 5 })
		got := w.outcome(t, seed, all) // fails if a cell is taken twice
		for c, cells := range got.Mailboxes {
			if len(cells) != w.p.Contact+w.p.Stranger+w.p.Slots {
				t.Fatalf("seed %d: mailbox of %d has %d cells", seed, c, len(cells))
			}
		}
	}
}

// TestRowsOfDummies checks that what does not survive leaves no trace on a link:
// all rows that are not survivors are all ones.
func TestRowsOfDummies(t *testing.T) {
	dummy := bytes.Repeat([]byte{0xff}, idchannel.RowBytes)
	for seed := range uint64(60) {
		w := newWorld(seed)
		all := w.run(t, seed, 1, 2, func(n int) int { return n })
		survivors := 0
		for _, c := range all[0].cells {
			if c != idchannel.Dropped {
				survivors++
			}
		}
		rows := append(append([]byte{}, all[0].sender.Section(0)...), all[0].sender.Section(1)...)
		for ; len(rows) > 0; rows = rows[idchannel.RowBytes:] {
			if !bytes.Equal(rows[:idchannel.RowBytes], dummy) {
				survivors--
			}
		}
		// With one server, what is sent is what survives.
		if survivors != 0 {
			t.Fatalf("seed %d: %d more survivors than real rows", seed, survivors)
		}
	}
}
