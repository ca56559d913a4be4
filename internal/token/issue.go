package token

import (
	"encoding/binary"

	"github.com/teems-go/teems/internal/choice"
)

// chunkRequests is about how many requests are answered at a time.
const chunkRequests = 512

// Requests is a view of the requests inside opened control cells, laid out as
// in docs/protocol.md 1.3. Request j of control cell i starts at
// First + i*Control + j*RequestBytes. A client occurs at most once. The contents
// of Data are secret, all else is public.
type Requests struct {
	Data      []byte
	First     int
	Control   int
	PerClient int
	Clients   []uint32 // who sent each control cell
}

// Answers is where answers go, laid out as in docs/protocol.md 1.5: answer j of
// control cell i starts at First + i*Delivery + j*AnswerBytes of Data.
type Answers struct {
	Data     []byte
	First    int
	Delivery int
}

// Issuer answers requests at a storage server. It keeps its scratch from one
// epoch to the next. Its methods must not be called at the same time.
type Issuer struct {
	rules  Rules
	key    Key
	inputs []byte // of a chunk, for one kind
	tags   [3][]byte
}

// NewIssuer returns an Issuer for the rules and the current key era.
func NewIssuer(rules Rules, key Key) *Issuer { return &Issuer{rules: rules, key: key} }

// request is a request as it was read; all of it is secret.
type request struct {
	kind            uint8
	slot            uint16
	sender, ceiling uint32
	e1, e2          uint64
}

func readRequest(b []byte) request {
	le := binary.LittleEndian
	b = b[:RequestBytes]
	return request{kind: b[0], slot: le.Uint16(b[2:]), sender: le.Uint32(b[4:]),
		ceiling: le.Uint32(b[8:]), e1: le.Uint64(b[16:]), e2: le.Uint64(b[24:])}
}

// Issue answers all requests carried by epoch now and moves the watermarks of
// s, which should be a Clone of the committed state. A token is issued if its
// slot exists, e1 < e2, now+2 <= e1, e2-e1 <= Lmax, e2 <= now+Hmax, and e1 is
// not below the slot's watermark, which then becomes e2; requests of one cell
// count in order. A pass needs the same but for slot and watermark. An answer
// repeats its request (without the field that its kind has no use for), and a
// refused one carries no MAC. If it returns an error, which depends on public
// values only, s and out may have changed.
//
// Oblivious in all requests and watermarks: every request is put to every slot
// of its client, and costs two MACs whatever it is; what shows is the shape of
// in and who sent a control cell.
func (x *Issuer) Issue(now uint64, dir *Directory, s *Slots, in Requests, out Answers) error {
	n, k := len(in.Clients), in.PerClient
	if n == 0 || k == 0 {
		return nil
	}
	if k < 0 || in.First < 0 || in.Control < 0 || out.First < 0 || out.Delivery < 0 ||
		in.First+(n-1)*in.Control+k*RequestBytes > len(in.Data) ||
		out.First+(n-1)*out.Delivery+k*AnswerBytes > len(out.Data) ||
		s.slots != int(x.rules.Slots) {
		return ErrSize
	}
	step := max(1, chunkRequests/k)
	if len(x.inputs) < step*k*InputBytes {
		x.inputs = make([]byte, step*k*InputBytes)
		x.tags[KindToken] = make([]byte, step*k*TagBytes)
		x.tags[KindPass] = make([]byte, step*k*TagBytes)
	}
	for first := 0; first < n; first += step {
		count := min(step, n-first)
		x.authenticate(KindToken, dir, in, first, count)
		x.authenticate(KindPass, dir, in, first, count)
		for i := range count {
			client := in.Clients[first+i]
			marks, err := s.of(client)
			if err != nil {
				return err
			}
			for j := range k {
				at := in.First + (first+i)*in.Control + j*RequestBytes
				to := out.First + (first+i)*out.Delivery + j*AnswerBytes
				r := readRequest(in.Data[at:])
				status := x.decide(now, marks, r)
				x.answer(out.Data[to:to+AnswerBytes], r, status, dir.Generation(client), i*k+j)
			}
		}
	}
	return nil
}

