package snp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/teems-go/teems/attest"
)

// ReportBytes is the length of a report.
const ReportBytes = 0x4a0

const (
	signedBytes = 0x2a0

	policySMT              = 1 << 16
	policyReservedOne      = 1 << 17
	policyMigrationAgent   = 1 << 18
	policyDebug            = 1 << 19
	policyCiphertextHiding = 1 << 24

	platformSMT              = 1 << 0
	platformCiphertextHiding = 1 << 4
	platformAliasChecked     = 1 << 5

	signerAuthorKey = 1 << 0
	signerMaskChip  = 1 << 1
)

// Report is an attestation report.
type Report struct {
	Version      uint32
	GuestSVN     uint32
	Policy       uint64
	VMPL         uint32
	PlatformInfo uint64
	AuthorKey    bool // the ID block's key is signed by an author's
	VLEK         bool // signed by a VLEK, not a VCEK
	ReportData   [64]byte
	Measurement  [48]byte
	HostData     [32]byte
	IDKey        [48]byte // digest
	Author       [48]byte // digest
	CurrentTCB   [8]byte
	ReportedTCB  [8]byte
	CommittedTCB [8]byte
	LaunchTCB    [8]byte
	Family       uint8 // of the CPU, from version 3 on
	Model        uint8
	ChipID       [64]byte

	signed, r, s []byte
}

// ParseReport reads a report without verifying it. The result aliases b.
func ParseReport(b []byte) (*Report, error) {
	bad := func(format string, args ...any) (*Report, error) {
		return nil, fmt.Errorf("%w: SEV-SNP report: "+format, append([]any{attest.ErrEvidence}, args...)...)
	}
	if len(b) != ReportBytes {
		return bad("%d bytes, must have %d", len(b), ReportBytes)
	}
	le := binary.LittleEndian
	r := &Report{
		Version: le.Uint32(b), GuestSVN: le.Uint32(b[4:]), Policy: le.Uint64(b[8:]), VMPL: le.Uint32(b[0x30:]),
		PlatformInfo: le.Uint64(b[0x40:]), ReportData: [64]byte(b[0x50:]), Measurement: [48]byte(b[0x90:]),
		HostData: [32]byte(b[0xc0:]), IDKey: [48]byte(b[0xe0:]), Author: [48]byte(b[0x110:]),
		CurrentTCB: [8]byte(b[0x38:]), ReportedTCB: [8]byte(b[0x180:]), CommittedTCB: [8]byte(b[0x1e0:]), LaunchTCB: [8]byte(b[0x1f0:]),
		ChipID: [64]byte(b[0x1a0:]),
		signed: b[:signedBytes], r: b[signedBytes : signedBytes+48], s: b[signedBytes+72 : signedBytes+120],
	}
	if r.Version < 2 || r.Version > 5 {
		return bad("version %d: this program knows 2 to 5", r.Version)
	}
	if algorithm := le.Uint32(b[0x34:]); algorithm != 1 {
		return bad("signed with algorithm %d, not ECDSA on P-384", algorithm)
	}
	if r.Policy&policyReservedOne == 0 {
		return bad("its guest policy is malformed")
	}
	signer := le.Uint32(b[0x48:])
	r.AuthorKey = signer&signerAuthorKey != 0
	if signer&signerMaskChip != 0 {
		return bad("the host masks the chip's key, so that nobody signed it")
	}
	switch signer >> 2 {
	case 0:
	case 1:
		r.VLEK = true
	default:
		return bad("signed by a key of unknown kind, or by none")
	}
	if r.Version >= 3 {
		r.Family, r.Model = b[0x188], b[0x189]
	}
	// Outside the signed part only the numbers of the signature may be set.
	tail := bytes.Clone(b[signedBytes:])
	clear(tail[:48])
	clear(tail[72:120])
	if !bytes.Equal(tail, make([]byte, len(tail))) {
		return bad("something is written around the signature")
	}
	return r, nil
}

// product returns the product line that the report names, "" before version
// 3, and "unknown" for one that this program does not know.
func (r *Report) product() string {
	switch {
	case r.Version < 3:
		return ""
	case r.Family == 0x19 && r.Model <= 0x0f:
		return Milan
	case r.Family == 0x19 && (r.Model >= 0x10 && r.Model <= 0x1f || r.Model >= 0xa0 && r.Model <= 0xaf):
		return Genoa
	case r.Family == 0x1a && r.Model <= 0x1f:
		return Turin
	}
	return "unknown"
}

// tcb reads a firmware version, whose layout changed with Turin.
func (r *Report) tcb(product string, b [8]byte) (t attest.AMDTCB, reserved bool) {
	if product == Turin {
		return attest.AMDTCB{FMC: b[0], BootLoader: b[1], TEE: b[2], SNP: b[3], Microcode: b[7]}, b[4]|b[5]|b[6] != 0
	}
	return attest.AMDTCB{BootLoader: b[0], TEE: b[1], SNP: b[6], Microcode: b[7]}, b[2]|b[3]|b[4]|b[5] != 0
}

// claims returns what the report says, without what only the certificate
// tells.
func (r *Report) claims() attest.Claims {
	c := attest.Claims{
		TEE:         attest.SNP,
		Measurement: bytes.Clone(r.Measurement[:]),
		ReportData:  r.ReportData,
		Debug:       r.Policy&policyDebug != 0,
		SVN:         r.GuestSVN,
		AMD: &attest.AMDState{
			CiphertextHiding: r.Policy&policyCiphertextHiding != 0 && r.PlatformInfo&platformCiphertextHiding != 0,
			SMT:              r.Policy&policySMT != 0,
		},
		Details: []attest.Detail{
			{Name: "report version", Value: fmt.Sprint(r.Version)},
			{Name: "guest policy", Value: fmt.Sprintf("%#x", r.Policy)},
			{Name: "platform", Value: fmt.Sprintf("SMT on: %v, ciphertext hiding on: %v, memory aliasing checked: %v", r.PlatformInfo&platformSMT != 0, r.PlatformInfo&platformCiphertextHiding != 0, r.PlatformInfo&platformAliasChecked != 0)},
			{Name: "firmware at launch", Value: hex.EncodeToString(r.LaunchTCB[:])},
			{Name: "firmware now", Value: hex.EncodeToString(r.CurrentTCB[:])},
		},
	}
	if r.ChipID != [64]byte{} {
		c.Platform = hex.EncodeToString(r.ChipID[:])
	}
	switch {
	case r.AuthorKey:
		c.Signer = bytes.Clone(r.Author[:])
	case r.IDKey != [48]byte{}:
		c.Signer = bytes.Clone(r.IDKey[:])
	}
	if r.VMPL != 0 {
		c.Unsafe = append(c.Unsafe, fmt.Sprintf("the report was asked for from privilege level %d, below the guest's kernel", r.VMPL))
	}
	if r.Policy&policyMigrationAgent != 0 {
		c.Unsafe = append(c.Unsafe, "the guest's policy allows a migration agent, which can take its memory elsewhere")
	}
	if r.HostData != [32]byte{} {
		c.Unsafe = append(c.Unsafe, "the host handed in data that is not part of the measurement")
	}
	return c
}
