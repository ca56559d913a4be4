// Package bundle is the form that evidence of real TEEs travels in: the report
// or quote that the hardware signed, and with it the collateral that a
// verifier needs, so that none of them ever opens a connection.
//
// Collateral is what the vendors publish of platforms: certificates,
// revocation lists, TCB levels. An untrusted helper fetches it and hands it
// in; every part is signed by the vendor, and whoever verifies the evidence
// checks that.
//
// It guarantees that each byte of a bundle belongs to exactly one part. It
// says nothing about what is in the parts.
package bundle

import (
	"encoding/binary"
	"fmt"

	"github.com/teems-go/teems/attest"
)

// Bundle is a report with collateral. A part that is not there is empty.
type Bundle struct {
	Report []byte // SGX or TDX quote, SEV-SNP report

	// Intel
	TCBInfo    []byte // JSON as the vendor's service sends it, signature included
	QEIdentity []byte // likewise
	TCBChain   []byte // PEM: the certificate that signed those, then the root
	RootCRL    []byte // DER, signed by the root
	PCKCRL     []byte // DER, signed by the issuer of the platform's certificate

	// AMD
	Endorsement []byte // DER: the VCEK or VLEK certificate of the platform
	AMDCRL      []byte // DER, signed by the product's root
}

// Bounds.
const (
	magic   = "teemsev"
	version = 1
	fixed   = len(magic) + 2
	perPart = 1 + 4
)

// parts returns the fields in the order of their kinds: kind = index + 1.
func (b *Bundle) parts() []*[]byte {
	return []*[]byte{&b.Report, &b.TCBInfo, &b.QEIdentity, &b.TCBChain, &b.RootCRL, &b.PCKCRL, &b.Endorsement, &b.AMDCRL}
}

// Encode returns the binary form:
//
//	"teemsev" | version u8 (1) | number of parts u8 | parts
//	part: kind u8 | length u32, not 0 | bytes
//
// The kinds are those of the fields, counted from 1, and rise.
func (b Bundle) Encode() []byte {
	out := append([]byte(magic), version, 0)
	for i, p := range b.parts() {
		if len(*p) == 0 {
			continue
		}
		out[fixed-1]++
		out = append(out, byte(i+1))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(*p)))
		out = append(out, *p...)
	}
	return out
}

// Parse reads the binary form strictly: there is one encoding of each bundle.
// The result aliases raw.
func Parse(raw []byte) (Bundle, error) {
	bad := func(what string) (Bundle, error) {
		return Bundle{}, fmt.Errorf("%w: evidence bundle: %s", attest.ErrEvidence, what)
	}
	if len(raw) > attest.MaxRawBytes {
		return bad("too long")
	}
	if len(raw) < fixed || string(raw[:len(magic)]) != magic {
		return bad("it does not start like one")
	}
	if raw[len(magic)] != version {
		return bad("of another version")
	}
	var b Bundle
	parts, last := b.parts(), 0
	n, rest := int(raw[fixed-1]), raw[fixed:]
	for range n {
		if len(rest) < perPart {
			return bad("it ends within a part")
		}
		kind, size := int(rest[0]), binary.LittleEndian.Uint32(rest[1:])
		rest = rest[perPart:]
		if kind <= last || kind > len(parts) {
			return bad("a part is out of order, there twice, or of an unknown kind")
		}
		if size == 0 || uint64(size) > uint64(len(rest)) {
			return bad("a part is empty, or longer than what is there")
		}
		*parts[kind-1], rest, last = rest[:size:size], rest[size:], kind
	}
	if len(rest) != 0 {
		return bad("something follows the last part")
	}
	return b, nil
}

// Or returns b with the parts that it lacks, but for the report, taken from
// the collateral o.
func (b Bundle) Or(o Bundle) Bundle {
	to, from := b.parts(), o.parts()
	for i := 1; i < len(to); i++ {
		if len(*to[i]) == 0 {
			*to[i] = *from[i]
		}
	}
	return b
}

// Only reports a part that evidence of the vendor has no use for: Intel's in
// AMD's evidence or the other way round.
func (b Bundle) Only(intel bool) error {
	if len(b.Report) == 0 {
		return fmt.Errorf("%w: evidence bundle: there is no report in it", attest.ErrEvidence)
	}
	if i := len(b.TCBInfo)+len(b.QEIdentity)+len(b.TCBChain)+len(b.RootCRL)+len(b.PCKCRL) > 0; i && !intel {
		return fmt.Errorf("%w: evidence bundle: Intel's collateral in AMD's evidence", attest.ErrEvidence)
	}
	if a := len(b.Endorsement)+len(b.AMDCRL) > 0; a && intel {
		return fmt.Errorf("%w: evidence bundle: AMD's collateral in Intel's evidence", attest.ErrEvidence)
	}
	return nil
}

// Source hands in the newest collateral that a helper has left, without a
// report. It is called for each piece of evidence that is made.
type Source func() (Bundle, error)

// Evidence joins a report with collateral. A source that is nil gives none.
func Evidence(tee string, report []byte, s Source) (attest.Evidence, error) {
	b := Bundle{Report: report}
	if s != nil {
		c, err := s()
		if err != nil {
			return attest.Evidence{}, fmt.Errorf("%w: no collateral: %v", attest.ErrIssue, err)
		}
		b = b.Or(c)
	}
	if err := b.Only(tee != attest.SNP); err != nil {
		return attest.Evidence{}, fmt.Errorf("%w: %w", attest.ErrIssue, err)
	}
	e := attest.Evidence{TEE: tee, Raw: b.Encode()}
	if len(e.Raw) > attest.MaxRawBytes {
		return attest.Evidence{}, fmt.Errorf("%w: with its collateral the evidence has %d bytes, more than the %d allowed", attest.ErrIssue, len(e.Raw), attest.MaxRawBytes)
	}
	return e, nil
}
