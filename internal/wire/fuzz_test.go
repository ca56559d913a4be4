package wire

import (
	"bytes"
	"errors"
	"testing"
)

// fuzzMessage: whatever parses is written back as it was, and parses the same.
func fuzzMessage(f *testing.F, typ Type) {
	var zero message
	for _, s := range samples() {
		if s.typ == typ {
			zero = s.m
			f.Add(s.m.Append(nil)[HeaderBytes:])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := fresh(zero)
		if m.Parse(b) != nil {
			return
		}
		frame := m.Append(nil)
		if !bytes.Equal(frame[HeaderBytes:], b) {
			t.Errorf("%x became %x", b, frame[HeaderBytes:])
		}
	})
}

func FuzzAttach(f *testing.F)        { fuzzMessage(f, TypeAttach) }
func FuzzAttached(f *testing.F)      { fuzzMessage(f, TypeAttached) }
func FuzzCellUp(f *testing.F)        { fuzzMessage(f, TypeCellUp) }
func FuzzCellDown(f *testing.F)      { fuzzMessage(f, TypeCellDown) }
func FuzzRefused(f *testing.F)       { fuzzMessage(f, TypeRefused) }
func FuzzFrontAttach(f *testing.F)   { fuzzMessage(f, TypeGatewayAttach) }
func FuzzDetach(f *testing.F)        { fuzzMessage(f, TypeDetach) }
func FuzzFrontCellUp(f *testing.F)   { fuzzMessage(f, TypeGatewayCellUp) }
func FuzzFrontAttached(f *testing.F) { fuzzMessage(f, TypeGatewayAttached) }
func FuzzFrontCellDown(f *testing.F) { fuzzMessage(f, TypeGatewayCellDown) }
func FuzzFrontRefused(f *testing.F)  { fuzzMessage(f, TypeGatewayRefused) }
func FuzzPropose(f *testing.F)       { fuzzMessage(f, TypePropose) }
func FuzzStatus(f *testing.F)        { fuzzMessage(f, TypeStatus) }
func FuzzStopped(f *testing.F)       { fuzzMessage(f, TypeStopped) }
func FuzzConnections(f *testing.F)   { fuzzMessage(f, TypeConnections) }

func FuzzPreamble(f *testing.F) {
	f.Add(Preamble{ServiceCells, 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParsePreamble(b); err == nil && !bytes.Equal(p.Append(nil), b) {
			t.Errorf("%x became %x", b, p.Append(nil))
		}
	})
}

func FuzzPeerHeader(f *testing.F) {
	h := PeerHeader{Kind: KindDeal, Length: 3360, Rows: 10, Part: 1, From: 2, Epoch: 7, Attempt: 1}
	f.Add(h.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h PeerHeader
		if h.Parse(b) != nil {
			return
		}
		if !bytes.Equal(h.Append(nil), b) {
			t.Errorf("%x became %x", b, h.Append(nil))
		}
		if h.Check(peerLimits) == nil && int(h.Length) > peerLimits.Bytes {
			t.Errorf("%d bytes were let through", h.Length)
		}
	})
}

func FuzzPeerPayloads(f *testing.F) {
	f.Add(make([]byte, 40))
	f.Add(make([]byte, 48))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Sync
		if s.Parse(b) == nil && !bytes.Equal(s.Append(nil), b) {
			t.Error("sync")
		}
		if m, err := ParseMembers(nil, b); err == nil && !bytes.Equal(AppendMembers(nil, m), b) {
			t.Error("members")
		}
		tags := make([]Tag, 3)
		if ParseTags(tags, b) == nil && !bytes.Equal(AppendTags(nil, tags), b) {
			t.Error("tags")
		}
	})
}

// FuzzStream reads any bytes as frames, in pieces of any size: what comes out
// is a prefix of what went in, and the same as Next finds in one piece.
func FuzzStream(f *testing.F) {
	var all []byte
	for _, s := range samples() {
		all = s.m.Append(all)
	}
	f.Add(all, uint8(3))
	f.Add(all[:20], uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		limits := everything()
		r := NewReader(&pieces{b, int(piece)%64 + 1}, 16)
		rest := b
		for {
			typ, payload, err := r.ReadFrame(limits)
			want, wantPayload, n, wantErr := Next(rest, limits)
			if wantErr == nil {
				if err != nil || typ != want || !bytes.Equal(payload, wantPayload) {
					t.Fatalf("%d, %x, %v; want %d, %x", typ, payload, err, want, wantPayload)
				}
				rest = rest[n:]
				continue
			}
			if err == nil {
				t.Fatalf("read a frame where Next says %v", wantErr)
			}
			if !errors.Is(wantErr, ErrMore) && !errors.Is(err, wantErr) {
				t.Fatalf("%v, want %v", err, wantErr)
			}
			return
		}
	})
}
