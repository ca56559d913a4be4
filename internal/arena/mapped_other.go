//go:build !linux

package arena

func mapped(int) ([]byte, bool) { return nil, false }
