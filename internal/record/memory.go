package record

import (
	"unsafe"

	"github.com/teems-go/teems/internal/oblivious"
)

// Memory is where bulk arrays live. Get returns n bytes, aligned to 64, with any
// content but secrets of another trust domain; Put gives them back.
type Memory interface {
	Get(n int) []byte
	Put(b []byte)
}

// Heap is memory of the garbage collector's.
type Heap struct{}

// Get implements Memory.
func (Heap) Get(n int) []byte { return oblivious.MakeRows((n+7)/8, 8).Data[:n] }

// Put implements Memory.
func (Heap) Put([]byte) {}

// Make returns n elements in m's memory, all zero. T must have neither pointers
// nor a size of 0: the garbage collector does not look into bulk memory.
func Make[T any](m Memory, n int) []T {
	var t T
	size := int(unsafe.Sizeof(t))
	b := m.Get(max(n, 1) * size) // not less than an element, which the pointer is to
	clear(b)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), cap(b)/size)[:n]
}

// Drop gives back what Make made, or its beginning.
func Drop[T any](m Memory, s []T) {
	if cap(s) == 0 {
		return
	}
	var t T
	s = s[:cap(s)]
	m.Put(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(t))))
}

// Remake returns n elements in the memory of s, which Make made, where that is
// large enough, and else in new memory, for which that of s is given back. The
// content is unspecified.
func Remake[T any](m Memory, s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	Drop(m, s)
	return Make[T](m, n)
}
