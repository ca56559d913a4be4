// Package probe is what sources call after package rewrite has gone over them:
// planted leaks ask it whether they are the one that is awake, and traced code
// tells it of every block, index and length. No production source imports it.
//
// It is oblivious to nothing and has global state; it is for one goroutine.
package probe

// Kind is a way to leak.
type Kind int

// The kinds of planted leaks.
const (
	Asleep Kind = iota
	Branch      // a branch on a secret
	Index       // a table entry at a secret index
	Exit        // a return that depends on a secret
	Loop        // a loop whose bound is secret
	Kinds  = Loop
)

func (k Kind) String() string {
	return [...]string{"no leak", "secret branch", "secret index", "early exit", "secret loop bound"}[k]
}

var (
	// Site and Wake choose the planted leak that is awake: its number, from 1.
	Site int
	Wake Kind
	// Hits counts how often the planted leak that is awake was passed.
	Hits int
	// Sink and Table are what planted leaks write and read.
	Sink  uint64
	Table [256]uint64
)

// Mutant returns how the site leaks; Asleep for all but one.
func Mutant(site int) Kind {
	if site != Site {
		return Asleep
	}
	Hits++
	return Wake
}

// Head returns a word of the first header, or 0.
func Head[T ~[4]uint64](s []T) uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[0][0]
}

// Told receives the trace: a site and what happened there. Nil discards.
var Told func(site int, value uint64)

// Block tells that a block of code is entered.
func Block(site int) {
	if Told != nil {
		Told(site, 0)
	}
}

// At tells of an index, an offset or a length, and returns it.
func At[T ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr](site int, i T) T {
	if Told != nil {
		Told(site, uint64(i))
	}
	return i
}

// Bool tells that the right side of && or || is evaluated, and returns it.
func Bool[T ~bool](site int, b T) T {
	Block(site)
	return b
}

// Copy is copy, telling of the length.
func Copy[T any](site int, dst, src []T) int {
	if Told != nil {
		Told(site, uint64(min(len(dst), len(src))))
	}
	return copy(dst, src)
}

// Clear is clear, telling of the length.
func Clear[T any](site int, s []T) {
	if Told != nil {
		Told(site, uint64(len(s)))
	}
	clear(s)
}

// Some returns something that depends on the first and the last element.
func Some[T ~uint8 | ~uint16 | ~uint32 | ~uint64](s []T) uint64 {
	if len(s) == 0 {
		return 0
	}
	return uint64(s[0]) + uint64(s[len(s)-1])
}

// From returns the element at place i, or 0.
func From[T ~uint8](s []T, i int) uint64 {
	if i >= len(s) {
		return 0
	}
	return uint64(s[i])
}
