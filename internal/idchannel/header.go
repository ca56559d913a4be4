package idchannel

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

// A ranking is where a scan of sorted headers stands: the recipient and class
// of the last header and its rank among those, or at least as much as any class
// has room for if it is that.
type ranking struct{ group, rank uint64 }

// rankings appends to r, for every part of the sorted headers, the ranking
// before it, so that parts can be scanned by themselves: it looks back no
// further than a class has room. Oblivious in the headers.
func rankings(r []ranking, h []oblivious.Header, k Classes) []ranking {
	room := int(max(k.Contact, k.Stranger))
	for p := range parts(len(h)) {
		from, _ := part(len(h), p)
		state := ranking{group: ones}
		for i := max(0, from-room-1); i < from; i++ {
			state.next(h[i])
		}
		r = append(r, state)
	}
	return r
}

// next goes on to a header and returns its rank.
func (r *ranking) next(h oblivious.Header) uint64 {
	group := h[0] >> 31
	r.rank = (r.rank + 1) & uint64(choice.Eq(group, r.group))
	r.group = group
	return r.rank
}

// keeps tells if a header of the rank is real and within its class's room.
func (k Classes) keeps(h oblivious.Header, rank uint64) choice.Mask {
	return choice.NonZero(recipientOf(h[0])^noRecipient) & choice.Less(rank, k.room(h[0]))
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
