package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// message is what all frames with types have.
type message interface {
	Append([]byte) []byte
	Parse([]byte) error
}

// sample is a message of one type: its encoding, checked against
// docs/protocol.md by hand, and where it may not be changed without notice.
type sample struct {
	typ      Type
	m        message
	hex      string // of the payload
	reserved []int  // offsets of bytes that must be zero
	bad      map[int]byte
}

var salt = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

const saltHex = "0102030405060708090a0b0c0d0e0f10"

var proof = [16]byte{0xf1, 0xf2, 15: 0xff}

const proofHex = "f1f2" + "00000000000000000000000000" + "ff"

func samples() []sample {
	sealed := bytes.Repeat([]byte{0xab}, 17)
	sealedHex := strings.Repeat("ab", 17)
	up := CellUp{2, 0x0807060504030201, 0x1817161514131211, sealed}
	upHex := "02000000" + "0102030405060708" + "1112131415161718" + sealedHex
	down := CellDown{4, 0x0201, 0x0807060504030201, sealed}
	downHex := "04000102" + "0102030405060708" + sealedHex
	attached := Attached{0x04030201, salt, 0x14131211}
	attachedHex := "01020304" + saltHex + "11121314"
	refused := Refused{CodeAlready, 0x0807060504030201}
	refusedHex := "05000000" + "0102030405060708"
	roster := NewRoster(11)
	roster.Set(1, 0, true)
	roster.Set(1, 10, true)
	roster.Set(2, 9, true)
	return []sample{
		{TypeAttach, &Attach{0x04030201, salt, proof}, "01020304" + saltHex + proofHex, nil, nil},
		{TypeAttached, &attached, attachedHex, nil, nil},
		{TypeCellUp, &up, upHex, []int{2, 3}, map[int]byte{0: 0, 1: 1}},
		{TypeCellDown, &down, downHex, nil, map[int]byte{0: 2, 1: 1}},
		{TypeRefused, &refused, refusedHex, []int{2, 3}, map[int]byte{0: 9, 1: 1}},
		{TypeGatewayAttach, &GatewayAttach{0x04030201, 2, 0x14131211, salt, proof}, "01020304" + "02000000" + "11121314" + saltHex + proofHex,
			[]int{5, 6, 7}, map[int]byte{4: 4}},
		{TypeDetach, &Detach{0x04030201}, "01020304", nil, nil},
		{TypeGatewayCellUp, &GatewayCellUp{0xf4f3f2f1, up}, "f1f2f3f4" + upHex, []int{6, 7}, map[int]byte{4: 3}},
		{TypeGatewayAttached, &GatewayAttached{0xf4f3f2f1, attached}, "f1f2f3f4" + attachedHex, nil, nil},
		{TypeGatewayCellDown, &GatewayCellDown{0xf4f3f2f1, down}, "f1f2f3f4" + downHex, nil, map[int]byte{4: 6}},
		{TypeGatewayRefused, &GatewayRefused{0xf4f3f2f1, refused}, "f1f2f3f4" + refusedHex, []int{6, 7}, map[int]byte{4: 0}},
		{TypePropose, &Propose{0x0807060504030201, 0x0a09, *roster}, "0102030405060708" + "090a" + "0000" +
			"0b000000" + "0104" + "0002", []int{10, 11}, map[int]byte{17: 0x08, 19: 0x80}},
		{TypeStatus, &Status{1, 2, 3, 4, 5, 6, 7, 8, EpochReport{9, 10, true, 11, 12, 13, 14, 15, 16, 17}, []uint32{18, 19}},
			"0100000000000000" + "0200000000000000" + "0300000000000000" + "0400" + "0500" + "06000000" + "07000000" + "08000000" +
				"0900000000000000" + "0a00" + "01" + "0000000000" + "0b00000000000000" + "0c00000000000000" +
				"0d00000000000000" + "0e00000000000000" + "0f00000000000000" + "1000000000000000" + "1100000000000000" +
				"12000000" + "13000000", []int{51, 52, 53, 54, 55}, map[int]byte{50: 2}},
		{TypeStopped, &Stopped{"clé"}, "636cc3a9", nil, map[int]byte{2: 0xff}},
		{TypeConnections, &Connections{[]Connection{{1, 1, true}, {0x04030201, 2, false}}},
			"01000000" + "01010000" + "01020304" + "02000000", []int{6, 7, 14, 15}, map[int]byte{4: 0, 5: 2, 12: 4}},
	}
}

