package keys

import (
	"errors"
	"os"
	"strings"
)

// ErrAES: AES would run on tables in memory, whose addresses show the key.
var ErrAES = errors.New("keys: AES does not run in constant time here")

// CheckAES says whether crypto/aes and its GCM use the processor's
// instructions, which take no time and touch no memory that depends on data.
// Go 1.26 does so on amd64 with AES, PCLMULQDQ, SSE4.1 and SSSE3, and on arm64
// with AES and PMULL, unless built with the tag purego or told otherwise by
// GODEBUG=cpu.*; else it falls back to tables. A server in a TEE checks this
// once, before it uses any key, and stops on ErrAES.
//
// The check reads the processor's features and the one environment variable
// by which Go lets itself be told to ignore them. That only ever makes a
// server refuse.
func CheckAES() error {
	if strings.Contains(os.Getenv("GODEBUG"), "cpu.") {
		return errors.Join(ErrAES, errors.New("keys: GODEBUG sets cpu options: run without"))
	}
	if !hardwareAES() {
		return errors.Join(ErrAES, errors.New("keys: the processor has no AES and carry-less multiplication instructions, or the build has the tag purego"))
	}
	return nil
}
