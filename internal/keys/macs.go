package keys

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
)

// The lengths of one MAC input and one MAC, in bytes.
const (
	MACInputBytes = 48
	MACBytes      = 16
)

// The kinds that Tags knows, as in the first byte of a MAC input.
const (
	KindToken uint8 = 1
	KindPass  uint8 = 2
)

// Tags computes the MACs of tokens or passes: AES-128 in CBC mode from zero,
// last block, of each of the n inputs of 48 bytes under the key of kind,
// KindToken or KindPass. All inputs have one length, for which CBC-MAC is a PRF
// (Bellare, Kilian and Rogaway, "The security of the cipher block chaining
// message authentication code", JCSS 2000; docs/design/0004). inputs has n*48
// bytes, out n*16. It panics if the lengths differ or the kind is unknown: both
// are public and fixed by the code that calls.
//
// Oblivious in inputs and keys where CheckAES is nil; the kind is public, and
// so is n. Three AES blocks a MAC; the chains of neighbours overlap in the
// processor. Allocates nothing. Safe for concurrent use.
func (s *Schedule) Tags(kind uint8, inputs, out []byte) {
	if n := len(out) / MACBytes; len(inputs) != n*MACInputBytes || len(out) != n*MACBytes {
		panic("keys: Tags needs n inputs of 48 bytes and room for n tags of 16")
	}
	var b cipher.Block
	switch kind {
	case KindToken:
		b = s.token
	case KindPass:
		b = s.pass
	default:
		panic("keys: Tags knows tokens (1) and passes (2)")
	}
	for len(out) > 0 {
		in, tag := inputs[:MACInputBytes:MACInputBytes], out[:MACBytes:MACBytes]
		b.Encrypt(tag, in[:16])
		xorBlock(tag, in[16:32])
		b.Encrypt(tag, tag)
		xorBlock(tag, in[32:48])
		b.Encrypt(tag, tag)
		inputs, out = inputs[MACInputBytes:], out[MACBytes:]
	}
}

// xorBlock adds the 16 bytes of b to those of a.
func xorBlock(a, b []byte) {
	le.PutUint64(a, le.Uint64(a)^le.Uint64(b))
	le.PutUint64(a[8:16], le.Uint64(a[8:16])^le.Uint64(b[8:16]))
}

// HeadMAC is the MAC over a head that clients carry from one server to
// another: HMAC-SHA-256 of (epoch u64, head), truncated.
func (s *Schedule) HeadMAC(epoch uint64, head [32]byte) [MACBytes]byte {
	h := hmac.New(sha256.New, s.head)
	h.Write(le.AppendUint64(nil, epoch))
	h.Write(head[:])
	return [MACBytes]byte(h.Sum(nil))
}

// CheckHead says whether mac is HeadMAC(epoch, head), in constant time.
func (s *Schedule) CheckHead(epoch uint64, head [32]byte, mac []byte) bool {
	want := s.HeadMAC(epoch, head)
	return subtle.ConstantTimeCompare(want[:], mac) == 1
}
