//go:build !linux

package arena

func mapped(int) (mapping, bool) { return mapping{}, false }

func unmap(mapping) {}