// fresh is a zero message of the same type.
func fresh(m message) message {
	return reflect.New(reflect.TypeOf(m).Elem()).Interface().(message)
}

func TestMessages(t *testing.T) {
	for _, s := range samples() {
		name := reflect.TypeOf(s.m).Elem().Name()
		frame := s.m.Append([]byte("before"))
		if !bytes.HasPrefix(frame, []byte("before")) {
			t.Errorf("%s: does not append", name)
		}
		frame = frame[6:]
		payload := frame[HeaderBytes:]
		if le.Uint32(frame) != uint32(len(payload)) || Type(frame[4]) != s.typ {
			t.Errorf("%s: header %x for %d bytes", name, frame[:5], len(payload))
		}
		if got := hex.EncodeToString(payload); got != s.hex {
			t.Errorf("%s: payload\n%s, want\n%s", name, got, s.hex)
		}
		m := fresh(s.m)
		if err := m.Parse(payload); err != nil || !reflect.DeepEqual(m, s.m) {
			t.Errorf("%s: parsed %+v, want %+v: %v", name, m, s.m, err)
		}
		for _, at := range s.reserved {
			bad := bytes.Clone(payload)
			bad[at] = 1
			if err := fresh(s.m).Parse(bad); !errors.Is(err, ErrReserved) {
				t.Errorf("%s: byte %d set: %v", name, at, err)
			}
		}
		for at, v := range s.bad {
			bad := bytes.Clone(payload)
			bad[at] = v
			if err := fresh(s.m).Parse(bad); !errors.Is(err, ErrValue) && !errors.Is(err, ErrReserved) {
				t.Errorf("%s: byte %d is %d: %v", name, at, v, err)
			}
		}
		for n := range payload {
			m := fresh(s.m)
			if err := m.Parse(payload[:n]); err == nil && !bytes.Equal(m.Append(nil)[HeaderBytes:], payload[:n]) {
				t.Errorf("%s: cut to %d bytes it is another message", name, n)
			}
		}
	}
}

// TestFixedLengths: one byte more or less is an error where the length is not
// the message's own.
func TestFixedLengths(t *testing.T) {
	for _, s := range samples() {
		payload := s.m.Append(nil)[HeaderBytes:]
		switch s.typ {
		case TypeCellUp, TypeGatewayCellUp, TypeCellDown, TypeGatewayCellDown, TypeStopped:
			continue
		}
		for _, p := range [][]byte{payload[:len(payload)-1], append(bytes.Clone(payload), 0)} {
			if err := fresh(s.m).Parse(p); !errors.Is(err, ErrLength) {
				t.Errorf("%T of %d bytes instead of %d: %v", s.m, len(p), len(payload), err)
			}
		}
	}
	for _, m := range []message{&CellUp{Type: 1}, &CellDown{Type: 3}} {
		if err := fresh(m).Parse(append(m.Append(nil)[HeaderBytes:], make([]byte, 15)...)); !errors.Is(err, ErrLength) {
			t.Errorf("%T with 15 sealed bytes: %v", m, err)
		}
	}
}

