//go:build !linux

package probe

// Tracked reports whether the system tracks connections over loopback.
func Tracked() bool { return false }
