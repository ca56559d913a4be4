package cell

import (
	"errors"
	"strings"
	"testing"
)

var (
	here      = Fingerprint{0xde, 0xad, 0xbe, 0xef}
	elsewhere = Fingerprint{0xde, 0xad, 0xbe, 0xee}
	someToken = Token{Kind: KindToken, Channel: ChannelToken, Slot: 3, Sender: 77, Recipient: 4000000000,
		Era: 1, Generation: 2, E1: 1000, E2: 1256, MAC: [16]byte{1, 2, 3, 15: 0xff}}
	somePass = Token{Kind: KindPass, Channel: ChannelID, Sender: 1, Recipient: 2,
		Ceiling: 9, E1: 1, E2: 2, MAC: [16]byte{8: 1}}
)

const (
	goldenAddress = "teems1m6kmamcqqqqywe8kk9c"
	goldenToken   = "teems-token1m6kmamcpqgpsqngqqqqqq2rtacqqqqqqqyqqqqqzqqqqp6qrqqqqqqqqqr5qgqqqqqqqqqqpqgpsqqqqqqqqqqqqqqqqqq8lk79ljr"
	goldenPass    = "teems-pass1m6kmamczqyqqqqgqqqqqyqqqqqysqqqqqqqqqqqqqqqqqqgqqqqqqqqqqqpqqqqqqqqqqqqqqqqqqqqqqqqqzqqqqqqqqqqqljf50d"
)

func TestGolden(t *testing.T) {
	if got := (Address{here, 71}).String(); got != goldenAddress {
		t.Errorf("address %s, want %s", got, goldenAddress)
	}
	if got, err := someToken.Text(here); err != nil || got != goldenToken {
		t.Errorf("token %s, want %s, %v", got, goldenToken, err)
	}
	if got, err := somePass.Text(here); err != nil || got != goldenPass {
		t.Errorf("pass %s, want %s, %v", got, goldenPass, err)
	}
}

// TestBech32Vectors takes examples of BIP 350.
func TestBech32Vectors(t *testing.T) {
	if c := checkOf("a", "lqfn3a"); c != bech32m {
		t.Errorf("a1lqfn3a: %#x", c)
	}
	if c := checkOf("abcdef", "l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx"); c != bech32m {
		t.Errorf("abcdef1...: %#x", c)
	}
	if c := checkOf("split", "checkupstagehandshakeupstreamerranterredcaperredlc445v"); c != bech32m {
		t.Errorf("split1...: %#x", c)
	}
	if c := checkOf("a", "lqfn3q"); c == bech32m {
		t.Error("a wrong checksum fits")
	}
}

func checkOf(prefix, data string) uint32 {
	c := seedPrefix(prefix)
	for i := range len(data) {
		c = polymod(c, byte(strings.IndexByte(symbols, data[i])))
	}
	return c
}

