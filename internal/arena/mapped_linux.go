package arena

import "syscall"

const hugePages = 14 // MADV_HUGEPAGE

// mapped maps size bytes, a multiple of the page, and starts them at a huge
// page.
func mapped(size int) (mapping, bool) {
	whole, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return mapping{}, false
	}
	b := aligned(whole)[:size:size]
	_ = syscall.Madvise(b, hugePages) // without them it is slower, no more
	return mapping{b: b, whole: whole}, true
}

// unmap gives a mapping back to the system; one that it does not take stays as
// it is, unused.
func unmap(m mapping) { _ = syscall.Munmap(m.whole) }
