package intel_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	gtdx "github.com/google/go-tdx-guest/testing/testdata"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
	"github.com/teems-go/teems/attest/sgx"
	"github.com/teems-go/teems/attest/tdx"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// verify lets the vendor make evidence of the TEE and verifies it under the
// root of that vendor as it was before.
func verify(v *attesttest.Intel, tee string, at time.Time, change func(b *bundle.Bundle)) (attest.Claims, error) {
	data := attest.Bind("test")
	b := v.Collateral(tee)
	if tee == attest.SGX {
		b.Report = v.SGXQuote(attesttest.NewEnclave([32]byte{1}), data)
	} else {
		b.Report = v.TDXQuote(attesttest.NewTD([48]byte{1}), data)
	}
	if change != nil {
		change(&b)
	}
	e := attest.Evidence{TEE: tee, Raw: b.Encode()}
	return attest.Verifiers{
		attest.SGX: sgx.NewTestVerifier(v.Root(), bundle.Bundle{}), attest.TDX: tdx.NewTestVerifier(v.Root(), bundle.Bundle{}),
	}.Verify(e, at)
}

func TestGood(t *testing.T) {
	for _, tee := range []string{attest.SGX, attest.TDX} {
		v := attesttest.NewIntel(now)
		c, err := verify(v, tee, now, nil)
		if err != nil || !c.RevocationChecked || c.Debug || c.Unsafe != nil || c.ReportData != attest.Bind("test") || c.Platform == "" ||
			c.Intel.Status != attest.UpToDate || c.Intel.Evaluation != 17 || len(c.Checked) < 5 || !c.Until.Equal(v.NextUpdate) {
			t.Errorf("%s: %+v, %+v, %v", tee, c, c.Intel, err)
		}
		v = attesttest.NewIntel(now)
		v.NoLists = true
		if c, err := verify(v, tee, now, nil); err != nil || c.RevocationChecked {
			t.Errorf("%s without lists: %v, %v", tee, c.RevocationChecked, err)
		}
	}
}

// Each status, of each of the parts that have one, ends up in the claims.
func TestStatuses(t *testing.T) {
	for _, s := range attest.TCBStatuses() {
		for _, tee := range []string{attest.SGX, attest.TDX} {
			for part := range 3 {
				v := attesttest.NewIntel(now)
				*[]*attest.TCBStatus{&v.Status, &v.QEStatus, &v.ModuleStatus}[part] = s
				c, err := verify(v, tee, now, nil)
				want := s
				if part == 2 && tee == attest.SGX {
					want = attest.UpToDate
				}
				if err != nil || c.Intel.Status != want {
					t.Errorf("%s of part %d of %s: %v, %v", s, part, tee, c.Intel, err)
				}
			}
		}
	}
}

