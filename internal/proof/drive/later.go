//go:build linux && amd64

package main

func times(o options) bool { return false }
