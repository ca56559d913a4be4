// Package attesttest makes fake vendors for tests: with roots of their own
// they certify platforms, sign collateral in the vendors' formats and make
// quotes and reports, so that the real verifiers run on anything that a test
// wants to claim. Only tests import it, and no real verifier trusts it.
package attesttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
)

// Intel is a fake Intel with one platform. Change the fields before asking it
// for anything.
type Intel struct {
	Now                  time.Time // certificates and collateral are valid around it
	Issued, NextUpdate   time.Time // of collateral and revocation lists
	Evaluation           uint32
	Status, QEStatus     attest.TCBStatus
	ModuleStatus         attest.TCBStatus
	LevelDate            string
	Level                [16]int // what the one TCB level asks of the platform
	LevelPCE             int
	PPID, FMSPC          []byte
	Components           [16]int // what the platform has
	PCESVN               int
	RevokedPlatform      bool
	RevokedIssuer        bool
	RevokedSigner        bool
	NoLists              bool   // collateral without revocation lists
	IssuerName, LeafName string // of the platform's certificates
	ListsOf              *Intel // lists are made by another vendor
	QESigner             [32]byte
	ModuleSigner         [48]byte // that the collateral asks for
	ModuleID             string
	QEFlags              uint64
	SignerNotAfter       time.Time

	rootKey, issuerKey, pckKey, signerKey, attestationKey *ecdsa.PrivateKey
	root, issuer, pck, signer                             []byte // DER
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func key() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// NewIntel returns a fake Intel whose platform is up to date at now.
func NewIntel(now time.Time) *Intel {
	return &Intel{
		Now: now, Issued: now.Add(-24 * time.Hour), NextUpdate: now.Add(29 * 24 * time.Hour), SignerNotAfter: now.AddDate(5, 0, 0),
		Evaluation: 17, Status: attest.UpToDate, QEStatus: attest.UpToDate, ModuleStatus: attest.UpToDate,
		LevelDate: "2024-03-13T00:00:00Z", Level: [16]int{5, 5, 2}, LevelPCE: 11, PPID: []byte("platform-0123456"), FMSPC: []byte{0x50, 0x80, 0x6f, 0, 0, 1},
		Components: [16]int{5, 6, 2, 1}, PCESVN: 12, IssuerName: "Intel SGX PCK Platform CA", LeafName: "Intel SGX PCK Certificate",
		QESigner: sha256.Sum256([]byte("intel")), ModuleID: "TDX_01", QEFlags: 0x15,
		rootKey: key(), issuerKey: key(), pckKey: key(), signerKey: key(), attestationKey: key(),
	}
}

func name(cn string) pkix.Name {
	return pkix.Name{CommonName: cn, Organization: []string{"Intel Corporation"}, Locality: []string{"Santa Clara"}, Province: []string{"CA"}, Country: []string{"US"}}
}

// certify makes all certificates, once.
func (v *Intel) certify() {
	if v.pck != nil {
		return
	}
	make := func(serial int64, cn string, ca bool, k, by *ecdsa.PrivateKey, parent []byte, extra []pkix.Extension) []byte {
		t := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: name(cn), NotBefore: v.Now.AddDate(-1, 0, 0), NotAfter: v.Now.AddDate(5, 0, 0),
			BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature, SubjectKeyId: []byte{byte(serial), 1},
			CRLDistributionPoints: []string{"https://example.invalid/list"}, ExtraExtensions: extra, SignatureAlgorithm: x509.ECDSAWithSHA256,
		}
		if ca {
			t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		}
		if cn == "Intel SGX TCB Signing" {
			t.NotAfter = v.SignerNotAfter
		}
		p := t
		if parent != nil {
			p = must(x509.ParseCertificate(parent))
		}
		return must(x509.CreateCertificate(rand.Reader, t, p, &k.PublicKey, by))
	}
	v.root = make(1, "Intel SGX Root CA", true, v.rootKey, v.rootKey, nil, nil)
	v.issuer = make(2, v.IssuerName, true, v.issuerKey, v.rootKey, v.root, nil)
	v.signer = make(3, "Intel SGX TCB Signing", false, v.signerKey, v.rootKey, v.root, nil)
	v.pck = make(4, v.LeafName, false, v.pckKey, v.issuerKey, v.issuer, []pkix.Extension{v.extension()})
}

// extension is what a platform's certificate says of it.
func (v *Intel) extension() pkix.Extension {
	type attribute struct {
		ID    asn1.ObjectIdentifier
		Value any
	}
	sgx := asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}
	id := func(n ...int) asn1.ObjectIdentifier { return append(sgx[:7:7], n...) }
	var tcb []attribute
	cpu := make([]byte, 16)
	for i, c := range v.Components {
		tcb = append(tcb, attribute{id(2, i+1), c})
		cpu[i] = byte(c)
	}
	tcb = append(tcb, attribute{id(2, 17), v.PCESVN}, attribute{id(2, 18), cpu})
	return pkix.Extension{Id: sgx, Value: must(asn1.Marshal([]attribute{
		{id(1), v.PPID}, {id(2), tcb}, {id(3), []byte{0, 0}}, {id(4), v.FMSPC}, {id(5), asn1.Enumerated(0)},
	}))}
}

