package idchannel_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/reference"
)

// mac is a test MAC: SHA-256 of a key and the input.
type mac struct{ key uint64 }

func (m mac) Tags(kind uint8, inputs, out []byte) {
	for i := 0; i < len(out)/cell.MACBytes; i++ {
		b := binary.LittleEndian.AppendUint64([]byte{kind}, m.key)
		sum := sha256.Sum256(append(b, inputs[i*cell.MACInputBytes:(i+1)*cell.MACInputBytes]...))
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

// prf is a test PRF; with constant set all ties are equal.
type prf struct {
	key      uint64
	constant bool
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (p prf) tie(epoch uint64, sender uint32, index uint16) uint64 {
	if p.constant {
		return 7
	}
	return mix(mix(p.key^epoch) ^ (uint64(sender)<<16 | uint64(index)))
}

func (p prf) Ties(epoch uint64, in, out []uint64) {
	for i, x := range in {
		out[i] = p.tie(epoch, uint32(x>>16), uint16(x))
	}
}

func (p prf) Routers(a [32]byte, recipients []uint32, out []uint64) {
	for i, c := range recipients {
		out[i] = mix(mix(p.key+1^uint64(a[0])) ^ uint64(c))
	}
}

// world is a random deployment and what its clients submitted in one epoch.
type world struct {
	rng          *rand.Rand
	p            reference.Parameters
	epoch        uint64
	mac          mac
	prf          prf
	outID, outTk int
	submissions  []reference.Submission
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 1))
	w := &world{rng: rng, epoch: 100 + rng.Uint64N(50), mac: mac{seed}}
	w.prf = prf{seed, rng.IntN(4) == 0}
	p := &w.p
	p.Open = rng.IntN(2) == 0
	p.Contact = 1 + rng.IntN(3)
	if !p.Open {
		p.Stranger = rng.IntN(3)
	}
	p.Slots = rng.IntN(4)
	p.Eras = []uint32{5, 6}[:1+rng.IntN(2)]
	for range 1 + rng.IntN(9) {
		p.Users = append(p.Users, uint32(rng.IntN(12)))
		p.Generations = append(p.Generations, uint32(rng.IntN(3)))
	}
	w.outID, w.outTk = rng.IntN(5), rng.IntN(4)
	var senders []uint32
	for c := range uint32(12 * len(p.Users)) {
		if p.Exists(c) && rng.IntN(8) > 0 {
			senders = append(senders, c)
		}
	}
	skew := rng.IntN(4)
	for _, s := range senders {
		sub := reference.Submission{Sender: s}
		for i := range w.outID {
			sub.ID = append(sub.ID, w.cell(s, reference.Pass, skew, "id", i))
		}
		for i := range w.outTk {
			sub.Token = append(sub.Token, w.cell(s, reference.Token, skew, "token", i))
		}
		w.submissions = append(w.submissions, sub)
	}
	return w
}

// recipient draws one under the skew: uniform, a hot few, one, or one of many
// that do not exist.
func (w *world) recipient(skew int) uint32 {
	v := uint32(len(w.p.Users))
	switch c := w.rng.Uint32N(12 * v); {
	case skew == 1 && w.rng.IntN(3) > 0:
		return c % 3
	case skew == 2:
		return v / 2 // all to one, whether it exists or not
	case skew == 3 && w.rng.IntN(2) == 0:
		return pick(w.rng, 1<<32-1, 1<<32-2, 12*v, 1<<31, w.rng.Uint32())
	default:
		return c
	}
}

// cell draws a cell, with a grant that is right or broken in some way.
func (w *world) cell(sender uint32, kind uint8, skew int, label string, i int) reference.Cell {
	rng := w.rng
	to := w.recipient(skew)
	c := reference.Cell{
		Real:     rng.IntN(5) > 0,
		Priority: pick(rng, 0, 1, 1<<32-1, 1<<31, rng.Uint32()),
		Body:     label + strconv.Itoa(int(sender)) + "/" + strconv.Itoa(i),
	}
	g := reference.Grant{Kind: kind, Sender: sender, Recipient: to, Era: w.p.Eras[0],
		Generation: w.p.Generation(to), E1: w.epoch - rng.Uint64N(3), E2: w.epoch + 1 + rng.Uint64N(3)}
	if kind == reference.Pass {
		g.Ceiling = pick(rng, 0, 1, 1<<32-1, rng.Uint32())
	} else {
		// Storage issues a slot to one sender at a time.
		g.Slot = uint16(rng.IntN(w.p.Slots + 2))
		owner := uint32(mix(uint64(to)<<16|uint64(g.Slot)) % 5)
		if sender%5 != owner {
			g.Sender ^= 1 // made out to somebody else
		}
		for _, s := range w.submissions {
			if s.Sender%5 == owner {
				g.Sender = s.Sender // the first of those is the one
				break
			}
		}
	}
	fault := rng.IntN(12)
	switch fault {
	case 0:
		g.E1 = w.epoch + 1
	case 1:
		g.E2 = w.epoch
	case 2:
		g.Era = 77
	case 3:
		g.Generation++
	case 4:
		g.Sender ^= 1 << 31 // foreign
	}
	g.MAC = w.mac.tag(g)
	switch fault {
	case 5:
		g.MAC[rng.IntN(16)] ^= 1 << rng.IntN(8)
	case 6:
		g.MAC = [16]byte{}
	case 7:
		g.E2++ // stretched after it was issued
	case 8:
		g.Ceiling++
	}
	c.Grant = g
	return c
}

func (w *world) verify(g reference.Grant) bool { return g.MAC == w.mac.tag(g) }

func (w *world) want() reference.Outcome {
	return reference.Epoch(&w.p, w.epoch, w.submissions, func(s uint32, i uint16) uint64 {
		return w.prf.tie(w.epoch, s, i)
	}, w.verify)
}

const bodyBytes = 16

// encode lays out submissions as in docs/protocol.md 1.2.
func (w *world) encode(subs []reference.Submission) (data []byte, senders []uint32) {
	le := binary.LittleEndian
	for _, s := range subs {
		data = append(data, make([]byte, 64)...)
		for _, c := range append(append([]reference.Cell(nil), s.ID...), s.Token...) {
			b := make([]byte, cell.MessageHeader+bodyBytes)
			if c.Real {
				b[0] = 1
			}
			le.PutUint16(b[2:], c.Grant.Slot)
			le.PutUint32(b[4:], c.Grant.Recipient)
			le.PutUint32(b[8:], c.Priority)
			le.PutUint32(b[12:], c.Grant.Ceiling)
			le.PutUint64(b[16:], c.Grant.E1)
			le.PutUint64(b[24:], c.Grant.E2)
			le.PutUint32(b[32:], c.Grant.Era)
			le.PutUint32(b[36:], c.Grant.Generation)
			copy(b[40:], c.Grant.MAC[:])
			data = append(data, b...)
		}
		senders = append(senders, s.Sender)
	}
	return data, senders
}
