package oblivious

import "github.com/teems-go/teems/internal/choice"

// SegmentRanks sets ranks[i] to the number of elements before i in its
// segment. A segment opens where starts[i] is 1 (the lowest bit counts) and
// lasts to the next opening; what comes before the first opening is a segment
// too.
//
// Oblivious in starts; leaks the length. One pass.
func (w *Workers) SegmentRanks(starts []byte, ranks []uint32) {
	mustMatch(len(starts), len(ranks))
	var r uint32
	for i, s := range starts {
		r &= uint32(s&1) - 1
		ranks[i] = r
		r++
	}
}

// SegmentFirst replaces every value by the first of its segment, with segments
// as for SegmentRanks.
//
// Oblivious in starts and values; leaks the length. One pass.
func (w *Workers) SegmentFirst(starts []byte, values []uint64) {
	mustMatch(len(starts), len(values))
	if len(values) == 0 {
		return
	}
	first := values[0]
	for i, s := range starts {
		first = choice.Select(choice.FromBit(uint64(s)), values[i], first)
		values[i] = first
	}
}

// SegmentSums replaces every value by the sum, modulo 2^32, of the values of
// its segment up to and including itself, with segments as for SegmentRanks.
//
// Oblivious in starts and values; leaks the length. One pass.
func (w *Workers) SegmentSums(starts []byte, values []uint32) {
	mustMatch(len(starts), len(values))
	var sum uint32
	for i, s := range starts {
		sum = sum&(uint32(s&1)-1) + values[i]
		values[i] = sum
	}
}

// SegmentStarts sets starts[i] to 1 where i is 0 or keys[i] differs from the
// key before it, else to 0: the segments of equal keys in a sorted array.
//
// Oblivious in keys; leaks the length. One pass.
func (w *Workers) SegmentStarts(keys []uint64, starts []byte) {
	mustMatch(len(keys), len(starts))
	if len(keys) == 0 {
		return
	}
	last := ^keys[0]
	for i, k := range keys {
		starts[i] = byte(choice.NonZero(k ^ last).Bit())
		last = k
	}
}

func mustMatch(a, b int) {
	if a != b {
		panic("oblivious: lengths differ")
	}
}