func TestRefused(t *testing.T) {
	year := 365 * 24 * time.Hour
	for name, x := range map[string]struct {
		change func(v *attesttest.Intel)
		later  time.Duration
		kind   error
		says   string
	}{
		"unknown status":      {func(v *attesttest.Intel) { v.Status = "Fine" }, 0, attest.ErrNotGenuine, "unknown TCB status"},
		"revoked platform":    {func(v *attesttest.Intel) { v.RevokedPlatform = true }, 0, attest.ErrRevoked, "PCK Certificate"},
		"revoked issuer":      {func(v *attesttest.Intel) { v.RevokedIssuer = true }, 0, attest.ErrRevoked, "Platform CA"},
		"revoked signer":      {func(v *attesttest.Intel) { v.RevokedSigner = true }, 0, attest.ErrRevoked, "TCB Signing"},
		"lists of another":    {func(v *attesttest.Intel) { v.ListsOf = attesttest.NewIntel(now) }, 0, attest.ErrNotGenuine, "revocation list"},
		"expired collateral":  {func(v *attesttest.Intel) { v.NextUpdate = now.Add(-time.Second) }, 0, attest.ErrExpired, "revocation list"},
		"expired, no lists":   {func(v *attesttest.Intel) { v.NextUpdate, v.NoLists = now.Add(-time.Second), true }, 0, attest.ErrExpired, "TCB info"},
		"not yet issued":      {func(v *attesttest.Intel) { v.Issued, v.NoLists = now.Add(time.Second), true }, 0, attest.ErrExpired, "TCB info"},
		"expired signer":      {func(v *attesttest.Intel) { v.SignerNotAfter = now.Add(-time.Second) }, 0, attest.ErrExpired, "TCB Signing"},
		"before validity":     {func(v *attesttest.Intel) {}, -2 * year, attest.ErrExpired, "certificate"},
		"after validity":      {func(v *attesttest.Intel) {}, 6 * year, attest.ErrExpired, "certificate"},
		"below all levels":    {func(v *attesttest.Intel) { v.Components[1] = 4 }, 0, attest.ErrNotGenuine, "below every TCB level"},
		"old PCE":             {func(v *attesttest.Intel) { v.PCESVN = 10 }, 0, attest.ErrNotGenuine, "below every TCB level"},
		"issuer's name":       {func(v *attesttest.Intel) { v.IssuerName = "Intel SGX TCB Signing" }, 0, attest.ErrNotGenuine, "not for platforms"},
		"leaf's name":         {func(v *attesttest.Intel) { v.LeafName = "Intel SGX TCB Signing" }, 0, attest.ErrNotGenuine, "not that of a platform"},
		"foreign QE":          {func(v *attesttest.Intel) { v.QESigner[0] ^= 1 }, 0, attest.ErrNotGenuine, "not signed by Intel"},
		"QE in debug mode":    {func(v *attesttest.Intel) { v.QEFlags |= 2 }, 0, attest.ErrNotGenuine, "attributes"},
		"short PPID":          {func(v *attesttest.Intel) { v.PPID = v.PPID[1:] }, 0, attest.ErrEvidence, "malformed field"},
		"module not Intel's":  {func(v *attesttest.Intel) { v.ModuleSigner[0] = 1 }, 0, attest.ErrNotGenuine, "TDX module"},
		"unknown TDX module":  {func(v *attesttest.Intel) { v.ModuleID = "TDX_02" }, 0, attest.ErrNotGenuine, "no TDX module"},
		"platform of another": {nil, 0, attest.ErrNotGenuine, "TCB info is of the platforms"},
		"collateral's signer": {nil, 0, attest.ErrNotGenuine, "not Intel's root"},
	} {
		for _, tee := range []string{attest.SGX, attest.TDX} {
			if tee == attest.SGX && strings.Contains(strings.ToLower(name), "module") {
				continue
			}
			v := attesttest.NewIntel(now)
			var swap func(b *bundle.Bundle)
			switch name {
			case "platform of another":
				c := v.Collateral(tee)
				v.FMSPC = []byte{9, 9, 9, 9, 9, 9}
				o := v.Collateral(tee)
				swap = func(b *bundle.Bundle) { b.TCBInfo = o.TCBInfo; _ = c }
			case "collateral's signer":
				o := attesttest.NewIntel(now).Collateral(tee)
				swap = func(b *bundle.Bundle) { b.TCBChain, b.TCBInfo, b.QEIdentity = o.TCBChain, o.TCBInfo, o.QEIdentity }
			default:
				x.change(v)
			}
			_, err := verify(v, tee, now.Add(x.later), swap)
			if !errors.Is(err, x.kind) || !strings.Contains(err.Error(), x.says) {
				t.Errorf("%s, %s: %v", tee, name, err)
			}
		}
	}
}

