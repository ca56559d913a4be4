package keys

import "crypto/cipher"

// PRF maps 64 bits to 64 bits: the first half of AES-128 of a block that
// holds the input, u64, and zeros. As a PRF it is good to about 2^64 inputs
// under a key, where a permutation's missing collisions would show.
//
// Oblivious in inputs and key where CheckAES is nil. One AES block a value.
// Not safe for concurrent use (it owns the block it works in).
type PRF struct {
	b       cipher.Block
	in, out [16]byte
}

// TiePRF is the PRF of the ties of an epoch, whatever the attempt: of
// sender<<16 | index, or whatever 64 bits name a message.
func (s *Schedule) TiePRF(epoch uint64) *PRF {
	return s.prf("tie", le.AppendUint64(nil, epoch))
}

// RouterPRF is the PRF of recipients that chooses the routing server of a
// header in the attempt with identity a.
func (s *Schedule) RouterPRF(a [32]byte) *PRF { return s.prf("route", a[:]) }

func (s *Schedule) prf(label string, context []byte) *PRF {
	key := s.Derive(label, context)
	return &PRF{b: block(key[:16])}
}

// Values sets out[i] to the value of in[i]; they may be the same slice.
// out has at least the length of in.
func (p *PRF) Values(in, out []uint64) {
	out = out[:len(in)]
	for i, x := range in {
		le.PutUint64(p.in[:8], x)
		p.b.Encrypt(p.out[:], p.in[:])
		out[i] = le.Uint64(p.out[:8])
	}
}

// Values32 is Values of inputs of 32 bits.
func (p *PRF) Values32(in []uint32, out []uint64) {
	out = out[:len(in)]
	for i, x := range in {
		le.PutUint64(p.in[:8], uint64(x))
		p.b.Encrypt(p.out[:], p.in[:])
		out[i] = le.Uint64(p.out[:8])
	}
}

// Ties sets out[i] to the tie of in[i] in an epoch. It derives the key anew;
// for many small batches keep a TiePRF.
func (s *Schedule) Ties(epoch uint64, in, out []uint64) { s.TiePRF(epoch).Values(in, out) }

// Routers sets out[i] to the 64 bits that choose the routing server for
// recipients[i] in the attempt a. It derives the key anew; for many small
// batches keep a RouterPRF.
func (s *Schedule) Routers(a [32]byte, recipients []uint32, out []uint64) {
	s.RouterPRF(a).Values32(recipients, out)
}