func TestAddress(t *testing.T) {
	for _, id := range []uint32{0, 1, 71, 1 << 31, 1<<32 - 1} {
		a := Address{here, id}
		text := a.String()
		if len(text) != 25 {
			t.Errorf("%s has %d characters", text, len(text))
		}
		if got, err := ParseAddress(text, here); err != nil || got != a {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if _, err := ParseAddress(text, elsewhere); !errors.Is(err, ErrCluster) {
			t.Errorf("%s elsewhere: %v", text, err)
		}
		if got, err := ReadAddress(text); err != nil || got != a {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// TestEveryTypingMistake changes every character to every other: each must be
// found. So must be swapped neighbours and lost or doubled characters.
func TestEveryTypingMistake(t *testing.T) {
	token, err := someToken.Text(here)
	if err != nil {
		t.Fatal(err)
	}
	pass, err := somePass.Text(here)
	if err != nil {
		t.Fatal(err)
	}
	parseToken := func(s string) error { _, err := ParseToken(s, here); return err }
	parseAddress := func(s string) error { _, err := ParseAddress(s, here); return err }
	for _, c := range []struct {
		text  string
		parse func(string) error
	}{{Address{here, 71}.String(), parseAddress}, {token, parseToken}, {pass, parseToken}} {
		if err := c.parse(c.text); err != nil {
			t.Fatal(c.text, err)
		}
		for i := range len(c.text) {
			for x := range 256 {
				if b := byte(x); b != c.text[i] {
					bad := c.text[:i] + string([]byte{b}) + c.text[i+1:]
					err := c.parse(bad)
					if err == nil {
						t.Fatalf("%q was taken for %q", bad, c.text)
					}
					if strings.IndexByte(symbols, b) >= 0 && i > strings.IndexByte(c.text, '1') && !errors.Is(err, ErrChecksum) {
						t.Fatalf("%q: %v", bad, err)
					}
				}
			}
			bad := []string{c.text[:i] + c.text[i+1:], c.text[:i] + c.text[i:i+1] + c.text[i:], " " + c.text, c.text + "\n"}
			if i > 0 && c.text[i] != c.text[i-1] {
				bad = append(bad, c.text[:i-1]+c.text[i:i+1]+c.text[i-1:i]+c.text[i+1:])
			}
			for _, b := range bad {
				if c.parse(b) == nil {
					t.Fatalf("%q was taken for %q", b, c.text)
				}
			}
		}
		if c.parse(strings.ToUpper(c.text)) == nil {
			t.Error("upper case was taken")
		}
	}
}

func TestToken(t *testing.T) {
	for _, token := range []Token{someToken, somePass} {
		text, err := token.Text(here)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseToken(text, here); err != nil || got != token {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if _, err := ParseToken(text, elsewhere); !errors.Is(err, ErrCluster) {
			t.Errorf("elsewhere: %v", err)
		}
	}
	for name, change := range map[string]func(*Token){
		"no kind":              func(t *Token) { t.Kind = 0 },
		"unknown kind":         func(t *Token) { t.Kind = 3 },
		"wrong channel":        func(t *Token) { t.Channel = ChannelID },
		"a token's ceiling":    func(t *Token) { t.Ceiling = 1 },
		"no epoch":             func(t *Token) { t.E2 = t.E1 },
		"a pass with slot":     func(t *Token) { t.Kind, t.Channel = KindPass, ChannelID },
		"ends before it began": func(t *Token) { t.E1 = t.E2 + 1 },
	} {
		token := someToken
		change(&token)
		if _, err := token.Text(here); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
		// The same from a text, which only a broken program can have made.
		var raw [tokenRaw + 8]byte
		copy(raw[:], here[:])
		token.PutMACInput(raw[4:])
		if _, err := ParseToken(encodeText(tokenPrefix, raw[:tokenRaw]), here); !errors.Is(err, ErrToken) {
			t.Errorf("%s, read: %v", name, err)
		}
	}
	var raw [tokenRaw + 8]byte
	copy(raw[:], here[:])
	someToken.PutMACInput(raw[4:])
	if _, err := ParseToken(encodeText(passPrefix, raw[:tokenRaw]), here); !errors.Is(err, ErrToken) {
		t.Errorf("a token under the prefix of a pass: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for text, want := range map[string]string{
		"71":                        "starts with \"teems1\"",
		"":                          "starts with \"teems1\"",
		"teems1qqq":                 "has 25 characters, this has 9",
		"teems1qqqqqqqqqqqqqbqqqqq": "character 20",
	} {
		_, err := ParseAddress(text, here)
		if err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, ErrText) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestPaddingBits: an address has one unused bit; a text that sets it, with a
// checksum that fits, is refused, so that one address has one text.
func TestPaddingBits(t *testing.T) {
	raw := make([]byte, 9) // 15 symbols; take the first 13 by hand
	raw[8] = 0x80
	prefix := addressPrefix
	c := seedPrefix(prefix)
	var body []byte
	acc, bits := uint32(0), 0
	for _, b := range raw {
		acc, bits = acc<<8|uint32(b), bits+8
		for ; bits >= 5 && len(body) < 13; bits -= 5 {
			v := byte(acc>>(bits-5)) & 31
			c = polymod(c, v)
			body = append(body, symbols[v])
		}
	}
	for range checkSymbols {
		c = polymod(c, 0)
	}
	c ^= bech32m
	for i := range checkSymbols {
		body = append(body, symbols[c>>(5*(5-i))&31])
	}
	if _, err := ReadAddress(prefix + "1" + string(body)); !errors.Is(err, ErrText) {
		t.Errorf("%s: %v", body, err)
	}
}

func FuzzAddress(f *testing.F) {
	f.Add(Address{here, 71}.String())
	f.Add("teems1")
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := ReadAddress(text); err == nil && a.String() != text {
			t.Errorf("%q is %q", text, a.String())
		}
	})
}

func FuzzToken(f *testing.F) {
	for _, token := range []Token{someToken, somePass} {
		text, err := token.Text(here)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text, here)
		if err != nil {
			return
		}
		if back, err := token.Text(here); err != nil || back != text {
			t.Errorf("%q is %q, %v", text, back, err)
		}
	})
}

// FuzzTokenFields makes tokens of any content: what has a text reads back.
func FuzzTokenFields(f *testing.F) {
	f.Add(uint8(1), uint16(3), uint32(1), uint32(2), uint32(0), uint64(1), uint64(2), []byte("mac"))
	f.Fuzz(func(t *testing.T, kind uint8, slot uint16, sender, recipient, ceiling uint32, e1, e2 uint64, mac []byte) {
		token := Token{Kind: kind, Channel: ChannelOf(kind), Slot: slot, Sender: sender, Recipient: recipient,
			Ceiling: ceiling, Era: sender ^ ceiling, Generation: recipient + 1, E1: e1, E2: e2}
		copy(token.MAC[:], mac)
		text, err := token.Text(here)
		if err != nil {
			return
		}
		if back, err := ParseToken(text, here); err != nil || back != token {
			t.Errorf("%+v became %+v, %v", token, back, err)
		}
	})
}
