package arena

import "unsafe"

// aligned drops what lies before the first huge page.
func aligned(b []byte) []byte {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return b[(page-at%page)%page:]
}
