package atls

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/sgx"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/attest/snp"
	"github.com/teems-go/teems/attest/tdx"
	"github.com/teems-go/teems/internal/manifest"
)

// vendors are fake ones, with a world whose three servers are an SGX enclave,
// a TD and an SEV-SNP guest.
type vendors struct {
	*world
	intel *attesttest.Intel
	amd   *attesttest.AMD
}

func newVendors() *vendors {
	v := &vendors{newWorld(), attesttest.NewIntel(testTime), attesttest.NewAMD(testTime)}
	intel := attest.IntelRules{Platforms: []string{attest.Any}, TCBStatuses: []attest.TCBStatus{attest.UpToDate}, MinTCBEvaluation: 17, MinTCBDate: "2024-03-13"}
	signer := sha256.Sum256([]byte("signer"))
	td := attesttest.NewTD([48]byte{2})
	v.second.Manifest.TEEs = manifest.TEEPolicy{
		Measurements: map[string][]attest.Measurement{
			attest.SGX: {goodCode[:]}, attest.TDX: {tdx.Measure(&td)}, attest.SNP: {append([]byte{3}, make([]byte, 47)...)},
		},
		SGX: &attest.SGXRules{Signers: []string{hex.EncodeToString(signer[:])}, IntelRules: intel},
		TDX: &attest.TDXRules{IntelRules: intel},
		SNP: &attest.SNPRules{Signers: []string{attest.None}, Platforms: []string{hex.EncodeToString(v.amd.Chip[:])}, MinTCB: v.amd.TCB},
	}
	if err := v.second.Sign(v.operator); err != nil {
		panic(err)
	}
	return v
}

func (v *vendors) issuer(i int) *attesttest.Issuer {
	switch i {
	case 0:
		return v.intel.SGX(attesttest.NewEnclave(goodCode))
	case 1:
		return v.intel.TDX(attesttest.NewTD([48]byte{2}))
	}
	return v.amd.SNP(attesttest.NewGuest([48]byte{3}))
}

func (v *vendors) config(i int) *Config {
	c := v.world.config(i)
	c.Verifiers = attest.Verifiers{
		attest.SGX: sgx.NewTestVerifier(v.intel.Root(), v.intel.Collateral(attest.SGX)), attest.TDX: tdx.NewTestVerifier(v.intel.Root(), bundle.Bundle{}),
		attest.SNP: snp.NewTestVerifier(v.amd.Roots(), bundle.Bundle{}), attest.SimulatedTEE: simulated.NewVerifier(),
	}
	c.Identity.Issuer = v.issuer(i)
	return c
}

// Servers of all TEEs connect to each other, both ways round, and each knows
// what the other is.
func TestMixedTEEs(t *testing.T) {
	noLeak(t)
	v := newVendors()
	names := []string{attest.SGX, attest.TDX, attest.SNP}
	for i := range names {
		for j := range names {
			if i == j {
				continue
			}
			c, s := connect(t, v.config(i), v.config(j))
			if c.err != nil || s.err != nil {
				t.Errorf("%s to %s: %v, %v", names[i], names[j], c.err, s.err)
				continue
			}
			p, q := c.conn.Peer(), s.conn.Peer()
			if p.Claims.TEE != names[j] || q.Claims.TEE != names[i] || p.Server != j || !q.Member || p.Claims.Simulated || !p.Claims.RevocationChecked {
				t.Errorf("%s to %s: the client sees %+v, the server %+v", names[i], names[j], p, q)
			}
			checkTraffic(t, c.conn, s.conn)
		}
	}
}

