//go:build !linux

package node

import "runtime"

// yield lets another goroutine go first.
func yield() { runtime.Gosched() }
