package tsm

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzTable: what is taken out of the host's table of certificates was in it.
func FuzzTable(f *testing.F) {
	entry := func(id [16]byte, from, n uint32) []byte {
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(id[:], from), n)
	}
	f.Add(append(append(entry(guidVCEK, 48, 3), make([]byte, 24)...), "key"...))
	f.Add(append(entry(guidVLEK, 0xffffffff, 0xffffffff), make([]byte, 24)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, table []byte) {
		for _, vlek := range []bool{false, true} {
			if b, err := endorsement(table, vlek); err == nil && !bytes.Contains(table, b) {
				t.Errorf("%x comes out of %x", b, table)
			}
		}
		trimQuote(table)
	})
}