func TestWrongParts(t *testing.T) {
	other := attesttest.NewIntel(now)
	for name, x := range map[string]struct {
		change func(b *bundle.Bundle)
		kind   error
	}{
		"no report":       {func(b *bundle.Bundle) { b.Report = nil }, attest.ErrEvidence},
		"no TCB info":     {func(b *bundle.Bundle) { b.TCBInfo = nil }, attest.ErrEvidence},
		"no QE identity":  {func(b *bundle.Bundle) { b.QEIdentity = nil }, attest.ErrEvidence},
		"no signer":       {func(b *bundle.Bundle) { b.TCBChain = nil }, attest.ErrEvidence},
		"one list":        {func(b *bundle.Bundle) { b.PCKCRL = nil }, attest.ErrEvidence},
		"lists exchanged": {func(b *bundle.Bundle) { b.PCKCRL, b.RootCRL = b.RootCRL, b.PCKCRL }, attest.ErrNotGenuine},
		"not a list":      {func(b *bundle.Bundle) { b.PCKCRL = []byte("x") }, attest.ErrEvidence},
		"truncated chain": {func(b *bundle.Bundle) { b.TCBChain = b.TCBChain[:len(b.TCBChain)/2] }, attest.ErrEvidence},
		"longer chain":    {func(b *bundle.Bundle) { b.TCBChain = append(bytes.Clone(b.TCBChain), b.TCBChain...) }, attest.ErrEvidence},
		"other chain":     {func(b *bundle.Bundle) { b.TCBChain = other.Collateral("sgx").TCBChain }, attest.ErrNotGenuine},
		"other TCB info":  {func(b *bundle.Bundle) { b.TCBInfo = other.Collateral("sgx").TCBInfo }, attest.ErrNotGenuine},
		"TCB info spaced": {func(b *bundle.Bundle) { b.TCBInfo = append(bytes.Clone(b.TCBInfo), '\n') }, attest.ErrEvidence},
		"TCB info as QE":  {func(b *bundle.Bundle) { b.QEIdentity = b.TCBInfo }, attest.ErrEvidence},
		"other quote": {func(b *bundle.Bundle) {
			b.Report = other.SGXQuote(attesttest.NewEnclave([32]byte{}), attest.ReportData{})
		}, attest.ErrNotGenuine},
		"TDX quote":         {func(b *bundle.Bundle) { b.Report = other.TDXQuote(tdx.Body{}, attest.ReportData{}) }, attest.ErrEvidence},
		"truncated quote":   {func(b *bundle.Bundle) { b.Report = b.Report[:len(b.Report)-1] }, attest.ErrEvidence},
		"quote and a byte":  {func(b *bundle.Bundle) { b.Report = append(bytes.Clone(b.Report), 0) }, attest.ErrEvidence},
		"AMD's collateral":  {func(b *bundle.Bundle) { b.Endorsement = []byte("x") }, attest.ErrEvidence},
		"huge length field": {func(b *bundle.Bundle) { b.Report = bytes.Clone(b.Report); copy(b.Report[432:], "\xff\xff\xff\xff") }, attest.ErrEvidence},
	} {
		if _, err := verify(attesttest.NewIntel(now), attest.SGX, now, x.change); !errors.Is(err, x.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v := attesttest.NewIntel(now)
	if _, err := verify(v, attest.SGX, time.Time{}, nil); !errors.Is(err, attest.ErrNoClock) {
		t.Errorf("no clock: %v", err)
	}
	if _, err := intel.Verify(nil, nil, bundle.Bundle{}, now); !errors.Is(err, attest.ErrNoVerifier) {
		t.Errorf("no root: %v", err)
	}
	for name, w := range map[string]attest.Verifier{
		"zero SGX": &sgx.Verifier{}, "nil SGX": (*sgx.Verifier)(nil), "zero TDX": &tdx.Verifier{}, "nil TDX": (*tdx.Verifier)(nil),
	} {
		if _, err := w.Verify(attest.Evidence{TEE: attest.SGX, Raw: []byte{1}}, now); !errors.Is(err, attest.ErrNoVerifier) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Under Intel's root nothing of a fake vendor's counts.
	b := v.Collateral(attest.SGX)
	b.Report = v.SGXQuote(attesttest.NewEnclave([32]byte{1}), attest.ReportData{})
	if _, err := sgx.NewVerifier(bundle.Bundle{}).Verify(attest.Evidence{TEE: attest.SGX, Raw: b.Encode()}, now); !errors.Is(err, attest.ErrNotGenuine) {
		t.Errorf("a fake vendor passes: %v", err)
	}
}

// A change of any byte of a quote, or of collateral with revocation lists, makes
// the evidence refused. Recorded evidence has no lists; see package inspect.
func TestEveryByte(t *testing.T) {
	for _, tee := range []string{attest.SGX, attest.TDX} {
		v := attesttest.NewIntel(now)
		issuer := v.SGX(attesttest.NewEnclave([32]byte{1}))
		verifier := attest.Verifier(sgx.NewTestVerifier(v.Root(), bundle.Bundle{}))
		if tee == attest.TDX {
			issuer, verifier = v.TDX(attesttest.NewTD([48]byte{1})), tdx.NewTestVerifier(v.Root(), bundle.Bundle{})
		}
		e, err := issuer.Issue(attest.ReportData{})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := verifier.Verify(e, now); err != nil || !c.RevocationChecked {
			t.Fatal(c, err)
		}
		b, err := bundle.Parse(e.Raw)
		if err != nil {
			t.Fatal(err)
		}
		lists := len(e.Raw) - len(b.RootCRL) - len(b.PCKCRL) - 10 // from there on, each byte; package inspect has the rest
		for i := 0; i < len(e.Raw); i++ {
			if i < lists && i%29 != 0 {
				continue
			}
			e.Raw[i] ^= 1 << (i % 8)
			if c, err := verifier.Verify(e, now); err == nil {
				t.Errorf("%s: byte %d was changed, and the evidence accepted, revocation checked: %v", tee, i, c.RevocationChecked)
			}
			e.Raw[i] ^= 1 << (i % 8)
		}
	}
}

// Collateral that evidence lacks may be handed to the verifier.
func TestFallback(t *testing.T) {
	v := attesttest.NewIntel(now)
	e := attest.Evidence{TEE: attest.SGX, Raw: bundle.Bundle{Report: v.SGXQuote(attesttest.NewEnclave([32]byte{1}), attest.ReportData{})}.Encode()}
	if _, err := sgx.NewTestVerifier(v.Root(), v.Collateral(attest.SGX)).Verify(e, now); err != nil {
		t.Error(err)
	}
	if _, err := sgx.NewTestVerifier(v.Root(), v.Collateral(attest.TDX)).Verify(e, now); !errors.Is(err, attest.ErrNotGenuine) {
		t.Errorf("collateral of the other TEE: %v", err)
	}
}

// The recorded TDX quote and revocation lists that come with go-tdx-guest:
// its platform is below all levels that Intel lists, so it is refused, and
// only for that. The lists are real ones of Intel's, and verify.
func TestRecordedLists(t *testing.T) {
	raw, err := os.ReadFile("../../testdata/tdx.bin")
	if err != nil {
		t.Fatal(err)
	}
	e, err := attest.ParseEvidence(raw)
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := bundle.Parse(e.Raw)
	if err != nil {
		t.Fatal(err)
	}
	quote := gtdx.RawQuote[:len(gtdx.RawQuote)-39] // padding
	b := bundle.Bundle{
		Report: quote, TCBInfo: bytes.TrimSpace(gtdx.TcbInfoBody), QEIdentity: bytes.TrimSpace(gtdx.QeIdentityBody), TCBChain: recorded.TCBChain,
		RootCRL: gtdx.RootCrlBody, PCKCRL: gtdx.PckCrlBody,
	}
	at := time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC)
	check := func(b bundle.Bundle, at time.Time, kind error, says string) {
		t.Helper()
		_, err := tdx.NewVerifier(bundle.Bundle{}).Verify(attest.Evidence{TEE: attest.TDX, Raw: b.Encode()}, at)
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v", err)
		}
	}
	check(b, at, attest.ErrNotGenuine, "below every TCB level")
	check(b, at.AddDate(0, 1, 0), attest.ErrExpired, "the platforms' revocation list")
	changed := b
	changed.PCKCRL = bytes.Clone(b.PCKCRL)
	changed.PCKCRL[200] ^= 1
	check(changed, at, attest.ErrNotGenuine, "revocation list")
}

func FuzzParseQuote(f *testing.F) {
	v := attesttest.NewIntel(now)
	f.Add(v.SGXQuote(attesttest.NewEnclave([32]byte{1}), attest.ReportData{}), true)
	f.Add(v.TDXQuote(attesttest.NewTD([48]byte{1}), attest.ReportData{}), false)
	f.Fuzz(func(t *testing.T, b []byte, isSGX bool) {
		version, tee, n := uint16(4), uint32(intel.TypeTDX), 584
		if isSGX {
			version, tee, n = 3, intel.TypeSGX, intel.ReportBytes
		}
		q, body, err := intel.ParseQuote(b, version, tee, n)
		if err == nil && (len(body) != n || len(q.Signature) != 64 || len(q.AttestationKey) != 64 || len(q.QEReport.Raw) != intel.ReportBytes) {
			t.Errorf("%x", b)
		}
	})
}

// FuzzCollateral changes each part of good evidence.
func FuzzCollateral(f *testing.F) {
	v := attesttest.NewIntel(now)
	good := v.Collateral(attest.TDX)
	good.Report = v.TDXQuote(attesttest.NewTD([48]byte{1}), attest.ReportData{})
	w := tdx.NewTestVerifier(v.Root(), bundle.Bundle{})
	f.Add(good.TCBInfo, good.QEIdentity, good.TCBChain, good.RootCRL, good.PCKCRL)
	f.Fuzz(func(t *testing.T, info, qe, chain, root, pck []byte) {
		b := bundle.Bundle{Report: good.Report, TCBInfo: info, QEIdentity: qe, TCBChain: chain, RootCRL: root, PCKCRL: pck}
		_, err := w.Verify(attest.Evidence{TEE: attest.TDX, Raw: b.Encode()}, now)
		lists := len(root)+len(pck) > 0
		b.TCBChain = good.TCBChain // its last newline may be missing
		if !lists {
			b.RootCRL, b.PCKCRL = good.RootCRL, good.PCKCRL
		}
		if err == nil && !bytes.Equal(b.Encode(), good.Encode()) {
			t.Error("changed collateral is accepted")
		}
	})
}
