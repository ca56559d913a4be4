package token_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/reference"
	"github.com/teems-go/teems/internal/token"
)

// mac is a test MAC: SHA-256 of a key and the input.
type mac struct{ key uint64 }

func (m mac) Tags(kind uint8, inputs, out []byte) {
	var b [9 + cell.MACInputBytes]byte
	for i := 0; i < len(out)/cell.MACBytes; i++ {
		b[0] = kind
		binary.LittleEndian.PutUint64(b[1:], m.key)
		copy(b[9:], inputs[i*cell.MACInputBytes:(i+1)*cell.MACInputBytes])
		sum := sha256.Sum256(b[:])
		copy(out[i*cell.MACBytes:], sum[:cell.MACBytes])
	}
}

func (m mac) tag(g reference.Grant) (t [16]byte) {
	var in [cell.MACInputBytes]byte
	cell.PutMACInput(in[:], g.Kind, cell.ChannelOf(g.Kind), g.Slot, g.Sender, g.Recipient,
		g.Ceiling, g.Era, g.Generation, g.E1, g.E2)
	m.Tags(g.Kind, in[:], t[:])
	return t
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// encodeRequest lays out a request as in docs/protocol.md 1.3.
func encodeRequest(b []byte, r reference.Request) {
	le := binary.LittleEndian
	b[0] = r.Kind
	le.PutUint16(b[2:], r.Slot)
	le.PutUint32(b[4:], r.Sender)
	le.PutUint32(b[8:], r.Ceiling)
	le.PutUint64(b[16:], r.E1)
	le.PutUint64(b[24:], r.E2)
}

// decodeAnswer reads an answer as in docs/protocol.md 1.5.
func decodeAnswer(b []byte) (status uint8, g reference.Grant) {
	le := binary.LittleEndian
	g = reference.Grant{Kind: b[1], Slot: le.Uint16(b[2:]), Sender: le.Uint32(b[4:]), Ceiling: le.Uint32(b[8:]),
		Era: le.Uint32(b[12:]), E1: le.Uint64(b[16:]), E2: le.Uint64(b[24:]), Generation: le.Uint32(b[32:])}
	copy(g.MAC[:], b[40:56])
	return b[0], g
}

func drawRequest(rng *rand.Rand, p *reference.Parameters, now uint64) reference.Request {
	r := reference.Request{
		Kind:    pick[uint8](rng, 0, 1, 1, 1, 1, 2, 2, uint8(rng.Uint32())),
		Slot:    pick(rng, 0, uint16(rng.IntN(p.Slots+2)), uint16(rng.Uint32())),
		Sender:  rng.Uint32(),
		Ceiling: rng.Uint32(),
		E1:      now + pick(rng, rng.Uint64N(p.Hmax+3), rng.Uint64N(8)),
	}
	r.E2 = r.E1 + rng.Uint64N(p.Lmax+2)
	switch rng.IntN(16) {
	case 0:
		r.E1, r.E2 = rng.Uint64(), rng.Uint64()
	case 1:
		r.E1, r.E2 = pick[uint64](rng, 0, 1<<64-1), pick[uint64](rng, 0, 1<<64-1)
	case 2:
		r.E1, r.E2 = now+2, now+2+p.Lmax
	}
	return r
}

// checkAnswer compares an answer with the reference's.
func checkAnswer(t *testing.T, seed uint64, m mac, b []byte, r reference.Request, want reference.Answer) {
	t.Helper()
	status, g := decodeAnswer(b)
	if status != want.Status {
		t.Fatalf("seed %d: request %+v: status %d, want %d", seed, r, status, want.Status)
	}
	switch {
	case r.Kind == 0:
		if !bytes.Equal(b, make([]byte, cell.AnswerBytes)) {
			t.Fatalf("seed %d: answer to no request is %x", seed, b)
		}
	case status != cell.AnswerIssued:
		if g.MAC != [16]byte{} || g.Kind != r.Kind || g.Sender != r.Sender || g.E1 != r.E1 || g.E2 != r.E2 {
			t.Fatalf("seed %d: refusal of %+v is %+v", seed, r, g)
		}
	default:
		want.Grant.MAC = m.tag(want.Grant)
		want.Grant.Recipient = 0 // not in the answer
		if g != want.Grant {
			t.Fatalf("seed %d: request %+v:\n got %+v\nwant %+v", seed, r, g, want.Grant)
		}
	}
}

// TestIssueAgainstReference runs many epochs of requests, some of whose
// attempts are thrown away and tried again with other requests, and compares
// every answer with the reference.
func TestIssueAgainstReference(t *testing.T) {
	issued := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		p := &reference.Parameters{Open: rng.IntN(4) == 0, Contact: rng.IntN(4), Slots: rng.IntN(5), Lmax: 1 + rng.Uint64N(9), Hmax: 12 + rng.Uint64N(9)}
		var clients []uint32
		shards := 1 + rng.IntN(4)
		state := token.NewSlots(uint16(p.Slots), shards)
		for v := range shards {
			p.Users = append(p.Users, rng.Uint32N(6))
			p.Generations = append(p.Generations, rng.Uint32N(3))
			if err := state.Grow(v, p.Users[v]); err != nil {
				t.Fatal(err)
			}
			for q := range p.Users[v] {
				clients = append(clients, q*uint32(shards)+uint32(v))
			}
		}
		dir, err := token.NewDirectory(p.Users, p.Generations)
		if err != nil {
			t.Fatal(err)
		}
		m := mac{seed}
		rules := token.Rules{Passes: !p.Open && p.Contact > 0, Slots: uint16(p.Slots), Lmax: p.Lmax, Hmax: p.Hmax}
		issuer := token.NewIssuer(rules, token.Key{Era: 4, MAC: m}, workers)
		control := &reference.Control{}
		per := 1 + rng.IntN(4)
		next := state.Clone()
		for now := uint64(1); now < 40; now++ {
			for committed := false; !committed; {
				next.CopyFrom(state)
				pending := control.Clone()
				rng.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
				some := clients[:rng.IntN(len(clients)+1)]
				in := token.Requests{First: 64, Control: 64 + per*cell.RequestBytes, PerClient: per, Clients: some}
				out := token.Answers{First: 32, Delivery: 32 + per*cell.AnswerBytes}
				in.Data = make([]byte, len(some)*in.Control)
				out.Data = bytes.Repeat([]byte{0xaa}, len(some)*out.Delivery)
				requests := make([][]reference.Request, len(some))
				for i := range some {
					for j := range per {
						r := drawRequest(rng, p, now)
						encodeRequest(in.Data[i*in.Control+64+j*cell.RequestBytes:], r)
						requests[i] = append(requests[i], r)
					}
				}
				if err := issuer.Issue(now, dir, next, in, out); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				for i, c := range some {
					want := pending.Answer(p, now, 4, c, requests[i])
					for j := range per {
						at := i*out.Delivery + 32 + j*cell.AnswerBytes
						checkAnswer(t, seed, m, out.Data[at:at+cell.AnswerBytes], requests[i][j], want[j])
					}
				}
				if committed = rng.IntN(3) > 0; committed {
					state, next, control = next, state, pending
				}
			}
		}
		checkDisjoint(t, seed, control.Issued)
		issued += len(control.Issued)
	}
	if issued < 1000 {
		t.Errorf("only %d tokens issued: the test has lost its point", issued)
	}
}