func TestPreamble(t *testing.T) {
	good := map[Service][]uint8{ServiceCells: {1, 2, 3}, ServiceRegistration: {0}, ServiceGateway: {0},
		ServiceCoordinator: {0}, ServiceConnections: {0}}
	for service := range Service(7) {
		for role := range uint8(5) {
			p := Preamble{service, role}
			b := p.Append(nil)
			got, err := ParsePreamble(b)
			if bytes.IndexByte(good[service], role) >= 0 {
				if err != nil || got != p {
					t.Errorf("%x: %+v, %v", b, got, err)
				}
			} else if err == nil {
				t.Errorf("%x was taken", b)
			}
		}
	}
	b := Preamble{ServiceCells, 2}.Append(nil)
	if hex.EncodeToString(b) != "5445454d01010200" {
		t.Errorf("%x", b)
	}
	for at, want := range []error{ErrMagic, ErrMagic, ErrMagic, ErrMagic, ErrVersion, ErrType, ErrValue, ErrReserved} {
		bad := bytes.Clone(b)
		bad[at] = 0xee
		if _, err := ParsePreamble(bad); !errors.Is(err, want) {
			t.Errorf("%x: %v, want %v", bad, err, want)
		}
	}
	for _, b := range [][]byte{nil, b[:7], append(b, 0)} {
		if _, err := ParsePreamble(b); !errors.Is(err, ErrLength) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	for c := Code(1); c <= lastCode; c++ {
		if len(c.String()) < 20 || seen[c.String()] {
			t.Errorf("code %d says %q", c, c)
		}
		seen[c.String()] = true
	}
	if seen[Code(0).String()] || seen[(lastCode+1).String()] {
		t.Error("an unknown code has a text of its own")
	}
}

// TestMovingFrames: what a gateway moves over equals what the ends write.
func TestMovingFrames(t *testing.T) {
	for _, c := range []struct{ client, front message }{
		{samples()[2].m, samples()[7].m}, {samples()[1].m, samples()[8].m},
		{samples()[3].m, samples()[9].m}, {samples()[4].m, samples()[10].m},
	} {
		client, front := c.client.Append(nil), c.front.Append(nil)
		typ := Type(front[4])
		if ClientType(typ) != Type(client[4]) {
			t.Errorf("%d is %d to a client", typ, ClientType(typ))
		}
		session, rest, err := SplitSession(front[HeaderBytes:])
		if err != nil || session != 0xf4f3f2f1 {
			t.Errorf("session %x, %v", session, err)
		}
		if got := AppendClient(nil, ClientType(typ), rest); !bytes.Equal(got, client) {
			t.Errorf("down: %x, want %x", got, client)
		}
		if got := AppendGateway(nil, typ, session, client[HeaderBytes:]); !bytes.Equal(got, front) {
			t.Errorf("up: %x, want %x", got, front)
		}
	}
	if ClientType(TypePropose) != 0 {
		t.Error("a proposal is for no client")
	}
	if _, _, err := SplitSession(make([]byte, 3)); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
}

func TestStoppedIsCut(t *testing.T) {
	for _, reason := range []string{strings.Repeat("a", 3000), strings.Repeat("é", 3000), "a" + strings.Repeat("é", 3000),
		strings.Repeat("€", 3000), strings.Repeat("a", StoppedLimit)} {
		var m Stopped
		if err := m.Parse((&Stopped{reason}).Append(nil)[HeaderBytes:]); err != nil {
			t.Error(err)
		}
		if n := len(m.Reason); n > StoppedLimit || n < StoppedLimit-3 || !strings.HasPrefix(reason, m.Reason) || !utf8.ValidString(m.Reason) {
			t.Errorf("%d bytes of reason", n)
		}
	}
	if err := new(Stopped).Parse(make([]byte, StoppedLimit+1)); !errors.Is(err, ErrLength) {
		t.Error(err)
	}
}

// TestCellTypes: clients send submissions, control cells and both in one, and get
// what there is for them.
func TestCellTypes(t *testing.T) {
	for typ := range uint16(9) {
		up, down := CellUp{Type: typ, Sealed: make([]byte, 16)}, CellDown{Type: typ, Sealed: make([]byte, 16)}
		if err := new(CellUp).Parse(up.Append(nil)[HeaderBytes:]); (err == nil) != (typ == 1 || typ == 2 || typ == 6) {
			t.Errorf("a cell of type %d from a client: %v", typ, err)
		}
		if err := new(CellDown).Parse(down.Append(nil)[HeaderBytes:]); (err == nil) != (typ >= 3 && typ <= 5 || typ == 7) {
			t.Errorf("a cell of type %d to a client: %v", typ, err)
		}
	}
}
