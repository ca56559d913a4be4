package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
)

// MACs makes the MACs of tokens and passes, in batches. One per worker: it is
// not safe for concurrent use; Clone makes more.
//
// Oblivious in inputs and keys; the kind is public, and so is n. Two SHA-256
// blocks a MAC. Allocates nothing after its first use.
type MACs struct {
	s    *Schedule
	hash [2]hash.Hash // of tokens, of passes
	sum  [sha256.Size]byte
}

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

// MACs makes an instance for one worker.
func (s *Schedule) MACs() *MACs {
	return &MACs{s: s, hash: [2]hash.Hash{hmac.New(sha256.New, s.token), hmac.New(sha256.New, s.pass)}}
}

// Clone makes an instance with the same keys for another worker.
func (m *MACs) Clone() *MACs { return m.s.MACs() }

// Tags computes HMAC-SHA-256, truncated to 16 bytes, of each of the n inputs
// of 48 bytes under the key of kind, KindToken or KindPass. inputs has n*48
// bytes, out n*16. It panics if the lengths differ or the kind is unknown:
// both are public and fixed by the code that calls.
func (m *MACs) Tags(kind uint8, inputs, out []byte) {
	checkTags(kind, inputs, out)
	h := m.hash[kind-1]
	for i := range len(out) / MACBytes {
		h.Reset()
		h.Write(inputs[i*MACInputBytes : (i+1)*MACInputBytes])
		copy(out[i*MACBytes:(i+1)*MACBytes], h.Sum(m.sum[:0]))
	}
}

func checkTags(kind uint8, inputs, out []byte) {
	if n := len(out) / MACBytes; len(inputs) != n*MACInputBytes || len(out) != n*MACBytes {
		panic("keys: Tags needs n inputs of 48 bytes and room for n tags of 16")
	}
	if kind != KindToken && kind != KindPass {
		panic("keys: Tags knows tokens (1) and passes (2)")
	}
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
