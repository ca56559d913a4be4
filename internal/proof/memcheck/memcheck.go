//go:build linux && amd64

// Package memcheck speaks to valgrind's memcheck from inside a program: it
// marks memory undefined, which makes memcheck report every branch and every
// address that depends on it, and defined again. Outside valgrind its functions
// do nothing and are cheap.
//
// It needs no cgo: a client request is a no-op sequence of instructions that
// valgrind recognises (valgrind.h, __SPECIAL_INSTRUCTION_PREFIX).
package memcheck

import "unsafe"

// Codes of requests: valgrind.h and memcheck.h.
const (
	runningOnValgrind = 0x1001
	countErrors       = 0x1201
	printMessage      = 0x1403 // VALGRIND_PRINTF_VALIST_BY_REF
	makeUndefined     = 'M'<<24 | 'C'<<16 | 1
	makeDefined       = 'M'<<24 | 'C'<<16 | 2
)

// request does the client request and returns its result, or 0 outside
// valgrind.
//
//go:noescape
func request(args *[6]uint64) uint64

// Running reports whether the program runs under valgrind.
func Running() bool { return request(&[6]uint64{runningOnValgrind}) > 0 }

// Undefined marks b as secret.
func Undefined(b []byte) { mark(makeUndefined, b) }

// Defined marks b as public.
func Defined(b []byte) { mark(makeDefined, b) }

func mark(code uint64, b []byte) {
	if len(b) > 0 {
		request(&[6]uint64{code, uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), uint64(len(b))})
	}
}

// Errors is the number of errors that memcheck has counted so far.
func Errors() uint64 { return request(&[6]uint64{countErrors}) }

// vaList is the argument list of a System V printf with no arguments.
type vaList struct {
	gp, fp        uint32
	overflow, reg uintptr
}

// Print writes a line into valgrind's log. It must not contain %.
func Print(line string) {
	text := append([]byte(line), '\n', 0)
	var list vaList
	list.gp, list.fp = 48, 176
	request(&[6]uint64{printMessage, uint64(uintptr(unsafe.Pointer(&text[0]))), uint64(uintptr(unsafe.Pointer(&list)))})
}
