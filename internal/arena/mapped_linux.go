package arena

import "syscall"

const hugePages = 14 // MADV_HUGEPAGE

// mapped maps size bytes, a multiple of the page, and starts them at a huge
// page.
func mapped(size int) ([]byte, bool) {
	b, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, false
	}
	b = aligned(b)[:size:size]
	_ = syscall.Madvise(b, hugePages) // without them it is slower, no more
	return b, true
}