// checkDisjoint fails if two tokens for a slot of a recipient overlap.
func checkDisjoint(t *testing.T, seed uint64, issued []reference.Grant) {
	t.Helper()
	for i, a := range issued {
		for _, b := range issued[:i] {
			if a.Recipient == b.Recipient && a.Slot == b.Slot && a.E1 < b.E2 && b.E1 < a.E2 {
				t.Fatalf("seed %d: tokens overlap: %+v and %+v", seed, a, b)
			}
		}
	}
}

// noMAC is a MAC that must not be asked for the kind.
type noMAC struct {
	MAC  token.MAC
	kind uint8
}

func (m noMAC) Tags(kind uint8, inputs, out []byte) {
	if kind == m.kind {
		panic("a MAC of a kind that the rules do not have")
	}
	m.MAC.Tags(kind, inputs, out)
}

// TestIssueOnWorkers crosses the borders of chunks and parts: answers and
// watermarks do not depend on the number of workers, in any rules, and no MAC is
// computed of a kind that the rules do not have.
func TestIssueOnWorkers(t *testing.T) {
	const shards, users, per = 3, 500, 2
	p := &reference.Parameters{Slots: 2, Lmax: 4, Hmax: 8}
	var clients []uint32
	empty := map[uint16]*token.Slots{0: token.NewSlots(0, shards), 2: token.NewSlots(2, shards)}
	for c := range uint32(shards * users) {
		clients = append(clients, c)
	}
	for v := range shards {
		for _, s := range empty {
			if err := s.Grow(v, users); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir, err := token.NewDirectory([]uint32{users, users, users}, []uint32{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(8, 8))
	in := token.Requests{Data: make([]byte, len(clients)*per*cell.RequestBytes), Control: per * cell.RequestBytes, PerClient: per, Clients: clients}
	for i := range len(clients) * per {
		encodeRequest(in.Data[i*cell.RequestBytes:], drawRequest(rng, p, 5))
	}
	for _, c := range []struct {
		rules token.Rules
		mac   token.MAC
	}{
		{token.Rules{Passes: true, Slots: 2, Lmax: 4, Hmax: 8}, mac{}},
		{token.Rules{Slots: 2, Lmax: 4, Hmax: 8}, noMAC{mac{}, cell.KindPass}},
		{token.Rules{Passes: true, Lmax: 4, Hmax: 8}, noMAC{mac{}, cell.KindToken}},
	} {
		var answers, marks []byte
		for _, n := range []int{1, 2, 5} {
			issuer := token.NewIssuer(c.rules, token.Key{MAC: c.mac}, oblivious.NewWorkers(n))
			out := token.Answers{Data: make([]byte, len(clients)*per*cell.AnswerBytes), Delivery: per * cell.AnswerBytes}
			s := empty[c.rules.Slots].Clone()
			issue := func() {
				if err := issuer.Issue(5, dir, s, in, out); err != nil {
					t.Fatal(err)
				}
			}
			issue()
			if n == 1 {
				answers, marks = bytes.Clone(out.Data), s.Append(nil)
			} else if !bytes.Equal(answers, out.Data) || !bytes.Equal(marks, s.Append(nil)) {
				t.Errorf("%+v: %d workers answer otherwise than one", c.rules, n)
			}
			if a := testing.AllocsPerRun(3, issue); a > 0 {
				t.Errorf("%+v, %d workers: %v allocations", c.rules, n, a)
			}
		}
	}
}

func TestIssueErrors(t *testing.T) {
	dir, err := token.NewDirectory([]uint32{2, 2}, []uint32{0, 0})
	if err != nil {
		t.Fatal(err)
	}
	s := token.NewSlots(2, 2)
	if err := s.Grow(0, 2); err != nil {
		t.Fatal(err)
	}
	x := token.NewIssuer(token.Rules{Slots: 2, Lmax: 4, Hmax: 8}, token.Key{MAC: mac{}}, workers)
	in := token.Requests{Data: make([]byte, 96), First: 64, Control: 96, PerClient: 1}
	out := token.Answers{Data: make([]byte, 64), Delivery: 64}
	for _, c := range []struct {
		client uint32
		want   error
	}{{0, nil}, {2, nil}, {1, token.ErrForeign}, {4, token.ErrForeign}, {1<<32 - 1, token.ErrForeign}} {
		in.Clients = []uint32{c.client}
		if err := x.Issue(1, dir, s, in, out); !errors.Is(err, c.want) {
			t.Errorf("client %d: %v, want %v", c.client, err, c.want)
		}
	}
	in.Clients = []uint32{0, 2}
	if err := x.Issue(1, dir, s, in, out); !errors.Is(err, token.ErrSize) {
		t.Errorf("data too short: %v", err)
	}
	if err := s.Grow(2, 1); !errors.Is(err, token.ErrForeign) {
		t.Errorf("no such shard: %v", err)
	}
	if _, err := token.NewDirectory(nil, nil); !errors.Is(err, token.ErrSize) {
		t.Errorf("empty directory: %v", err)
	}
}

func FuzzParseSlots(f *testing.F) {
	s := token.NewSlots(3, 4)
	for v := range 4 {
		if err := s.Grow(v, uint32(v)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(s.Append(nil))
	f.Add(token.NewSlots(0, 0).Append(nil))
	f.Add([]byte("\xff\xff\x00\x00\xff\xff\xff\xff"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := token.ParseSlots(b)
		if err != nil {
			if !errors.Is(err, token.ErrEncoding) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		if again := s.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x", b, again)
		}
		if again := s.Clone().Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x: its clone encodes to %x", b, again)
		}
	})
}
