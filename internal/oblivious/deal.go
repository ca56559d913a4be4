package oblivious

import (
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/kernel"
)

// longPattern is the length of a pattern from which two sorts are cheaper than
// a lookup of every record.
const longPattern = 512

// Deal replaces the labels by those of a cyclic pattern: the record at position
// p of the stable order by label, the first position being first, gets
// pattern[p mod len(pattern)]. Labels from sections on come last, in order.
// pattern is public and not empty, first is public and not negative.
//
// Oblivious in labels; leaks the length, sections, first and the pattern.
// RankByLabel and, unless the pattern counts 0, 1, 2, ..., a Lookup for every
// record; with a long pattern two sorts of words, so that the pattern can be
// indexed by public positions.
func (w *Workers) Deal(labels []uint32, sections, first int, pattern []uint32) {
	checkLength(len(labels))
	checkLength(sections)
	if len(pattern) == 0 || first < 0 {
		panic("oblivious: there is no pattern, or the first position is negative")
	}
	if len(pattern) >= longPattern {
		w.dealBySorting(labels, sections, first, pattern)
		return
	}
	n, at, wheel := len(labels), uint32(first%len(pattern)), choice.NewDivider(uint32(len(pattern)))
	w.ranks = grow(w.ranks, n)
	w.RankByLabel(labels, sections, w.ranks)
	parts := w.parts(n * (4 + len(pattern)/8))
	if parts == 1 {
		applyWheel(labels, w.ranks, at, wheel, pattern)
		return
	}
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		applyWheel(labels[a:b], w.ranks[a:b], at, wheel, pattern)
	})
}

// applyWheel sets labels to what the pattern says at their ranks, counted from
// first.
func applyWheel(labels, ranks []uint32, first uint32, wheel choice.Divider, pattern []uint32) {
	labels = labels[:len(ranks)]
	for i, rank := range ranks {
		_, labels[i] = wheel.DivMod(first + rank)
	}
	for i, x := range pattern {
		if x != uint32(i) {
			kernel.Lookup(pattern, labels, labels)
			return
		}
	}
}

// dealBySorting is Deal by bringing the records to their positions and back.
func (w *Workers) dealBySorting(labels []uint32, sections, first int, pattern []uint32) {
	n := len(labels)
	w.entries = grow(w.entries, n)
	e := w.entries
	parts := w.parts(n)
	if parts == 1 {
		byLabel(e, labels, 0, sections)
		w.Sort(e)
		applyPattern(e, first, pattern)
		w.Sort(e)
		lowerHalves(labels, e)
		return
	}
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		byLabel(e[a:b], labels[a:b], a, sections)
	})
	w.Sort(e)
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		applyPattern(e[a:b], first+a, pattern)
	})
	w.Sort(e)
	w.Each(parts, func(p int) {
		a, b := cut(n, parts, p), cut(n, parts, p+1)
		lowerHalves(labels[a:b], e[a:b])
	})
}

// byLabel makes entries of a label in the upper half, sections if it is out of
// range, and in the lower half the number of its record, from first on.
func byLabel(out []uint64, labels []uint32, first, sections int) {
	out = out[:len(labels)]
	for i, l := range labels {
		label := choice.Select(choice.Less(uint64(l), uint64(sections)), uint64(l), uint64(sections))
		out[i] = label<<32 | uint64(first+i)
	}
}

// applyPattern makes entries of the number of a record, and what the pattern says
// at the entry's place, from first on.
func applyPattern(e []uint64, first int, pattern []uint32) {
	at := first % len(pattern)
	for i, x := range e {
		e[i] = x<<32 | uint64(pattern[at])
		if at++; at == len(pattern) {
			at = 0
		}
	}
}

// lowerHalves takes the lower half of every entry.
func lowerHalves(out []uint32, e []uint64) {
	out = out[:len(e)]
	for i, x := range e {
		out[i] = uint32(x)
	}
}