// A server that is wrong in some way is refused by all, and is told no more
// than which check failed.
func TestMixedRefused(t *testing.T) {
	noLeak(t)
	later := func(c *Config) { c.Now = func() time.Time { return testTime.AddDate(0, 2, 0) } }
	for name, x := range map[string]struct {
		vendor func(v *vendors) *attesttest.Issuer
		good   func(c *Config)
		kind   error
		says   string
	}{
		"SGX, wrong measurement": {func(v *vendors) *attesttest.Issuer { return v.intel.SGX(attesttest.NewEnclave(otherCode)) }, nil, attest.ErrPolicy, "measurement"},
		"SGX, debug": {func(v *vendors) *attesttest.Issuer {
			e := attesttest.NewEnclave(goodCode)
			e.Flags |= 2
			return v.intel.SGX(e)
		}, nil, attest.ErrPolicy, "debug"},
		"SGX, out of date":         {func(v *vendors) *attesttest.Issuer { v.intel.Status = attest.OutOfDate; return v.issuer(0) }, nil, attest.ErrPolicy, "OutOfDate"},
		"SGX, no revocation lists": {func(v *vendors) *attesttest.Issuer { v.intel.NoLists = true; return v.issuer(1) }, nil, attest.ErrPolicy, "revocation"},
		"TDX, revoked":             {func(v *vendors) *attesttest.Issuer { v.intel.RevokedPlatform = true; return v.issuer(1) }, nil, attest.ErrRevoked, "names the certificate"},
		"TDX, other register": {func(v *vendors) *attesttest.Issuer {
			b := attesttest.NewTD([48]byte{2})
			b.RTMR[1][0] = 1
			return v.intel.TDX(b)
		}, nil, attest.ErrPolicy, "measurement"},
		"TDX, another vendor": {func(v *vendors) *attesttest.Issuer {
			return attesttest.NewIntel(testTime).TDX(attesttest.NewTD([48]byte{2}))
		}, nil, attest.ErrNotGenuine, "root"},
		"SNP, no ciphertext hiding": {func(v *vendors) *attesttest.Issuer {
			g := attesttest.NewGuest([48]byte{3})
			g.PlatformInfo = 0
			return v.amd.SNP(g)
		}, nil, attest.ErrPolicy, "ciphertext hiding"},
		"SNP, another chip":  {func(v *vendors) *attesttest.Issuer { v.amd.Chip[0]++; v.amd.Reissue(); return v.issuer(2) }, nil, attest.ErrPolicy, "not on the list"},
		"SNP, old firmware":  {func(v *vendors) *attesttest.Issuer { v.amd.TCB.SNP--; v.amd.Reissue(); return v.issuer(2) }, nil, attest.ErrPolicy, "update the platform"},
		"expired collateral": {func(v *vendors) *attesttest.Issuer { return v.issuer(1) }, later, ErrCert, ""},
	} {
		for good := range 3 {
			v := newVendors()
			victim := v.config(good)
			bad := v.config((good + 1) % 3)
			bad.Identity.Issuer = x.vendor(v)
			if x.good != nil {
				x.good(victim)
				victim.Identity.Issuer = &attesttest.Issuer{TEE: attest.SGX, Report: func(attest.ReportData) []byte { return []byte{1} }}
			}
			c, s := connect(t, victim, bad)
			if !errors.Is(c.err, x.kind) || !strings.Contains(c.err.Error(), x.says) || s.err == nil {
				t.Errorf("%s, seen by %d: %v; it hears %v", name, good, c.err, s.err)
			}
			if s.err != nil && x.says != "" && strings.Contains(s.err.Error(), x.says) {
				t.Errorf("%s: it hears why: %v", name, s.err)
			}
		}
	}
	// Simulated evidence gets nowhere where it is not allowed.
	v := newVendors()
	c, s := connect(t, v.config(0), with(v.config(1), func(c *Config) { c.Identity.Issuer = simulated.NewIssuer(goodCode) }))
	if !errors.Is(c.err, attest.ErrPolicy) || s.err == nil {
		t.Error(c.err, s.err)
	}
}

// gramine returns the extension's value in the interoperable form, encoded by
// another library.
func gramine(t testing.TB, v *vendors, claims any, key []byte) []byte {
	t.Helper()
	var c []byte
	switch x := claims.(type) {
	case nil:
		h := sha256.Sum256(key)
		c = must(cbor.Marshal(map[string][]byte{"pubkey-hash": must(cbor.Marshal([]any{1, h[:]}))}))
	case []byte:
		c = x
	default:
		c = must(cbor.Marshal(x))
	}
	h := sha256.Sum256(c)
	quote := v.intel.SGXQuote(attesttest.NewEnclave(goodCode), attest.ReportData(append(h[:], make([]byte, 32)...)))
	return must(cbor.Marshal(cbor.Tag{Number: 60000, Content: []any{quote, c}}))
}

// certificate makes one of the right shape with the extensions given.
func (v *vendors) certificate(t testing.TB, key ed25519.PrivateKey, extensions ...pkix.Extension) []*x509.Certificate {
	t.Helper()
	h := v.second.Hash()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hex.EncodeToString(h[:])}, NotBefore: testTime, NotAfter: testTime.Add(time.Hour), ExtraExtensions: extensions,
	}
	return []*x509.Certificate{must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))}
}

