//go:build trace

package kernel

import "unsafe"

const traceOn = true

// TraceHook, in builds with the tag trace, is told of every kernel call: its
// name, up to two base addresses and all public arguments. It must be safe for
// concurrent use if the calls are. Only tests set it.
var TraceHook func(name string, a, b uintptr, public ...int)

func trace(name string, a, b unsafe.Pointer, public ...int) {
	if TraceHook != nil {
		TraceHook(name, uintptr(a), uintptr(b), public...)
	}
}
