//go:build linux && amd64 && proof && trace

package main

import "github.com/teems-go/teems/internal/kernel"

func init() {
	hear = func(f func(string, uintptr, uintptr, ...int)) { kernel.TraceHook = f }
}
