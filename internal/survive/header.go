package survive

import (
	"encoding/binary"

	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/oblivious"
)

// ones is a dummy's key word, and its top half is a dummy's recipient.
const (
	ones        = ^uint64(0)
	noRecipient = ones >> 32
)

// partRows is how many rows a worker takes at a time. It is public, and does
// not depend on the number of workers.
const partRows = 1 << 13

// parts returns into how many parts n rows are cut.
func parts(n int) int { return (n + partRows - 1) / partRows }

// part returns where a part of n rows begins and ends.
func part(n, p int) (from, to int) { return p * partRows, min(n, (p+1)*partRows) }

// key returns the three key words of a header, or all ones if it is not real.
// A record to recipient 2^32-1 is never real. Oblivious in all arguments.
func key(real choice.Mask, recipient uint32, class byte, priority uint32, tie uint64, sender uint32, index uint16) [3]uint64 {
	dummy := uint64(real.Not() | choice.Eq(uint64(recipient), noRecipient))
	down := uint64(^priority)
	return [3]uint64{
		dummy | uint64(recipient)<<32 | uint64(class&1)<<31 | down>>1,
		dummy | down<<63 | tie>>1,
		dummy | tie<<63 | uint64(sender)<<31 | uint64(index)<<15,
	}
}

// recipientOf returns the recipient in a header's first word.
func recipientOf(word0 uint64) uint64 { return word0 >> 32 }

// isStranger returns the mask of a header's class being Stranger.
func isStranger(word0 uint64) choice.Mask { return choice.FromBit(word0 >> 31) }

// room returns how many messages of the class of a header survive.
func (k Classes) room(word0 uint64) uint64 {
	return choice.Select(isStranger(word0), uint64(k.Stranger), uint64(k.Contact))
}

// scan ranks sorted headers within recipient and class and calls f with the
// rank of each in order; kept tells if it is a real header within the class's
// room. Oblivious in the headers; one step per header.
func scan(h []oblivious.Header, k Classes, f func(i int, rank uint64, kept choice.Mask)) {
	group, rank := ones, uint64(0)
	for i := range h {
		g := h[i][0] >> 31
		rank = (rank + 1) & uint64(choice.Eq(g, group))
		group = g
		real := choice.NonZero(recipientOf(h[i][0]) ^ noRecipient)
		f(i, rank, real&choice.Less(rank, k.room(h[i][0])))
	}
}

func putKey(b []byte, k [3]uint64) {
	b = b[:RowBytes]
	binary.LittleEndian.PutUint64(b, k[0])
	binary.LittleEndian.PutUint64(b[8:], k[1])
	binary.LittleEndian.PutUint64(b[16:], k[2])
}

// grow returns s with length n, reallocated if it is too small.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
