//go:build !linux

package main

import "errors"

// ownNetwork is for Linux.
func ownNetwork() error { return errors.New("a network of its own is for Linux") }

func startLoopback() {}