func TestGramineForm(t *testing.T) {
	v := newVendors()
	key := must(manifest.GenerateKey(rand.Reader))
	spki := must(x509.MarshalPKIXPublicKey(key.Public()))
	s := must(newSide(v.config(2), directionClient))
	sum384, sum512 := sha512.Sum384(spki), sha512.Sum512(spki)
	sum := sha256.Sum256(spki)
	entry := func(x ...any) []byte { return must(cbor.Marshal(x)) }
	oid := func(last int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 23, 133, 5, 4, last} }
	good := gramine(t, v, nil, spki)
	type hash = map[string][]byte
	for name, x := range map[string]struct {
		value []byte
		kind  error
	}{
		"SHA-256":           {good, nil},
		"SHA-384":           {gramine(t, v, hash{"pubkey-hash": entry(7, sum384[:])}, nil), nil},
		"SHA-512":           {gramine(t, v, hash{"pubkey-hash": entry(8, sum512[:])}, nil), nil},
		"with a nonce":      {gramine(t, v, hash{"pubkey-hash": entry(1, sum[:]), "nonce": []byte("n")}, nil), nil},
		"another key":       {gramine(t, v, nil, []byte("another")), attest.ErrBinding},
		"wrong algorithm":   {gramine(t, v, hash{"pubkey-hash": entry(2, sum[:])}, nil), attest.ErrBinding},
		"cut hash":          {gramine(t, v, hash{"pubkey-hash": entry(1, sum[:31])}, nil), attest.ErrBinding},
		"three in an entry": {gramine(t, v, hash{"pubkey-hash": entry(1, sum[:], 1)}, nil), attest.ErrBinding},
		"no key":            {gramine(t, v, hash{"nonce": []byte("n")}, nil), errCMW},
		"unknown claim":     {gramine(t, v, hash{"pubkey-hash": entry(1, sum[:]), "x": nil}, nil), errCMW},
		"claims a list":     {gramine(t, v, []string{"pubkey-hash"}, nil), errCMW},
		"empty claims":      {gramine(t, v, []byte{}, nil), errCMW},
		"claims are text":   {must(cbor.Marshal(cbor.Tag{Number: 60000, Content: []any{[]byte("q"), "c"}})), errCMW},
		"another tag":       {must(cbor.Marshal(cbor.Tag{Number: 60001, Content: []any{[]byte("q"), []byte("c")}})), errCMW},
		"no tag":            {must(cbor.Marshal([]any{[]byte("q"), []byte("c")})), errCMW},
		"a byte more":       {append(append([]byte{}, good...), 0), errCMW},
		"cut":               {good[:len(good)-1], errCMW},
		"indefinite":        {append([]byte{0xd9, 0xea, 0x60, 0x9f}, append(append([]byte{}, good[4:]...), 0xff)...), errCMW},
		"oversize":          {make([]byte, maxCMWBytes+1), errCMW},
		"empty":             {nil, errCMW},
	} {
		_, err := s.checkCertificate(v.certificate(t, key, pkix.Extension{Id: oidGramine, Value: x.value}))
		if !errors.Is(err, x.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := pkix.Extension{Id: oidCMW, Value: must(encodeExtension(must(v.issuer(0).Issue(attest.ReportData{}))))}
	own := pkix.Extension{Id: oidGramine, Value: good}
	for name, list := range map[string][]pkix.Extension{
		"wrong OID":  {{Id: oid(1), Value: good}},
		"both forms": {own, other},
		"none":       nil,
	} {
		if _, err := s.checkCertificate(v.certificate(t, key, list...)); !errors.Is(err, errCMW) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Claims that were changed after the quote was made.
	changed := append([]byte{}, good...)
	changed[len(changed)-1] ^= 1
	if _, err := s.checkCertificate(v.certificate(t, key, pkix.Extension{Id: oidGramine, Value: changed})); !errors.Is(err, attest.ErrBinding) {
		t.Errorf("changed claims: %v", err)
	}
	// A policy without SGX does not accept the form either.
	sim := must(newSide(newWorld().config(0), directionClient))
	sim.manifest = v.second.Hash()
	if _, err := sim.checkCertificate(v.certificate(t, key, own)); !errors.Is(err, attest.ErrUnknownTEE) {
		t.Errorf("where there is no SGX: %v", err)
	}
}

func FuzzGramine(f *testing.F) {
	v := newVendors()
	key := []byte("key")
	f.Add(gramine(f, v, nil, key))
	f.Add([]byte{0xd9, 0xea, 0x60, 0x82, 0x41, 0, 0x41, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, _, err := parseGramine(b, key)
		if err != nil {
			return
		}
		var tag cbor.RawTag
		var pair [2][]byte
		if err := cbor.Unmarshal(b, &tag); err != nil || tag.Number != 60000 {
			t.Errorf("%x is accepted here, and there: %v", b, err)
		} else if err := cbor.Unmarshal(tag.Content, &pair); err != nil || e.TEE != attest.SGX {
			t.Errorf("%x is accepted here, and there: %v", b, err)
		}
	})
}
