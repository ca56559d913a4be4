//go:build !linux

package oblivious

import "runtime"

// yield lets another thread have the processor, if one waits for it.
func yield() { runtime.Gosched() }
