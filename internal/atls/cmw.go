package atls

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/teems-go/teems/attest"
)

// The extension's value (RFC 9999): a DER OCTET STRING around a CMW record in
// CBOR, [media type, value, indicator], where the value is encoded evidence
// and the indicator has the bit for evidence. Exactly one encoding is made,
// and no other is accepted: definite and shortest lengths everywhere.
const (
	cmwMediaType = "application/vnd.teems.evidence"
	cmwEvidence  = 1 << 2 // the indicator

	// maxCMWBytes bounds the extension's value: heads of at most 5 bytes for
	// the OCTET STRING, the array, the text, the bytes and the indicator.
	maxCMWBytes = attest.MaxEvidenceBytes + len(cmwMediaType) + 5*5
)

var errCMW = errors.New("malformed CMW")

const (
	cborUint  = 0 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5

	derOctetString = 0x04
)

func encodeExtension(e attest.Evidence) ([]byte, error) {
	raw, err := e.Encode()
	if err != nil {
		return nil, err
	}
	r := appendHead(nil, cborArray, 3)
	r = appendHead(r, cborText, uint64(len(cmwMediaType)))
	r = append(r, cmwMediaType...)
	r = appendHead(r, cborBytes, uint64(len(raw)))
	r = append(r, raw...)
	r = appendHead(r, cborUint, cmwEvidence)
	return append(appendDERHead(nil, len(r)), r...), nil
}

func parseExtension(b []byte) (attest.Evidence, error) {
	fail := func(what string) (attest.Evidence, error) {
		return attest.Evidence{}, fmt.Errorf("%w: %s", errCMW, what)
	}
	if len(b) > maxCMWBytes {
		return fail("too long")
	}
	r, ok := cutDER(b)
	if !ok {
		return fail("not one OCTET STRING")
	}
	n, r, ok := cutHead(r, cborArray)
	if !ok || n != 3 {
		return fail("not a record of three")
	}
	n, r, ok = cutHead(r, cborText)
	if !ok || n != uint64(len(cmwMediaType)) || n > uint64(len(r)) || string(r[:n]) != cmwMediaType {
		return fail("not of the media type " + cmwMediaType)
	}
	r = r[n:]
	n, r, ok = cutHead(r, cborBytes)
	if !ok || n > uint64(len(r)) {
		return fail("its value is not a byte string")
	}
	raw, r := r[:n], r[n:]
	n, r, ok = cutHead(r, cborUint)
	if !ok || n != cmwEvidence || len(r) != 0 {
		return fail("its indicator is not that of evidence, or something follows it")
	}
	return attest.ParseEvidence(raw)
}

// appendHead appends the head of a CBOR item in its shortest form.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
}

// cutHead reads the head of a CBOR item of the major type and returns what
// follows. Heads of more than 32 bits and those not in shortest form are
// refused.
func cutHead(b []byte, major byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 || b[0]&0xe0 != major {
		return 0, nil, false
	}
	info, b := b[0]&0x1f, b[1:]
	switch {
	case info < 24:
		return uint64(info), b, true
	case info == 24 && len(b) >= 1:
		n = uint64(b[0])
		return n, b[1:], n >= 24
	case info == 25 && len(b) >= 2:
		n = uint64(binary.BigEndian.Uint16(b))
		return n, b[2:], n >= 1<<8
	case info == 26 && len(b) >= 4:
		n = uint64(binary.BigEndian.Uint32(b))
		return n, b[4:], n >= 1<<16
	}
	return 0, nil, false
}

// appendDERHead appends tag and length of an OCTET STRING of n < 2^24 bytes.
func appendDERHead(b []byte, n int) []byte {
	b = append(b, derOctetString)
	switch {
	case n < 1<<7:
		return append(b, byte(n))
	case n < 1<<8:
		return append(b, 0x81, byte(n))
	case n < 1<<16:
		return append(b, 0x82, byte(n>>8), byte(n))
	default:
		return append(b, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
}

// cutDER returns the content of an OCTET STRING that takes all of b.
func cutDER(b []byte) ([]byte, bool) {
	for _, head := range []int{2, 3, 4, 5} {
		n := len(b) - head
		if n < 0 {
			return nil, false
		}
		if want := appendDERHead(nil, n); len(want) == head && string(want) == string(b[:head]) {
			return b[head:], true
		}
	}
	return nil, false
}
