package simulated

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/teems-go/teems/attest"
)

// The report, all of it fixed in size:
//
//	offset  field
//	0       magic "teemssim"
//	8       version u16 (1)
//	10      flags u16 (1 debug)
//	12      0 u32
//	16      measurement 32
//	48      report data 64
//	112     platform's public key 32
//	144     the root's signature over the platform's key 64
//	208     the platform's signature over all that comes before 64
const (
	magic       = "teemssim"
	version     = 1
	flagDebug   = 1
	signedBytes = 208
	// ReportBytes is the length of simulated evidence.
	ReportBytes = signedBytes + ed25519.SignatureSize
)

type report struct {
	flags       uint16
	measurement [MeasurementBytes]byte
	data        attest.ReportData
	platform    [ed25519.PublicKeySize]byte
	certificate [ed25519.SignatureSize]byte
	signature   [ed25519.SignatureSize]byte
}

func (r *report) body() []byte {
	b := make([]byte, 0, ReportBytes)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, version)
	b = binary.LittleEndian.AppendUint16(b, r.flags)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, r.measurement[:]...)
	b = append(b, r.data[:]...)
	b = append(b, r.platform[:]...)
	return append(b, r.certificate[:]...)
}

func (r *report) encode() []byte { return append(r.body(), r.signature[:]...) }

func parse(b []byte) (*report, error) {
	if len(b) != ReportBytes {
		return nil, fmt.Errorf("%w: a simulated report of %d bytes, must have %d", attest.ErrEvidence, len(b), ReportBytes)
	}
	if !bytes.Equal(b[:8], []byte(magic)) {
		return nil, fmt.Errorf("%w: not a simulated report", attest.ErrEvidence)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != version {
		return nil, fmt.Errorf("%w: a simulated report of version %d, this program knows %d", attest.ErrEvidence, v, version)
	}
	r := &report{flags: binary.LittleEndian.Uint16(b[10:])}
	if r.flags&^flagDebug != 0 || binary.LittleEndian.Uint32(b[12:]) != 0 {
		return nil, fmt.Errorf("%w: unknown bits are set in a simulated report", attest.ErrEvidence)
	}
	copy(r.measurement[:], b[16:])
	copy(r.data[:], b[48:])
	copy(r.platform[:], b[112:])
	copy(r.certificate[:], b[144:])
	copy(r.signature[:], b[208:])
	return r, nil
}

// certified is what the root signs, signed what the platform signs.
func certified(platform []byte) []byte {
	return append([]byte("teems/1 simulated platform\x00"), platform...)
}

func signed(r *report) []byte {
	return append([]byte("teems/1 simulated report\x00"), r.body()...)
}

// Verifier checks simulated evidence against one root.
type Verifier struct {
	root ed25519.PublicKey
}

var _ attest.Verifier = (*Verifier)(nil)

// Verify implements [attest.Verifier]. The simulated chain does not expire,
// so the time plays no part.
func (v *Verifier) Verify(e attest.Evidence, _ time.Time) (attest.Claims, error) {
	if v == nil || len(v.root) != ed25519.PublicKeySize {
		return attest.Claims{}, fmt.Errorf("%w: the simulated verifier has no root: make it with NewVerifier", attest.ErrNoVerifier)
	}
	if e.TEE != attest.SimulatedTEE {
		return attest.Claims{}, fmt.Errorf("%w: evidence of %q given to the verifier of the simulated TEE", attest.ErrUnknownTEE, e.TEE)
	}
	r, err := parse(e.Raw)
	if err != nil {
		return attest.Claims{}, err
	}
	if !ed25519.Verify(v.root, certified(r.platform[:]), r.certificate[:]) {
		return attest.Claims{}, fmt.Errorf("%w: the simulated root did not certify the platform's key", attest.ErrNotGenuine)
	}
	if !ed25519.Verify(r.platform[:], signed(r), r.signature[:]) {
		return attest.Claims{}, fmt.Errorf("%w: the signature of the simulated report is wrong", attest.ErrNotGenuine)
	}
	return attest.Claims{
		TEE:         attest.SimulatedTEE,
		Measurement: append(attest.Measurement(nil), r.measurement[:]...),
		ReportData:  r.data,
		Debug:       r.flags&flagDebug != 0,
		Simulated:   true,
	}, nil
}
