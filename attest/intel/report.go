package intel

import (
	"encoding/binary"
	"fmt"

	"github.com/teems-go/teems/attest"
)

// ReportBytes is the length of an enclave's report body.
const ReportBytes = 384

// The bits of an enclave's attribute flags that matter here.
const (
	FlagInit         = 1 << 0
	FlagDebug        = 1 << 1
	FlagMode64       = 1 << 2
	FlagProvisionKey = 1 << 4
	FlagLaunchKey    = 1 << 5
)

// EnclaveReport is the body of an enclave's report.
type EnclaveReport struct {
	Raw        []byte
	CPUSVN     [16]byte
	MiscSelect uint32
	Flags      uint64
	XFRM       uint64
	MREnclave  [32]byte
	MRSigner   [32]byte
	ConfigID   [64]byte
	ProdID     uint16
	SVN        uint16
	ConfigSVN  uint16
	ReportData [64]byte
}

// ParseEnclaveReport reads a report body. The result aliases b.
func ParseEnclaveReport(b []byte) (*EnclaveReport, error) {
	if len(b) != ReportBytes {
		return nil, fmt.Errorf("%w: an enclave's report of %d bytes, must have %d", attest.ErrEvidence, len(b), ReportBytes)
	}
	le := binary.LittleEndian
	return &EnclaveReport{
		Raw:        b,
		CPUSVN:     [16]byte(b[0:]),
		MiscSelect: le.Uint32(b[16:]),
		Flags:      le.Uint64(b[48:]),
		XFRM:       le.Uint64(b[56:]),
		MREnclave:  [32]byte(b[64:]),
		MRSigner:   [32]byte(b[128:]),
		ConfigID:   [64]byte(b[192:]),
		ProdID:     le.Uint16(b[256:]),
		SVN:        le.Uint16(b[258:]),
		ConfigSVN:  le.Uint16(b[260:]),
		ReportData: [64]byte(b[320:]),
	}, nil
}

// reader cuts fields off quotes.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) next(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad = true
		return make([]byte, max(n, 0))
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.next(2)) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.next(4)) }

// counted cuts off as many bytes as a length says, if they are there.
func (r *reader) counted(n uint32) []byte {
	if uint64(n) > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	return r.next(int(n))
}

// The kinds of certification data that matter here.
const (
	dataPCKChain = 5
	dataQEReport = 6
)

// qeVendor is the ID of Intel's quoting enclaves.
var qeVendor = [16]byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

// The types of TEE in a quote's header.
const (
	TypeSGX = 0
	TypeTDX = 0x81
)

// HeaderBytes is the length of a quote's header.
const HeaderBytes = 48

// ParseQuote reads an ECDSA quote of the version and the TEE type, whose body
// has the length given, strictly: each byte is accounted for.
//
//	header 48: version u16 | key type u16 (2) | TEE type u32 | QE SVN u16 | PCE SVN u16 | QE vendor 16 | user data 20
//	body | length u32 of what follows
//	signature 64 | attestation key 64 | [version 4: kind u16 (6) | length u32]
//	QE report 384 | its signature 64 | length u16, QE authentication data | kind u16 (5) | length u32, PEM chain
func ParseQuote(b []byte, version uint16, teeType uint32, bodyBytes int) (q *Quote, body []byte, err error) {
	bad := func(format string, args ...any) (*Quote, []byte, error) {
		return nil, nil, fmt.Errorf("%w: quote: "+format, append([]any{attest.ErrEvidence}, args...)...)
	}
	if len(b) < HeaderBytes+bodyBytes+4 {
		return bad("%d bytes, too short", len(b))
	}
	r := &reader{rest: b}
	if got := r.u16(); got != version {
		return bad("version %d, must be %d", got, version)
	}
	if got := r.u16(); got != 2 {
		return bad("the attestation key is of type %d, not ECDSA on P-256", got)
	}
	if got := r.u32(); got != teeType {
		return bad("of TEE type %#x, must be %#x", got, teeType)
	}
	r.next(4)
	if [16]byte(r.next(16)) != qeVendor {
		return bad("not of Intel's quoting enclave")
	}
	r.next(20)
	body = r.next(bodyBytes)
	q = &Quote{Signed: b[:HeaderBytes+bodyBytes]}
	if n := r.u32(); uint64(n) != uint64(len(r.rest)) {
		return bad("%d bytes of signature data are announced, and %d there", n, len(r.rest))
	}
	q.Signature, q.AttestationKey = r.next(64), r.next(64)
	if version >= 4 {
		if kind := r.u16(); kind != dataQEReport {
			return bad("certification data of kind %d, must be %d", kind, dataQEReport)
		}
		if n := r.u32(); r.bad || uint64(n) != uint64(len(r.rest)) {
			return bad("the lengths of the certification data disagree")
		}
	}
	report := r.next(ReportBytes)
	q.QESignature = r.next(64)
	q.QEAuth = r.counted(uint32(r.u16()))
	if kind := r.u16(); !r.bad && kind != dataPCKChain {
		return bad("certification data of kind %d: only certificate chains (%d) can be verified", kind, dataPCKChain)
	}
	q.Chain = r.counted(r.u32())
	if r.bad || len(r.rest) != 0 {
		return bad("the lengths in it disagree")
	}
	q.QEReport, err = ParseEnclaveReport(report)
	return q, body, err
}
