package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"sync"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/snp"
)

// AMD is a fake AMD with one chip. Change the fields before asking it for
// anything.
type AMD struct {
	Now                time.Time
	Issued, NextUpdate time.Time // of the revocation list
	Product            string
	TCB                attest.AMDTCB // for which the platform's key is
	Chip               [64]byte      // on Turin only the first 8 bytes may be set
	VLEK               bool
	RevokedPlatform    bool
	RevokedIssuer      bool
	NoList             bool
	KeyName            string // of the platform's key, "" for the right one
	KeyNotAfter        time.Time

	ekKey        *ecdsa.PrivateKey
	ark, ask, ek []byte
}

// The root's and the intermediate's keys take long to make: one pair serves
// all tests.
var rsaKeys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	return [2]*rsa.PrivateKey{must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))}
})

// NewAMD returns a fake AMD with a Turin chip.
func NewAMD(now time.Time) *AMD {
	return &AMD{
		Now: now, Issued: now.Add(-24 * time.Hour), NextUpdate: now.AddDate(0, 1, 0), Product: snp.Turin, KeyNotAfter: now.AddDate(5, 0, 0),
		TCB: attest.AMDTCB{FMC: 1, BootLoader: 2, TEE: 3, SNP: 4, Microcode: 5}, Chip: [64]byte{1, 2, 3, 4, 5, 6, 7, 8},
		ekKey: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
	}
}

func (v *AMD) certify() {
	if v.ek != nil {
		return
	}
	keys := rsaKeys()
	amd := func(cn string) pkix.Name {
		return pkix.Name{CommonName: cn, Organization: []string{"Advanced Micro Devices"}, OrganizationalUnit: []string{"Engineering"}, Country: []string{"US"}, Locality: []string{"Santa Clara"}, Province: []string{"CA"}}
	}
	make := func(serial int64, cn string, ca bool, public any, by *rsa.PrivateKey, parent []byte, extra []pkix.Extension) []byte {
		t := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: amd(cn), NotBefore: v.Now.AddDate(-1, 0, 0), NotAfter: v.Now.AddDate(5, 0, 0),
			SignatureAlgorithm: x509.SHA384WithRSAPSS, ExtraExtensions: extra,
		}
		if ca {
			t.BasicConstraintsValid, t.IsCA, t.KeyUsage, t.SubjectKeyId = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, []byte{byte(serial), 2}
		} else {
			t.NotAfter = v.KeyNotAfter
		}
		p := t
		if parent != nil {
			p = must(x509.ParseCertificate(parent))
		}
		return must(x509.CreateCertificate(rand.Reader, t, p, public, by))
	}
	issuer, name := "SEV-"+v.Product, "SEV-VCEK"
	if v.VLEK {
		issuer, name = "SEV-VLEK-"+v.Product, "SEV-VLEK"
	}
	if v.KeyName != "" {
		name = v.KeyName
	}
	if v.ark == nil {
		v.ark = make(11, "ARK-"+v.Product, true, &keys[0].PublicKey, keys[0], nil, nil)
		v.ask = make(12, issuer, true, &keys[1].PublicKey, keys[0], v.ark, nil)
	}
	v.ek = make(13, name, false, &v.ekKey.PublicKey, keys[1], v.ask, v.extensions())
}

// Reissue lets the platform's key be certified anew, under the same root, after
// a change of fields.
func (v *AMD) Reissue() *AMD {
	v.ek = nil
	return v
}

func (v *AMD) extensions() []pkix.Extension {
	id := func(n ...int) asn1.ObjectIdentifier {
		return append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}, n...)
	}
	product := v.Product
	if !v.VLEK {
		product += "-B0"
	}
	out := []pkix.Extension{
		{Id: id(1), Value: must(asn1.Marshal(0))},
		{Id: id(2), Value: must(asn1.MarshalWithParams(product, "ia5"))},
	}
	for n, x := range map[int]uint8{1: v.TCB.BootLoader, 2: v.TCB.TEE, 3: v.TCB.SNP, 4: 0, 5: 0, 6: 0, 7: 0, 8: v.TCB.Microcode} {
		out = append(out, pkix.Extension{Id: id(3, n), Value: must(asn1.Marshal(int(x)))})
	}
	chip := v.Chip[:]
	if v.Product == snp.Turin {
		out = append(out, pkix.Extension{Id: id(3, 9), Value: must(asn1.Marshal(int(v.TCB.FMC)))})
		chip = chip[:8]
	}
	if v.VLEK {
		return append(out, pkix.Extension{Id: id(5), Value: must(asn1.MarshalWithParams("cloud", "ia5"))})
	}
	return append(out, pkix.Extension{Id: id(4), Value: chip})
}