// fields returns what the MAC of r covers if it is of the kind, which is public.
func (x *Issuer) fields(kind uint8, client, generation uint32, r request) Fields {
	f := Fields{Kind: kind, Sender: r.sender, Recipient: client,
		Era: x.key.Era, Generation: generation, E1: r.e1, E2: r.e2}
	if kind == KindToken {
		f.Channel, f.Slot = ChannelToken, r.slot
	} else {
		f.Channel, f.Ceiling = ChannelID, r.ceiling
	}
	return f
}

// authenticate fills tags[kind] for every request of count control cells as if
// all were of that kind.
func (x *Issuer) authenticate(kind uint8, dir *Directory, in Requests, first, count int) {
	for i := range count {
		client := in.Clients[first+i]
		for j := range in.PerClient {
			r := readRequest(in.Data[in.First+(first+i)*in.Control+j*RequestBytes:])
			x.fields(kind, client, dir.Generation(client), r).Put(
				x.inputs[(i*in.PerClient+j)*InputBytes:])
		}
	}
	n := count * in.PerClient
	x.key.MAC.Tags(kind, x.inputs[:n*InputBytes], x.tags[kind][:n*TagBytes])
}

// decide returns the status of r and moves the watermark of its slot if it is a
// token that is issued. It reads and writes every mark.
func (x *Issuer) decide(now uint64, marks []uint64, r request) uint64 {
	isToken := choice.Eq(uint64(r.kind), KindToken)
	isPass := choice.Eq(uint64(r.kind), KindPass)
	fits := isPass | isToken&choice.Less(uint64(r.slot), uint64(x.rules.Slots))
	window := choice.LessEq(now+2, r.e1) & choice.Less(r.e1, r.e2) &
		choice.LessEq(r.e2-r.e1, x.rules.Lmax) & choice.LessEq(r.e2, now+x.rules.Hmax)
	overlap := choice.False
	for i, m := range marks {
		overlap |= choice.Eq(uint64(i), uint64(r.slot)) & choice.Less(r.e1, m)
	}
	overlap &= isToken
	moved := isToken & fits & window &^ overlap
	for i, m := range marks {
		marks[i] = choice.Select(moved&choice.Eq(uint64(i), uint64(r.slot)), r.e2, m)
	}
	status := choice.Select(overlap, AnswerOverlap, AnswerIssued)
	status = choice.Select(window, status, AnswerWindow)
	status = choice.Select(fits, status, AnswerBad)
	return choice.Select(choice.NonZero(uint64(r.kind)), status, AnswerNone)
}

// answer writes the answer to r; tag is its place in tags.
func (x *Issuer) answer(b []byte, r request, status uint64, generation uint32, tag int) {
	le := binary.LittleEndian
	asked := choice.NonZero(uint64(r.kind))
	issued := choice.Eq(status, AnswerIssued)
	isToken := choice.Eq(uint64(r.kind), KindToken)
	isPass := choice.Eq(uint64(r.kind), KindPass)
	tokenTag := x.tags[KindToken][tag*TagBytes : (tag+1)*TagBytes]
	passTag := x.tags[KindPass][tag*TagBytes : (tag+1)*TagBytes]

	b[0], b[1] = byte(status), r.kind
	le.PutUint16(b[2:], r.slot&uint16(asked&^isPass))
	le.PutUint32(b[4:], r.sender&uint32(asked))
	le.PutUint32(b[8:], r.ceiling&uint32(asked&^isToken))
	le.PutUint32(b[12:], x.key.Era&uint32(asked))
	le.PutUint64(b[16:], r.e1&uint64(asked))
	le.PutUint64(b[24:], r.e2&uint64(asked))
	le.PutUint32(b[32:], generation&uint32(asked))
	le.PutUint32(b[36:], 0)
	for i := 0; i < TagBytes; i += 8 {
		mac := choice.Select(isToken, le.Uint64(tokenTag[i:]), le.Uint64(passTag[i:]))
		le.PutUint64(b[40+i:], mac&uint64(issued))
	}
	le.PutUint64(b[56:], 0)
}
