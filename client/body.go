package client

import "encoding/binary"

// The layout of a body; see the package comment.
const (
	bodyHeader  = 4
	bodyVersion = 1
)

// putBody writes a payload, which fits, into a body of zeros.
func putBody(body, payload []byte) {
	body[0] = bodyVersion
	binary.LittleEndian.PutUint16(body[2:], uint16(len(payload)))
	copy(body[bodyHeader:], payload)
}

// getBody returns a copy of the payload in a body; not ok if the sender did not
// keep to the layout.
func getBody(body []byte) (payload []byte, ok bool) {
	if len(body) < bodyHeader || body[0] != bodyVersion || body[1] != 0 {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint16(body[2:]))
	if n > len(body)-bodyHeader {
		return nil, false
	}
	for _, b := range body[bodyHeader+n:] {
		if b != 0 {
			return nil, false
		}
	}
	return append([]byte{}, body[bodyHeader:bodyHeader+n]...), true
}
