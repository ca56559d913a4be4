package attest

import (
	"encoding/binary"
	"fmt"
)

// Evidence is what a TEE says about itself, in the TEE's own format.
type Evidence struct {
	TEE string // the name of the TEE, such as "simulated"
	Raw []byte // what its verifier understands
}

// Bounds of evidence. Real evidence with its certificate chain takes 5 to
// 10 KiB, and up to 40 KiB with collateral.
const (
	MaxTEEBytes      = 16
	MaxRawBytes      = 64 << 10
	MaxEvidenceBytes = evidenceFixed + MaxTEEBytes + MaxRawBytes

	evidenceVersion = 1
	evidenceFixed   = 1 + 1 + 4
)

// Encode returns the binary form:
// version u8 (1) | length of TEE u8 | TEE | length of Raw u32 | Raw.
func (e Evidence) Encode() ([]byte, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, evidenceFixed+len(e.TEE)+len(e.Raw))
	b = append(b, evidenceVersion, byte(len(e.TEE)))
	b = append(b, e.TEE...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Raw)))
	return append(b, e.Raw...), nil
}

// ParseEvidence reads the binary form strictly: every byte is accounted for,
// and at most MaxEvidenceBytes are taken. The result does not alias b.
func ParseEvidence(b []byte) (Evidence, error) {
	if len(b) > MaxEvidenceBytes {
		return Evidence{}, fmt.Errorf("%w: %d bytes, more than the %d allowed", ErrEvidence, len(b), MaxEvidenceBytes)
	}
	if len(b) < evidenceFixed {
		return Evidence{}, fmt.Errorf("%w: %d bytes, too short", ErrEvidence, len(b))
	}
	if b[0] != evidenceVersion {
		return Evidence{}, fmt.Errorf("%w: version %d, this program knows %d", ErrEvidence, b[0], evidenceVersion)
	}
	n := int(b[1])
	if n > MaxTEEBytes || len(b) < evidenceFixed+n {
		return Evidence{}, fmt.Errorf("%w: the TEE's name does not fit", ErrEvidence)
	}
	name, rest := string(b[2:2+n]), b[2+n:]
	if int64(binary.LittleEndian.Uint32(rest)) != int64(len(rest)-4) {
		return Evidence{}, fmt.Errorf("%w: its length field does not agree with its length", ErrEvidence)
	}
	e := Evidence{TEE: name, Raw: append([]byte(nil), rest[4:]...)}
	if err := e.validate(); err != nil {
		return Evidence{}, err
	}
	return e, nil
}

func (e Evidence) validate() error {
	if err := validateTEE(e.TEE); err != nil {
		return fmt.Errorf("%w: %v", ErrEvidence, err)
	}
	if len(e.Raw) == 0 || len(e.Raw) > MaxRawBytes {
		return fmt.Errorf("%w: %d bytes from the TEE, must be 1 to %d", ErrEvidence, len(e.Raw), MaxRawBytes)
	}
	return nil
}

// validateTEE takes lower-case letters, digits and hyphens.
func validateTEE(name string) error {
	if len(name) == 0 || len(name) > MaxTEEBytes {
		return fmt.Errorf("the TEE's name has %d characters, must have 1 to %d", len(name), MaxTEEBytes)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("the TEE's name %q has other characters than a-z, 0-9 and -", name)
		}
	}
	return nil
}
