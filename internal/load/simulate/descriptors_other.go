//go:build !unix

package simulate

// descriptors has nothing to check.
func descriptors(int, string) error { return nil }
