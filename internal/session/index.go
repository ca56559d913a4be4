package session

import "github.com/teems-go/teems/internal/record"

// index finds sessions by their IDs: an open-addressed table of a word for each
// session, half of it a hash of the ID, half the handle and 1. A Go map costs
// several times the memory, and its misses one after the other.
//
// Gateways choose the IDs, so the hash is keyed: whoever wants sessions to
// collide has to guess. All of it is public.
type index struct {
	memory record.Memory
	key    [2]uint64
	words  []uint64 // a power of two of them; 0 is free
	used   int
}

const leastIndex = 64

func newIndex(m record.Memory, key [16]byte) index {
	x := index{memory: m, words: record.Make[uint64](m, leastIndex)}
	for i, b := range key {
		x.key[i/8] |= uint64(b) << (i % 8 * 8)
	}
	return x
}

// hash mixes the ID with the key (the finalizer of MurmurHash3, twice), but for
// its lowest bits: IDs that follow each other, as gateways number them, are in
// one cache line.
func (x *index) hash(id uint64) uint64 {
	const line = 3 // log2 of words
	low := id & (1<<line - 1)
	h := id>>line ^ x.key[0]
	for range 2 {
		h ^= h >> 33
		h *= 0xff51afd7ed558ccd
		h ^= h >> 33
		h ^= x.key[1]
		h *= 0xc4ceb9fe1a85ec53
	}
	h ^= h >> 29
	return (h>>32^low)<<32 | uint64(uint32(h)<<line|uint32(low))
}

// find returns the handle of an ID. is says whether a handle has it; it is asked
// for those whose hash is the same, which is one but for chance.
func (x *index) find(id uint64, is func(Handle) bool) (Handle, bool) {
	at, ok := x.place(x.hash(id), is)
	if !ok {
		return 0, false
	}
	return Handle(x.words[at]) - 1, true
}

// place is where the entry with a hash is, for which is holds.
func (x *index) place(hash uint64, is func(Handle) bool) (at uint64, ok bool) {
	mask := uint64(len(x.words) - 1)
	for at = hash & mask; ; at = (at + 1) & mask {
		w := x.words[at]
		if w == 0 {
			return 0, false
		}
		if w>>32 == hash>>32 && is(Handle(w)-1) {
			return at, true
		}
	}
}

// add adds an ID that is not there. At most half of the table is used; idOf is
// for the hashes of those that move when it grows.
func (x *index) add(id uint64, h Handle, idOf func(Handle) uint64) {
	if 2*(x.used+1) > len(x.words) {
		old := x.words
		x.words = record.Make[uint64](x.memory, 2*len(old))
		for _, w := range old {
			if w != 0 {
				x.put(x.hash(idOf(Handle(w)-1)), w)
			}
		}
		record.Drop(x.memory, old)
	}
	x.used++
	hash := x.hash(id)
	x.put(hash, hash>>32<<32|uint64(h+1))
}

func (x *index) put(hash, word uint64) {
	mask := uint64(len(x.words) - 1)
	at := hash & mask
	for x.words[at] != 0 {
		at = (at + 1) & mask
	}
	x.words[at] = word
}

// remove takes an ID out that is there, and closes the gap: an entry that has
// probed beyond it moves up (Knuth, The Art of Computer Programming 3, 6.4,
// Algorithm R).
func (x *index) remove(id uint64, is func(Handle) bool, idOf func(Handle) uint64) {
	gap, ok := x.place(x.hash(id), is)
	if !ok {
		return
	}
	x.used--
	mask := uint64(len(x.words) - 1)
	for at := (gap + 1) & mask; x.words[at] != 0; at = (at + 1) & mask {
		home := x.hash(idOf(Handle(x.words[at])-1)) & mask
		if (at-home)&mask >= (at-gap)&mask {
			x.words[gap] = x.words[at]
			gap = at
		}
	}
	x.words[gap] = 0
}
