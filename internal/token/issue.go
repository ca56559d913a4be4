package token

import (
	"encoding/binary"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/oblivious"
)

// chunkRequests is about how many requests are answered at a time.
const chunkRequests = 512

// Requests is a view of the requests (cell.Request) inside opened control
// cells. Request j of control cell i starts at
// First + i*Control + j*cell.RequestBytes. A client occurs at most once. The contents
// of Data are secret, all else is public.
type Requests struct {
	Data      []byte
	First     int
	Control   int
	PerClient int
	Clients   []uint32 // who sent each control cell
}

// Answers is where answers (cell.Answer) go: answer j of control cell i starts
// at First + i*Delivery + j*cell.AnswerBytes of Data.
type Answers struct {
	Data     []byte
	First    int
	Delivery int
}

// Issuer answers requests at a storage server, on all workers. It keeps its
// scratch from one epoch to the next. Its methods must not be called at the
// same time, nor while its workers are in use elsewhere.
type Issuer struct {
	rules   Rules
	key     Key
	workers *oblivious.Workers
	scratch []answering // of each part
	parts   int         // of the batch
	run     func(part int)

	// The batch that is being answered.
	now   uint64
	dir   *Directory
	slots *Slots
	in    Requests
	out   Answers
}

// answering is what a part of a batch needs for a chunk of requests.
type answering struct {
	inputs []byte // for one kind
	tags   [3][]byte
	err    error
}

// NewIssuer returns an Issuer for the rules and the current key era, on the
// workers.
func NewIssuer(rules Rules, key Key, w *oblivious.Workers) *Issuer {
	x := &Issuer{rules: rules, key: key, workers: w, scratch: make([]answering, w.Count())}
	x.run = x.answerPart
	return x
}

// Issue answers all requests carried by epoch now and moves the watermarks of
// s, which should be a Clone of the committed state. A token is issued if its
// slot exists, e1 < e2, now+2 <= e1, e2-e1 <= Lmax, e2 <= now+Hmax, and e1 is
// not below the slot's watermark, which then becomes e2; requests of one cell
// count in order. A pass needs the same but for slot and watermark; where the
// rules have no passes it is a bad request, as a token is without slots. An
// answer repeats its request (without the field that its kind has no use for), and a
// refused one carries no MAC. If it returns an error, which depends on public
// values only, s and out may have changed.
//
// Oblivious in all requests and watermarks: every request is put to every slot
// of its client, and costs, whatever it is, a MAC of each kind that the rules
// have; what shows is the shape of in and who sent a control cell.
func (x *Issuer) Issue(now uint64, dir *Directory, s *Slots, in Requests, out Answers) error {
	n, k := len(in.Clients), in.PerClient
	if n == 0 || k == 0 {
		return nil
	}
	if k < 0 || in.First < 0 || in.Control < 0 || out.First < 0 || out.Delivery < 0 ||
		in.First+(n-1)*in.Control+k*cell.RequestBytes > len(in.Data) ||
		out.First+(n-1)*out.Delivery+k*cell.AnswerBytes > len(out.Data) ||
		s.slots != int(x.rules.Slots) {
		return ErrSize
	}
	x.now, x.dir, x.slots, x.in, x.out = now, dir, s, in, out
	x.parts = min(len(x.scratch), 1+n*k/chunkRequests)
	x.workers.Each(x.parts, x.run)
	x.dir, x.slots, x.in, x.out = nil, nil, Requests{}, Answers{}
	for p := range x.parts {
		if err := x.scratch[p].err; err != nil {
			return err
		}
	}
	return nil
}

// answerPart answers a part of the batch: a run of clients, of which none
// occurs in another part, so that their slots are this part's alone.
func (x *Issuer) answerPart(part int) {
	n, k := len(x.in.Clients), x.in.PerClient
	step := max(1, chunkRequests/k)
	s := &x.scratch[part]
	s.err = nil
	if want := step * k; len(s.inputs) < want*cell.MACInputBytes {
		s.inputs = make([]byte, want*cell.MACInputBytes)
		for kind := range s.tags {
			s.tags[kind] = make([]byte, want*cell.MACBytes)
		}
	}
	for first, end := n*part/x.parts, n*(part+1)/x.parts; first < end && s.err == nil; first += step {
		s.err = x.answerChunk(s, first, min(step, end-first))
	}
}

