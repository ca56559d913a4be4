// Package oblivious moves and sorts whole arrays of records without showing
// how: compaction, expansion, exact-size split, placement, sorting, scans over
// segments and over labels.
//
// It guarantees that the sequence of memory addresses, the instructions and
// the time of every function depend on public values only: lengths, widths,
// section sizes, numbers of cells and of workers. Marks, labels, keys, ranks
// and the records themselves are secret. The result is the same for any number
// of workers. Any length is allowed, 0 and 1 too. With one worker, a Workers
// that has seen its largest input allocates nothing more; with several, it
// allocates a little for handing out the work, as lengths alone decide.
//
// It does not check that secret inputs keep their promise (for instance that a
// label occurs as often as the size of its section says): the network would
// have to reveal it. Such inputs end in a wrong order, never in an
// out-of-range access or in a different trace. Panics tell of public mistakes,
// such as columns of different lengths.
package oblivious

import (
	"unsafe"

	"github.com/teems-go/teems/internal/kernel"
)

// Rows is a column of fixed-width records in one slice. Width, in bytes, is a
// positive multiple of 8, and divides len(Data).
type Rows struct {
	Data  []byte
	Width int
}

// MakeRows allocates a column of n zeroed records.
func MakeRows(n, width int) Rows {
	if n < 0 || width <= 0 || width%8 != 0 {
		panic("oblivious: width is not a positive multiple of 8")
	}
	return Rows{Data: bytesOf(make([]uint64, n*width/8)), Width: width}
}

// WordRows views words as a column of width 8, sharing memory.
func WordRows(words []uint64) Rows { return Rows{Data: bytesOf(words), Width: 8} }

// HeaderRows views headers as a column of width 32, sharing memory.
func HeaderRows(h []Header) Rows { return Rows{Data: bytesOf(h), Width: 32} }

// labelRows views labels as a column of width 4, which only this package uses.
func labelRows(labels []uint32) Rows { return Rows{Data: bytesOf(labels), Width: 4} }

func bytesOf[T uint32 | uint64 | Header](s []T) []byte {
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(t)))
}

// Len returns the number of records.
func (r Rows) Len() int {
	if r.Width == 0 {
		return 0
	}
	return len(r.Data) / r.Width
}

// Row returns record i; i must be public.
func (r Rows) Row(i int) []byte { return r.Data[i*r.Width : (i+1)*r.Width : (i+1)*r.Width] }

// Slice returns the records i to j-1, sharing memory; i and j must be public.
func (r Rows) Slice(i, j int) Rows {
	return Rows{Data: r.Data[i*r.Width : j*r.Width : j*r.Width], Width: r.Width}
}

// Header is a 32-byte sort header, compared by word 0 first, all four words.
type Header [4]uint64

func headerWords(h []Header) [][4]uint64 {
	return unsafe.Slice((*[4]uint64)(unsafe.Pointer(unsafe.SliceData(h))), len(h))
}

// checkColumns panics unless every column has n records of an allowed width.
func checkColumns(n int, cols []Rows) {
	for _, c := range cols {
		if c.Width <= 0 || c.Width%8 != 0 || len(c.Data) != n*c.Width {
			panic("oblivious: a column does not have the length of the marks or labels, or its width is not a multiple of 8")
		}
	}
}

// Tally adds to counts[l] the number of labels that are l. Labels from
// len(counts) on count nowhere. Every counter is touched for every label.
//
// Oblivious in labels and counts; leaks nothing. n*len(counts) steps.
func Tally(labels []uint32, counts []uint32) { kernel.Tally(labels, counts) }