// Roots returns the fake root.
func (v *AMD) Roots() []snp.Root {
	v.certify()
	return []snp.Root{{Product: v.Product, VLEK: v.VLEK, Certificate: must(x509.ParseCertificate(v.ark)), Intermediate: must(x509.ParseCertificate(v.ask))}}
}

// Collateral returns the certificate of the platform's key and the revocation
// list.
func (v *AMD) Collateral() bundle.Bundle {
	v.certify()
	b := bundle.Bundle{Endorsement: v.ek}
	if v.NoList {
		return b
	}
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: v.Issued, NextUpdate: v.NextUpdate, SignatureAlgorithm: x509.SHA384WithRSAPSS}
	for serial, yes := range map[int64]bool{12: v.RevokedIssuer, 13: v.RevokedPlatform} {
		if yes {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: v.Issued})
		}
	}
	b.AMDCRL = must(x509.CreateRevocationList(rand.Reader, l, must(x509.ParseCertificate(v.ark)), rsaKeys()[0]))
	return b
}

// Guest is what a fake SEV-SNP guest's report says.
type Guest struct {
	Version       uint32
	SVN           uint32
	Policy        uint64
	PlatformInfo  uint64
	VMPL          uint32
	Measurement   [48]byte
	HostData      [32]byte
	IDKey, Author [48]byte
	Signer        uint32 // the flags
	Family, Model uint8
	TCB           *attest.AMDTCB // nil: that of the chip
	Chip          *[64]byte      // nil: the chip's
}

// NewGuest returns a guest with ciphertext hiding that policies can accept.
func NewGuest(measurement [48]byte) Guest {
	return Guest{Version: 3, Policy: 1<<17 | 1<<24, PlatformInfo: 1 << 4, Measurement: measurement, Family: 0x1a, Model: 2}
}

// Report makes a report.
func (v *AMD) Report(g Guest, data attest.ReportData) []byte {
	v.certify()
	b := make([]byte, snp.ReportBytes)
	le := binary.LittleEndian
	le.PutUint32(b[0:], g.Version)
	le.PutUint32(b[4:], g.SVN)
	le.PutUint64(b[8:], g.Policy)
	le.PutUint32(b[0x30:], g.VMPL)
	le.PutUint32(b[0x34:], 1)
	le.PutUint64(b[0x40:], g.PlatformInfo)
	signer := g.Signer
	if v.VLEK {
		signer |= 1 << 2
	}
	le.PutUint32(b[0x48:], signer)
	copy(b[0x50:], data[:])
	copy(b[0x90:], g.Measurement[:])
	copy(b[0xc0:], g.HostData[:])
	copy(b[0xe0:], g.IDKey[:])
	copy(b[0x110:], g.Author[:])
	b[0x188], b[0x189] = g.Family, g.Model
	t, chip := v.TCB, v.Chip
	if g.TCB != nil {
		t = *g.TCB
	}
	if g.Chip != nil {
		chip = *g.Chip
	}
	tcb := []byte{t.BootLoader, t.TEE, 0, 0, 0, 0, t.SNP, t.Microcode}
	if v.Product == snp.Turin {
		tcb = []byte{t.FMC, t.BootLoader, t.TEE, t.SNP, 0, 0, 0, t.Microcode}
	}
	for _, at := range []int{0x38, 0x180, 0x1e0, 0x1f0} {
		copy(b[at:], tcb)
	}
	copy(b[0x1a0:], chip[:])
	h := sha512.Sum384(b[:0x2a0])
	r, s, err := ecdsa.Sign(rand.Reader, v.ekKey, h[:])
	if err != nil {
		panic(err)
	}
	put := func(at int, n *big.Int) {
		for i, x := range n.FillBytes(make([]byte, 48)) {
			b[at+47-i] = x
		}
	}
	put(0x2a0, r)
	put(0x2a0+72, s)
	return b
}

// SNP returns an issuer of the guest, with collateral.
func (v *AMD) SNP(g Guest) *Issuer {
	c := v.Collateral()
	return &Issuer{
		TEE: attest.SNP, Of: g.Measurement[:], Source: func() (bundle.Bundle, error) { return c, nil },
		Report: func(d attest.ReportData) []byte { return v.Report(g, d) },
	}
}