// Root returns the fake root's certificate.
func (v *Intel) Root() *x509.Certificate {
	v.certify()
	return must(x509.ParseCertificate(v.root))
}

func chain(certs ...[]byte) []byte {
	var b []byte
	for _, c := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	return b
}

// sign returns r and s.
func sign(k *ecdsa.PrivateKey, message []byte) []byte {
	h := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, k, h[:])
	if err != nil {
		panic(err)
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out
}

func (v *Intel) signed(field string, body map[string]any) []byte {
	b := must(json.Marshal(body))
	return []byte(`{"` + field + `":` + string(b) + `,"signature":"` + hex.EncodeToString(sign(v.signerKey, b)) + `"}`)
}

// Collateral returns all collateral for SGX or TDX.
func (v *Intel) Collateral(tee string) bundle.Bundle {
	v.certify()
	id, qe := "SGX", "QE"
	components := make([]map[string]int, 16)
	for i, c := range v.Level {
		components[i] = map[string]int{"svn": c}
	}
	none := make([]map[string]int, 16)
	for i := range none {
		none[i] = map[string]int{"svn": 0}
	}
	level := map[string]any{"tcb": map[string]any{"sgxtcbcomponents": components, "pcesvn": v.LevelPCE}, "tcbDate": v.LevelDate, "tcbStatus": v.Status, "advisoryIDs": []string{"INTEL-SA-00000"}}
	head := func(id string, version int) map[string]any {
		return map[string]any{"id": id, "version": version, "issueDate": v.Issued.UTC().Format(time.RFC3339), "nextUpdate": v.NextUpdate.UTC().Format(time.RFC3339), "tcbEvaluationDataNumber": v.Evaluation}
	}
	info := map[string]any{}
	if tee == attest.TDX {
		id, qe = "TDX", "TD_QE"
		level["tcb"].(map[string]any)["tdxtcbcomponents"] = none
		module := map[string]any{"mrsigner": hex.EncodeToString(v.ModuleSigner[:]), "attributes": "0000000000000000", "attributesMask": "FFFFFFFFFFFFFFFF"}
		info["tdxModule"] = module
		info["tdxModuleIdentities"] = []any{map[string]any{
			"id": v.ModuleID, "mrsigner": module["mrsigner"], "attributes": module["attributes"], "attributesMask": module["attributesMask"],
			"tcbLevels": []any{map[string]any{"tcb": map[string]int{"isvsvn": 4}, "tcbDate": v.LevelDate, "tcbStatus": v.ModuleStatus}},
		}}
	}
	for k, x := range head(id, 3) {
		info[k] = x
	}
	info["fmspc"], info["pceId"], info["tcbType"], info["tcbLevels"] = hex.EncodeToString(v.FMSPC), "0000", 0, []any{level}
	identity := head(qe, 2)
	for k, x := range map[string]any{
		"miscselect": "00000000", "miscselectMask": "FFFFFFFF", "attributes": "11000000000000000000000000000000", "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
		"mrsigner": hex.EncodeToString(v.QESigner[:]), "isvprodid": 1,
		"tcbLevels": []any{map[string]any{"tcb": map[string]int{"isvsvn": 6}, "tcbDate": v.LevelDate, "tcbStatus": v.QEStatus}},
	} {
		identity[k] = x
	}
	b := bundle.Bundle{TCBInfo: v.signed("tcbInfo", info), QEIdentity: v.signed("enclaveIdentity", identity), TCBChain: chain(v.signer, v.root)}
	if !v.NoLists {
		b.RootCRL, b.PCKCRL = v.lists()
	}
	return b
}

// lists makes both revocation lists.
func (v *Intel) lists() (root, platforms []byte) {
	by := v
	if v.ListsOf != nil {
		by = v.ListsOf
		by.certify()
	}
	list := func(cert []byte, k *ecdsa.PrivateKey, revoked map[int64]bool) []byte {
		l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: v.Issued, NextUpdate: v.NextUpdate}
		for serial, yes := range revoked {
			if yes {
				l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: v.Issued})
			}
		}
		return must(x509.CreateRevocationList(rand.Reader, l, must(x509.ParseCertificate(cert)), k))
	}
	return list(by.root, by.rootKey, map[int64]bool{2: v.RevokedIssuer, 3: v.RevokedSigner}), list(by.issuer, by.issuerKey, map[int64]bool{4: v.RevokedPlatform})
}
