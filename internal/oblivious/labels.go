package oblivious

import "github.com/teems-go/teems/internal/kernel"

// RankByLabel sets ranks[i] to the position of record i in the stable order by
// label. Labels from sections on come last, in order.
//
// Oblivious in labels; leaks the length and sections. n*sections steps: every
// counter is touched for every label.
func (w *Workers) RankByLabel(labels []uint32, sections int, ranks []uint32) {
	mustMatch(len(labels), len(ranks))
	checkLength(len(labels))
	checkLength(sections)
	// One row of counters a part: how many labels it has of each kind, then the
	// rank of its first of each. The last counter is for labels out of range.
	n, width := len(labels), sections+1
	parts := w.tally(labels, sections, width)
	for p := range parts {
		counts := w.totals[p*width : (p+1)*width]
		others := uint32(cut(n, parts, p+1) - cut(n, parts, p))
		for _, c := range counts[:sections] {
			others -= c
		}
		counts[sections] = others
	}
	var next uint32
	for l := range width {
		for p := range parts {
			count := &w.totals[p*width+l]
			next, *count = next+*count, next
		}
	}
	if parts == 1 {
		kernel.RankLabels(labels, w.totals, ranks)
		return
	}
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		kernel.RankLabels(labels[a:b], w.totals[p*width:(p+1)*width], ranks[a:b])
	})
}

// tally cuts the labels into parts and counts, in rows of the width in totals,
// those below sections in each part. It returns the number of parts.
func (w *Workers) tally(labels []uint32, sections, width int) int {
	n := len(labels)
	parts := w.parts(n * sections)
	w.totals = grow(w.totals, parts*width)
	clear(w.totals)
	if parts == 1 {
		kernel.Tally(labels, w.totals[:sections])
		return 1
	}
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		kernel.Tally(labels[a:b], w.totals[p*width:p*width+sections])
	})
	return parts
}

// Exact makes labels fit for a split into sections of the given sizes and a
// last one for what is left over. Labels below len(sizes) are real, all others
// are dummies, and there must be at least as many labels as the sizes sum to.
// Of the records with real label l, those after the first sizes[l] become
// dummies. Then the dummies, in order, fill the sections that lack records,
// from section 0 on, and the rest get label len(sizes). Afterwards label l
// occurs exactly sizes[l] times for every l below len(sizes), and
// len(labels) - sum(sizes) labels are len(sizes). kept[i] is set to 1 if
// record i stayed real, else to 0.
//
// Oblivious in labels and kept; leaks the length and sizes. n*len(sizes)
// steps, two or three times.
func (w *Workers) Exact(labels []uint32, sizes []int, kept []byte) {
	mustMatch(len(labels), len(kept))
	checkLength(len(labels))
	checkLength(len(sizes))
	n, s := len(labels), len(sizes)
	left := n
	for _, size := range sizes {
		if size < 0 || size > left {
			panic("oblivious: the sizes of the sections sum to more than there are labels")
		}
		left -= size
	}
	parts := w.parts(n * s)
	w.limits = grow(w.limits, s)
	if parts == 1 {
		w.totals = grow(w.totals, s)
		for l, size := range sizes {
			w.totals[l] = uint32(size)
		}
		kernel.KeepLabels(labels, w.totals, kept)
		var sum uint32
		for l, deficit := range w.totals {
			sum += deficit
			w.limits[l] = sum
		}
		kernel.FillLabels(labels, kept, w.limits, 0)
		return
	}
	w.exactParts(labels, sizes, kept)
}

// exactParts is Exact with the labels cut into parts: count them, then let
// each part know the room that those before it leave.
func (w *Workers) exactParts(labels []uint32, sizes []int, kept []byte) {
	n, s := len(labels), len(sizes)
	parts := w.tally(labels, s, s)
	var sum uint32
	for l, size := range sizes {
		room := uint32(size)
		for p := range parts {
			count := &w.totals[p*s+l]
			// What is left is max(room - count, 0), without a branch.
			rest := int64(room) - int64(*count)
			*count, room = room, uint32(rest&^(rest>>63))
		}
		sum += room
		w.limits[l] = sum
	}
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		kernel.KeepLabels(labels[a:b], w.totals[p*s:(p+1)*s], kept[a:b])
	})
	// The number of dummies before each part.
	w.totals = grow(w.totals, parts)
	w.Each(parts, func(p int) {
		var dummies uint32
		for _, k := range kept[cut(n, parts, p):cut(n, parts, p+1)] {
			dummies += 1 - uint32(k&1)
		}
		w.totals[p] = dummies
	})
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		var before uint32
		for _, dummies := range w.totals[:p] {
			before += dummies
		}
		kernel.FillLabels(labels[a:b], kept[a:b], w.limits, before)
	})
}
