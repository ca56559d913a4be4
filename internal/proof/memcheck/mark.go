//go:build linux && amd64

package memcheck

// Mark stops the program for whoever traces it: package step. Without a tracer
// it ends it.
func Mark()
