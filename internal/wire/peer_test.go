package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"testing"
)

var peerLimits = &PeerLimits{Bytes: 1 << 20, Servers: 3, RowBytes: 336}

func TestPeerHeader(t *testing.T) {
	h := PeerHeader{0x04030201, KindDeal, 0x0201, 0x0807060504030201, 0x0a09, 0x14131211, 0x24232221, [32]byte{0xaa, 31: 0xbb}}
	b := h.Append(nil)
	want := "01020304" + "0400" + "0102" + "0102030405060708" + "090a" + "0000" + "11121314" + "21222324" + "00000000" +
		"aa000000000000000000000000000000000000000000000000000000000000bb"
	if hex.EncodeToString(b) != want {
		t.Errorf("%x, want %s", b, want)
	}
	var back PeerHeader
	if err := back.Parse(b); err != nil || back != h {
		t.Errorf("%+v, %v", back, err)
	}
	for _, at := range []int{18, 19, 28, 29, 30, 31} {
		bad := bytes.Clone(b)
		bad[at] = 1
		if err := back.Parse(bad); !errors.Is(err, ErrReserved) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	for _, kind := range []byte{0, 11} {
		bad := bytes.Clone(b)
		bad[4] = kind
		if err := back.Parse(bad); !errors.Is(err, ErrType) {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
	for _, bad := range [][]byte{nil, b[:63], append(bytes.Clone(b), 0)} {
		if err := back.Parse(bad); !errors.Is(err, ErrLength) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

func TestPeerCheck(t *testing.T) {
	type h = PeerHeader
	for _, c := range []struct {
		h    h
		want error
	}{
		{h{Kind: KindSync, Length: 40}, nil},
		{h{Kind: KindSync, Length: 41}, ErrLength},
		{h{Kind: KindSync, Length: 40, Rows: 1}, ErrValue},
		{h{Kind: KindHeaders, Length: 240, Rows: 10, Part: 7, From: 2}, nil},
		{h{Kind: KindHeaders, Length: 240, Rows: 11}, ErrLength},
		{h{Kind: KindHeaders}, nil},
		{h{Kind: KindHeaders, From: 3}, ErrValue},
		{h{Kind: KindRanks, Length: 40, Rows: 10}, nil},
		{h{Kind: KindRanks, Length: 39, Rows: 10}, ErrLength},
		{h{Kind: KindDeal, Length: 3360, Rows: 10}, nil},
		{h{Kind: KindSection, Length: 336 * 3120, Rows: 3120}, nil},
		{h{Kind: KindSection, Length: 336 * 3121, Rows: 3121}, ErrLength},
		{h{Kind: KindDeal, Length: 336, Rows: math.MaxUint32}, ErrLength},
		{h{Kind: KindDeal, Length: 336, Rows: 1, Part: math.MaxUint32}, ErrValue},
		{h{Kind: KindDeal, Length: 336, Rows: 1, Part: math.MaxUint32 - 1}, nil},
		{h{Kind: KindMembers, Length: 80, Rows: 2}, nil},
		{h{Kind: KindMembers, Length: 80, Rows: 3}, ErrLength},
		{h{Kind: KindPrepared, Length: 16}, nil},
		{h{Kind: KindPrepared, Length: 16, Rows: 1}, nil},
		{h{Kind: KindPrepared, Length: 16, Rows: 2}, ErrValue},
		{h{Kind: KindPrepared, Length: 16, Part: 1}, ErrValue},
		{h{Kind: KindPrepared, Length: 32, Rows: 2}, ErrLength},
		{h{Kind: KindCommitted, Length: 48, Rows: 3}, nil},
		{h{Kind: KindCommitted, Length: 48}, nil},
		{h{Kind: KindCommitted, Length: 32, Rows: 2}, ErrLength},
		{h{Kind: 11}, ErrType},
	} {
		if err := c.h.Check(peerLimits); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.h, err, c.want)
		}
	}
}

func TestPeerPayloads(t *testing.T) {
	s := Sync{0x0807060504030201, [32]byte{0xaa, 31: 0xbb}}
	var back Sync
	if b := s.Append(nil); len(b) != 40 || back.Parse(b) != nil || back != s || b[0] != 1 || b[8] != 0xaa {
		t.Errorf("%x, %+v", b, back)
	}
	if err := back.Parse(make([]byte, 39)); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
	members := []Member{{1, 2, [32]byte{3}}, {4, 5, [32]byte{31: 6}}}
	b := AppendMembers(nil, members)
	if got, err := ParseMembers(nil, b); err != nil || !reflect.DeepEqual(got, members) || len(b) != 80 || b[0] != 1 || b[4] != 2 || b[8] != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseMembers(nil, b[:79]); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
	tags := []Tag{{1}, {15: 2}, {3}}
	b = AppendTags(nil, tags)
	got := make([]Tag, 3)
	if err := ParseTags(got, b); err != nil || !reflect.DeepEqual(got, tags) {
		t.Errorf("%x, %v", got, err)
	}
	if err := ParseTags(got, b[:32]); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
	if tag, err := ParseTag(b[:16]); err != nil || tag != tags[0] {
		t.Errorf("%x, %v", tag, err)
	}
	if _, err := ParseTag(b); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
}
