package load

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

var le = binary.LittleEndian

// The channels, as indexes.
const (
	idChannel = iota
	tokenChannel
	channels
)

var channelNames = [channels]string{"ID", "token"}

// equalShare is one in how many messages to a hot recipient have one and the
// same priority, so that ties are drawn too.
const equalShare = 4

// planner says who sends to whom. Safe for concurrent use.
type planner struct {
	n     int
	seed  uint64
	hot   []uint32 // recipients on the ID channel; nil: everyone
	first uint64
	span  uint64

	mu     sync.Mutex
	epochs map[uint64]*idPlan // guarded by mu; dropped when an epoch is closed
	spans  map[uint64]*tokenPlan
}

// idPlan is one epoch's traffic on the ID channel, by sender.
type idPlan struct {
	to       []uint32
	priority []uint32 // nil: all 0
}

// tokenPlan is a span's traffic on the token channel.
type tokenPlan struct {
	to   []uint32 // by sender
	from []uint32 // by recipient
}

func newPlanner(n int, seed uint64, hot int, first, span uint64) *planner {
	p := &planner{
		n: n, seed: seed, first: first, span: max(span, 1),
		epochs: map[uint64]*idPlan{}, spans: map[uint64]*tokenPlan{},
	}
	if hot > 0 {
		p.hot = permutation(p.random("hot", 0), n)[:hot]
	}
	return p
}

// random is the generator for one use.
func (p *planner) random(label string, number uint64) *rand.Rand {
	b := append([]byte("teems load "), label...)
	b = le.AppendUint64(le.AppendUint64(append(b, 0), p.seed), number)
	return rand.New(rand.NewChaCha8(sha256.Sum256(b)))
}

func permutation(r *rand.Rand, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		j := r.IntN(i + 1)
		out[i] = out[j]
		out[j] = uint32(i)
	}
	return out
}

// id is the plan of an epoch.
func (p *planner) id(epoch uint64) *idPlan {
	p.mu.Lock()
	defer p.mu.Unlock()
	plan := p.epochs[epoch]
	if plan != nil {
		return plan
	}
	r := p.random("id", epoch)
	if p.hot == nil {
		plan = &idPlan{to: permutation(r, p.n)}
	} else {
		plan = &idPlan{to: make([]uint32, p.n), priority: make([]uint32, p.n)}
		for s := range plan.to {
			plan.to[s] = p.hot[r.IntN(len(p.hot))]
			plan.priority[s] = r.Uint32()
			if r.IntN(equalShare) == 0 {
				plan.priority[s] = 1 << 31
			}
		}
	}
	p.epochs[epoch] = plan
	return plan
}

// forget drops the plan of an epoch, which can be made again.
func (p *planner) forget(epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.epochs, epoch)
}

// token is the plan of a span.
func (p *planner) token(span uint64) *tokenPlan {
	p.mu.Lock()
	defer p.mu.Unlock()
	plan := p.spans[span]
	if plan == nil {
		plan = &tokenPlan{to: permutation(p.random("token", span), p.n), from: make([]uint32, p.n)}
		for s, r := range plan.to {
			plan.from[r] = uint32(s)
		}
		p.spans[span] = plan
		for old := range p.spans {
			if old+3 < span {
				delete(p.spans, old)
			}
		}
	}
	return plan
}

// spanOf is the span that an epoch, first or later, is in.
func (p *planner) spanOf(epoch uint64) uint64 { return (epoch - p.first) / p.span }

// begin is the first epoch of a span; the span ends where the next begins.
func (p *planner) begin(span uint64) uint64 { return p.first + span*p.span }

// recipient is whom a sender writes to on a channel in an epoch.
func (p *planner) recipient(channel int, epoch uint64, sender uint32) uint32 {
	if channel == idChannel {
		return p.id(epoch).to[sender]
	}
	return p.token(p.spanOf(epoch)).to[sender]
}

// bodies makes message bodies: AES in counter mode under a key from the seed,
// at a counter that says what the body is of.
type bodies struct{ block cipher.Block }

func newBodies(seed uint64) bodies {
	key := sha256.Sum256(le.AppendUint64([]byte("teems load bodies"), seed))
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		panic("load: AES refuses 16 bytes: " + err.Error()) // impossible
	}
	return bodies{block}
}

// fill writes the body of a message; its length is a multiple of 16. in is
// room of 16 bytes.
func (b bodies) fill(body, in []byte, channel int, epoch uint64, sender, recipient uint32) {
	le.PutUint32(in, sender)
	le.PutUint32(in[4:], recipient)
	le.PutUint32(in[8:], uint32(epoch))
	for i := 0; i+aes.BlockSize <= len(body); i += aes.BlockSize {
		le.PutUint32(in[12:], uint32(i/aes.BlockSize)<<1|uint32(channel))
		b.block.Encrypt(body[i:i+aes.BlockSize], in)
	}
}
