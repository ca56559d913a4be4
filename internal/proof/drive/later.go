//go:build linux && amd64

package main

func trace(o options) bool { return false }
func step(o options) bool  { return false }
func times(o options) bool { return false }