// answerChunk answers count control cells. Tags of a kind that the rules do not
// have stay zero.
func (x *Issuer) answerChunk(s *answering, first, count int) error {
	in, out, k := &x.in, &x.out, x.in.PerClient
	if x.rules.Slots > 0 {
		x.authenticate(s, cell.KindToken, first, count)
	}
	if x.rules.Passes {
		x.authenticate(s, cell.KindPass, first, count)
	}
	for i := range count {
		client := in.Clients[first+i]
		marks, err := x.slots.of(client)
		if err != nil {
			return err
		}
		generation := x.dir.Generation(client)
		for j := range k {
			at := in.First + (first+i)*in.Control + j*cell.RequestBytes
			to := out.First + (first+i)*out.Delivery + j*cell.AnswerBytes
			r := cell.Request(in.Data[at : at+cell.RequestBytes])
			status := x.decide(marks, r)
			x.answer(s, out.Data[to:to+cell.AnswerBytes], r, status, generation, i*k+j)
		}
	}
	return nil
}

// authenticate fills tags[kind] for every request of count control cells as if
// all were of that kind.
func (x *Issuer) authenticate(s *answering, kind uint8, first, count int) {
	in := &x.in
	for i := range count {
		client := in.Clients[first+i]
		generation := x.dir.Generation(client)
		for j := range in.PerClient {
			at := in.First + (first+i)*in.Control + j*cell.RequestBytes
			r := cell.Request(in.Data[at : at+cell.RequestBytes])
			slot, ceiling := r.Slot(), uint32(0)
			if kind == cell.KindPass {
				slot, ceiling = 0, r.Ceiling()
			}
			cell.PutMACInput(s.inputs[(i*in.PerClient+j)*cell.MACInputBytes:], kind, cell.ChannelOf(kind),
				slot, r.Sender(), client, ceiling, x.key.Era, generation, r.E1(), r.E2())
		}
	}
	n := count * in.PerClient
	x.key.MAC.Tags(kind, s.inputs[:n*cell.MACInputBytes], s.tags[kind][:n*cell.MACBytes])
}

// decide returns the status of r and moves the watermark of its slot if it is a
// token that is issued. It reads and writes every mark.
func (x *Issuer) decide(marks []uint64, r cell.Request) uint8 {
	now := x.now
	slot, e1, e2 := uint64(r.Slot()), r.E1(), r.E2()
	isToken := choice.Eq(uint64(r.Kind()), uint64(cell.KindToken))
	isPass := choice.Eq(uint64(r.Kind()), uint64(cell.KindPass))
	fits := isToken & choice.Less(slot, uint64(x.rules.Slots))
	if x.rules.Passes {
		fits |= isPass
	}
	window := choice.LessEq(now+2, e1) & choice.Less(e1, e2) &
		choice.LessEq(e2-e1, x.rules.Lmax) & choice.LessEq(e2, now+x.rules.Hmax)
	overlap := choice.False
	for i, m := range marks {
		overlap |= choice.Eq(uint64(i), slot) & choice.Less(e1, m)
	}
	overlap &= isToken
	moved := isToken & fits & window &^ overlap
	for i, m := range marks {
		marks[i] = choice.Select(moved&choice.Eq(uint64(i), slot), e2, m)
	}
	status := choice.Select(overlap, uint64(cell.AnswerOverlap), uint64(cell.AnswerIssued))
	status = choice.Select(window, status, uint64(cell.AnswerWindow))
	status = choice.Select(fits, status, uint64(cell.AnswerBadRequest))
	return uint8(choice.Select(choice.NonZero(uint64(r.Kind())), status, uint64(cell.AnswerNone)))
}

// answer writes the answer to r; tag is its place in the tags.
func (x *Issuer) answer(s *answering, a cell.Answer, r cell.Request, status uint8, generation uint32, tag int) {
	le := binary.LittleEndian
	asked := choice.NonZero(uint64(r.Kind()))
	issued := choice.Eq(uint64(status), uint64(cell.AnswerIssued))
	isToken := choice.Eq(uint64(r.Kind()), uint64(cell.KindToken))
	isPass := choice.Eq(uint64(r.Kind()), uint64(cell.KindPass))
	tokenTag := s.tags[cell.KindToken][tag*cell.MACBytes : (tag+1)*cell.MACBytes]
	passTag := s.tags[cell.KindPass][tag*cell.MACBytes : (tag+1)*cell.MACBytes]

	a.Clear()
	a.SetStatus(status)
	a.SetKind(r.Kind())
	a.SetSlot(r.Slot() & uint16(asked&^isPass))
	a.SetSender(r.Sender() & uint32(asked))
	a.SetCeiling(r.Ceiling() & uint32(asked&^isToken))
	a.SetEra(x.key.Era & uint32(asked))
	a.SetE1(r.E1() & uint64(asked))
	a.SetE2(r.E2() & uint64(asked))
	a.SetGeneration(generation & uint32(asked))
	for i := 0; i < cell.MACBytes; i += 8 {
		mac := choice.Select(isToken, le.Uint64(tokenTag[i:]), le.Uint64(passTag[i:]))
		le.PutUint64(a.MAC()[i:], mac&uint64(issued))
	}
}
