package cell

import (
	"strconv"
	"strings"
)

// The text forms use bech32m (BIP 350): a prefix, '1', five bits a symbol, and
// a BCH code over GF(32) whose distance makes any three changed symbols
// certain to be found in texts as long as ours, any other change but for one
// in 2^30. Upper case is refused: one value has one text.

const (
	symbols      = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	checkSymbols = 6
	bech32m      = 0x2bc830a3
)

// polymod is BIP 173's checksum register after one more value.
func polymod(c uint32, value byte) uint32 {
	top := c >> 25
	c = (c&0x1ffffff)<<5 ^ uint32(value)
	for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
		if top>>i&1 == 1 {
			c ^= g
		}
	}
	return c
}

// seedPrefix is the register after the expanded prefix.
func seedPrefix(prefix string) uint32 {
	c := uint32(1)
	for i := range len(prefix) {
		c = polymod(c, prefix[i]>>5)
	}
	c = polymod(c, 0)
	for i := range len(prefix) {
		c = polymod(c, prefix[i]&31)
	}
	return c
}

// textSymbols is the number of symbols for n bytes.
func textSymbols(n int) int { return (8*n + 4) / 5 }

func encodeText(prefix string, raw []byte) string {
	out := make([]byte, 0, len(prefix)+1+textSymbols(len(raw))+checkSymbols)
	out = append(out, prefix...)
	out = append(out, '1')
	c := seedPrefix(prefix)
	put := func(v byte) {
		c = polymod(c, v)
		out = append(out, symbols[v])
	}
	acc, bits := uint32(0), 0
	for _, b := range raw {
		acc, bits = acc<<8|uint32(b), bits+8
		for ; bits >= 5; bits -= 5 {
			put(byte(acc>>(bits-5)) & 31)
		}
	}
	if bits > 0 {
		put(byte(acc<<(5-bits)) & 31)
	}
	for range checkSymbols {
		c = polymod(c, 0)
	}
	c ^= bech32m
	for i := range checkSymbols {
		out = append(out, symbols[c>>(5*(checkSymbols-1-i))&31])
	}
	return string(out)
}

// decodeText reads size bytes behind prefix. what names the form in errors.
func decodeText(text, prefix string, size int, what string) ([]byte, error) {
	head := prefix + "1"
	if !strings.HasPrefix(text, head) {
		return nil, &textError{"a TEEMS " + what + " starts with \"" + head + "\"", ErrText}
	}
	body := text[len(head):]
	want := textSymbols(size) + checkSymbols
	if len(body) != want {
		return nil, &textError{"a TEEMS " + what + " has " + strconv.Itoa(want+len(head)) +
			" characters, this has " + strconv.Itoa(len(text)), ErrText}
	}
	raw := make([]byte, 0, size)
	c := seedPrefix(prefix)
	acc, bits := uint32(0), 0
	for i := range len(body) {
		v := strings.IndexByte(symbols, body[i])
		if v < 0 {
			return nil, &textError{"character " + strconv.Itoa(len(head)+i+1) + " of the " + what +
				" is not one of " + symbols + " (lower case)", ErrText}
		}
		c = polymod(c, byte(v))
		if i < want-checkSymbols {
			acc, bits = acc<<5|uint32(v), bits+5
			if bits >= 8 {
				raw = append(raw, byte(acc>>(bits-8)))
				bits -= 8
			}
		}
	}
	if c != bech32m {
		return nil, &textError{"compare the " + what + " with the original, or copy it again", ErrChecksum}
	}
	if acc&(1<<bits-1) != 0 {
		return nil, &textError{"the " + what + " has a bit that no " + what + " has", ErrText}
	}
	return raw, nil
}
