package attesttest

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/tdx"
)

// Enclave is what a fake SGX enclave reports.
type Enclave struct {
	Flags     uint64
	MREnclave [32]byte
	MRSigner  [32]byte
	ConfigID  byte // first byte of it
	ProdID    uint16
	SVN       uint16
}

// NewEnclave returns an enclave that policies can accept.
func NewEnclave(measurement [32]byte) Enclave {
	return Enclave{Flags: 5, MREnclave: measurement, MRSigner: sha256.Sum256([]byte("signer"))}
}

func (e Enclave) body(data [64]byte) []byte {
	b := make([]byte, 384)
	le := binary.LittleEndian
	le.PutUint64(b[48:], e.Flags)
	le.PutUint64(b[56:], 7)
	copy(b[64:], e.MREnclave[:])
	copy(b[128:], e.MRSigner[:])
	b[192] = e.ConfigID
	le.PutUint16(b[256:], e.ProdID)
	le.PutUint16(b[258:], e.SVN)
	copy(b[320:], data[:])
	return b
}

// SGXQuote makes a version 3 quote.
func (v *Intel) SGXQuote(e Enclave, data attest.ReportData) []byte {
	return v.quote(3, 0, e.body(data))
}

// TDXQuote makes a version 4 quote.
func (v *Intel) TDXQuote(t tdx.Body, data attest.ReportData) []byte {
	b := make([]byte, 584)
	le := binary.LittleEndian
	copy(b[0:], t.TCBSVN[:])
	copy(b[16:], t.MRSEAM[:])
	copy(b[64:], t.MRSignerSEAM[:])
	copy(b[112:], t.SEAMAttributes[:])
	le.PutUint64(b[120:], t.Attributes)
	le.PutUint64(b[128:], t.XFAM)
	for i, m := range [][48]byte{t.MRTD, t.MRConfigID, t.MROwner, t.MROwnerConfig, t.RTMR[0], t.RTMR[1], t.RTMR[2], t.RTMR[3]} {
		copy(b[136+48*i:], m[:])
	}
	copy(b[520:], data[:])
	return v.quote(4, 0x81, b)
}

// NewTD returns a TD that policies can accept.
func NewTD(mrtd [48]byte) tdx.Body {
	return tdx.Body{TCBSVN: [16]byte{5, 1}, Attributes: 1 << 28, XFAM: 0xe7, MRTD: mrtd}
}

func (v *Intel) quote(version uint16, tee uint32, body []byte) []byte {
	v.certify()
	le := binary.LittleEndian
	b := le.AppendUint16(nil, version)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint32(b, tee)
	b = append(b, 9, 0, 13, 0) // QE and PCE SVN
	b = append(b, 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07)
	b = append(append(b, make([]byte, 20)...), body...)
	attestation := must(v.attestationKey.PublicKey.Bytes())[1:]
	auth := []byte("authentication data of 32 bytes!")
	h := sha256.Sum256(append(append([]byte(nil), attestation...), auth...))
	qe := Enclave{Flags: v.QEFlags, MRSigner: sha256.Sum256([]byte("intel")), ProdID: 1, SVN: 6}.body([64]byte(append(h[:], make([]byte, 32)...)))

	certified := append(append([]byte(nil), qe...), sign(v.pckKey, qe)...)
	certified = le.AppendUint16(certified, uint16(len(auth)))
	certified = append(certified, auth...)
	certified = le.AppendUint16(certified, 5)
	pems := chain(v.pck, v.issuer, v.root)
	certified = append(le.AppendUint32(certified, uint32(len(pems))), pems...)

	s := append(sign(v.attestationKey, b), attestation...)
	if version == 4 {
		s = le.AppendUint16(s, 6)
		s = le.AppendUint32(s, uint32(len(certified)))
	}
	s = append(s, certified...)
	return append(le.AppendUint32(b, uint32(len(s))), s...)
}

// Issuer is an [attest.Platform] out of a function that makes reports.
type Issuer struct {
	TEE    string
	Of     attest.Measurement
	Report func(attest.ReportData) []byte
	Source bundle.Source
	// NoSealing makes it a TEE without a sealing key, as TDX is.
	NoSealing bool
}

// Issue implements [attest.Issuer].
func (i *Issuer) Issue(data attest.ReportData) (attest.Evidence, error) {
	return bundle.Evidence(i.TEE, i.Report(data), i.Source)
}

// Measurement implements [attest.Issuer].
func (i *Issuer) Measurement() attest.Measurement { return i.Of }

// SealingKey implements [attest.Sealer]; the key is the measurement's.
func (i *Issuer) SealingKey() ([32]byte, error) {
	if i.NoSealing {
		return [32]byte{}, attest.ErrNoSealing
	}
	return sha256.Sum256(i.Of), nil
}

// SGX returns an issuer of the enclave, with collateral.
func (v *Intel) SGX(e Enclave) *Issuer {
	c := v.Collateral(attest.SGX)
	return &Issuer{
		TEE: attest.SGX, Of: e.MREnclave[:], Source: func() (bundle.Bundle, error) { return c, nil },
		Report: func(d attest.ReportData) []byte { return v.SGXQuote(e, d) },
	}
}

// TDX returns an issuer of the TD, with collateral.
func (v *Intel) TDX(t tdx.Body) *Issuer {
	c := v.Collateral(attest.TDX)
	return &Issuer{
		TEE: attest.TDX, Of: tdx.Measure(&t), NoSealing: true, Source: func() (bundle.Bundle, error) { return c, nil },
		Report: func(d attest.ReportData) []byte { return v.TDXQuote(t, d) },
	}
}
