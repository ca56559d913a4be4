//go:build linux

package oblivious

import (
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// arena returns zeroed memory in huge pages, where the system has them, as the
// servers use.
func arena[T any](b *testing.B, n int) []T {
	var t T
	const huge, adviseHuge = 2 << 20, 14
	size := n*int(unsafe.Sizeof(t)) + huge
	m, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { syscall.Munmap(m) })
	syscall.Madvise(m, adviseHuge) // a wish
	clear(m)
	skip := -int(uintptr(unsafe.Pointer(&m[0]))) & (huge - 1)
	return unsafe.Slice((*T)(unsafe.Pointer(&m[skip])), n)
}

// arenaRows is a column in an arena.
func arenaRows(b *testing.B, n, width int) Rows {
	return Rows{arena[byte](b, n*width), width}
}

// processTime returns the processor time that this process has used.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
