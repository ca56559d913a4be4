// Package cases sets up every primitive and every role's machine so that all
// its secrets are known: where they lie in memory, and how to draw new ones of
// the same public shape. The checks run them in their own ways.
//
// Contracts about secrets (a label occurs so often, a permutation is one) are
// kept in some draws and broken in others: package oblivious promises the same
// trace either way.
package cases

import (
	"math/rand/v2"
	"slices"
	"unsafe"

	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/oblivious"
)

// Case is one function, or a few that belong together.
type Case struct {
	Name   string   // of the first function, for reports: "kernel.SortWords"
	Covers []string // more functions that it runs, besides Name
	make   func(b *Builder) func()
}

// Functions are those that the case checks.
func (c Case) Functions() []string { return append([]string{c.Name}, c.Covers...) }

// Ready is a case with its memory.
type Ready struct {
	Secrets [][]byte // views of all secret memory that Do reads
	Do      func()
	fills   []func(r *rand.Rand)
}

// Fill draws new secrets.
func (x *Ready) Fill(r *rand.Rand) {
	for _, f := range x.fills {
		f(r)
	}
}

// Setup makes the case ready at size n with t workers.
func (c Case) Setup(n, t int) *Ready {
	b := &Builder{N: n, W: oblivious.NewWorkers(t), workers: t}
	share(b.W)
	x := &Ready{Do: c.make(b)}
	x.Secrets, x.fills = b.secrets, b.fills
	return x
}

// Builder allocates a case's memory.
type Builder struct {
	N       int
	W       *oblivious.Workers
	workers int
	secrets [][]byte
	fills   []func(*rand.Rand)
}

// secret registers memory and how to fill it.
func secret[T any](b *Builder, s []T, fill func(r *rand.Rand, s []T)) []T {
	var t T
	b.secrets = append(b.secrets, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(t))))
	b.fills = append(b.fills, func(r *rand.Rand) { fill(r, s) })
	return s
}

// mood is how many bits the values of one draw have: extremes are likely.
func mood(r *rand.Rand) uint64 {
	switch r.IntN(6) {
	case 0:
		return 0
	case 1:
		return 1
	case 2:
		return 7
	default:
		return ^uint64(0)
	}
}

func (b *Builder) words(n int) []uint64 {
	return secret(b, make([]uint64, n), func(r *rand.Rand, s []uint64) {
		m := mood(r)
		for i := range s {
			s[i] = r.Uint64() & m
		}
	})
}

// labels are below bound or a little above it.
func (b *Builder) labels(n, bound int) []uint32 {
	return secret(b, make([]uint32, n), func(r *rand.Rand, s []uint32) {
		over := bound + 1 + r.IntN(3)
		for i := range s {
			s[i] = uint32(r.IntN(over))
		}
	})
}

// section labels occur exactly as often as sizes say.
func (b *Builder) sections(sizes []int) []uint32 {
	var all []uint32
	for l, size := range sizes {
		for range size {
			all = append(all, uint32(l))
		}
	}
	return secret(b, slices.Clone(all), func(r *rand.Rand, s []uint32) {
		copy(s, all)
		for i := range s {
			j := r.IntN(i + 1)
			s[i], s[j] = s[j], s[i]
		}
	})
}

// marks are 0 or 1 in some draws and any byte in others.
func (b *Builder) marks(n int) []byte {
	return secret(b, make([]byte, n), func(r *rand.Rand, s []byte) {
		m := byte(mood(r))
		for i := range s {
			s[i] = byte(r.Uint32()) & m
		}
	})
}

func (b *Builder) bytes(n int) []byte { return b.marks(n) }

func (b *Builder) rows(n, width int) oblivious.Rows {
	c := oblivious.MakeRows(n, width)
	secret(b, c.Data, func(r *rand.Rand, s []byte) {
		for i := range s {
			s[i] = byte(r.Uint32())
		}
	})
	return c
}

func (b *Builder) headers(n int) []oblivious.Header {
	return secret(b, make([]oblivious.Header, n), func(r *rand.Rand, s []oblivious.Header) {
		m := mood(r)
		for i := range s {
			s[i] = oblivious.Header{r.Uint64() & m, r.Uint64() & m, r.Uint64(), uint64(i)}
		}
	})
}

// mask makes a mask of a secret word.
func mask(x uint64) choice.Mask { return choice.FromBit(x) }

// sizes cuts n into s public sections, one of them empty.
func sizes(n, s int) []int {
	out := make([]int, s)
	for i := range n {
		out[i%max(1, s-1)]++
	}
	return out
}
