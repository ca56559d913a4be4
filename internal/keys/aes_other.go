//go:build purego || !(amd64 || arm64)

package keys

func hardwareAES() bool { return false }
