package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestEra(t *testing.T) {
	e := Era{Step: 2, Era: 3, Held: [32]byte{1}, Attempt: [32]byte{2}, Next: [32]byte{3}, Fresh: [32]byte{4}}
	s := Secret{Era: 9, Master: [32]byte{5, 31: 6}}
	limits := &PeerLimits{Servers: 2}
	for _, c := range []struct {
		kind  Kind
		bytes []byte
		parse func([]byte) error
	}{
		{KindEra, e.Append(nil), new(Era).Parse},
		{KindSecret, s.Append(nil), new(Secret).Parse},
	} {
		if err := c.parse(c.bytes); err != nil {
			t.Error(err)
		}
		for _, b := range [][]byte{nil, c.bytes[1:], append(bytes.Clone(c.bytes), 0)} {
			if err := c.parse(b); !errors.Is(err, ErrLength) {
				t.Errorf("kind %d: %d bytes: %v", c.kind, len(b), err)
			}
			if err := (&PeerHeader{Kind: c.kind, Length: uint32(len(b))}).Check(limits); !errors.Is(err, ErrLength) {
				t.Errorf("kind %d: a header with %d bytes: %v", c.kind, len(b), err)
			}
		}
		if err := (&PeerHeader{Kind: c.kind, Length: uint32(len(c.bytes))}).Check(limits); err != nil {
			t.Error(err)
		}
	}
	var e2 Era
	var s2 Secret
	if e2.Parse(e.Append(nil)) != nil || s2.Parse(s.Append(nil)) != nil || e2 != e || s2 != s {
		t.Errorf("read back: %+v %+v", e2, s2)
	}
}
