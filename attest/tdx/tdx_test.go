package tdx_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"testing"
	"time"

	gtdx "github.com/google/go-tdx-guest/testing/testdata"
	"github.com/google/go-tdx-guest/verify"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
	"github.com/teems-go/teems/attest/tdx"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func TestClaims(t *testing.T) {
	v := attesttest.NewIntel(now)
	good := attesttest.NewTD([48]byte{1})
	measurement := tdx.Measure(&good)
	for name, x := range map[string]struct {
		change   func(b *tdx.Body)
		debug    bool
		unsafe   int
		measured bool // as another one
	}{
		"good":              {func(b *tdx.Body) {}, false, 0, false},
		"report data only":  {func(b *tdx.Body) { b.ReportData[0]++ }, false, 0, false},
		"debug":             {func(b *tdx.Body) { b.Attributes |= 1 }, true, 0, true},
		"another TUD bit":   {func(b *tdx.Body) { b.Attributes |= 1 << 7 }, true, 0, true},
		"migratable":        {func(b *tdx.Body) { b.Attributes |= 1 << 29 }, false, 1, true},
		"exceptions":        {func(b *tdx.Body) { b.Attributes &^= 1 << 28 }, false, 1, true},
		"MRTD":              {func(b *tdx.Body) { b.MRTD[47]++ }, false, 0, true},
		"register 0":        {func(b *tdx.Body) { b.RTMR[0][0]++ }, false, 0, true},
		"register 3":        {func(b *tdx.Body) { b.RTMR[3][47]++ }, false, 0, true},
		"registers swapped": {func(b *tdx.Body) { b.RTMR[1][0] = 1 }, false, 0, true},
		"MRCONFIGID":        {func(b *tdx.Body) { b.MRConfigID[0]++ }, false, 0, true},
		"MROWNER":           {func(b *tdx.Body) { b.MROwner[0]++ }, false, 0, true},
		"MROWNERCONFIG":     {func(b *tdx.Body) { b.MROwnerConfig[0]++ }, false, 0, true},
		"XFAM":              {func(b *tdx.Body) { b.XFAM++ }, false, 0, true},
	} {
		b := good
		x.change(&b)
		e, err := v.TDX(b).Issue(attest.Bind("test"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := tdx.NewTestVerifier(v.Root(), bundle.Bundle{}).Verify(e, now)
		if err != nil || c.Debug != x.debug || len(c.Unsafe) != x.unsafe || c.Measurement.Equal(measurement) == x.measured || c.ReportData != attest.Bind("test") {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if _, err := tdx.NewVerifier(bundle.Bundle{}).Verify(attest.Evidence{TEE: attest.SGX, Raw: []byte{1}}, now); !errors.Is(err, attest.ErrUnknownTEE) {
		t.Error(err)
	}
}

// theirs is the verdict of Google's verifier on the quote, without collateral.
func theirs(raw []byte, root *x509.Certificate, at time.Time) error {
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return verify.RawTdxQuote(raw, &verify.Options{Now: at, TrustedRoots: pool})
}

// What Google's verifier refuses of a quote, this one refuses too.
func TestAgainstGoogle(t *testing.T) {
	v := attesttest.NewIntel(now)
	collateral := v.Collateral(attest.TDX)
	fake := v.TDXQuote(attesttest.NewTD([48]byte{1}), attest.ReportData{})
	ours := func(raw []byte, at time.Time) error {
		_, err := tdx.NewTestVerifier(v.Root(), collateral).Verify(attest.Evidence{TEE: attest.TDX, Raw: bundle.Bundle{Report: raw}.Encode()}, at)
		return err
	}
	if err1, err2 := ours(fake, now), theirs(fake, v.Root(), now); err1 != nil || err2 != nil {
		t.Fatalf("we say %v, they say %v", err1, err2)
	}
	for _, years := range []int{-3, 6} {
		if err1, err2 := ours(fake, now.AddDate(years, 0, 0)), theirs(fake, v.Root(), now.AddDate(years, 0, 0)); err1 == nil || err2 == nil {
			t.Errorf("%d years later we say %v, they say %v", years, err1, err2)
		}
	}
	lax := 0
	for i := 0; i < len(fake); i += 5 {
		b := bytes.Clone(fake)
		b[i] ^= byte(1 << (i % 8))
		if ours(b, now) == nil {
			t.Errorf("byte %d was changed, and the quote accepted", i)
		}
		if theirs(b, v.Root(), now) == nil {
			lax++
		}
	}
	t.Logf("Google's verifier accepts %d of the changes, this one none", lax)

	// Their recorded quote and ours, under Intel's root, by theirs.
	raw, err := os.ReadFile("../../testdata/tdx.bin")
	if err != nil {
		t.Fatal(err)
	}
	e, err := attest.ParseEvidence(raw)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(e.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range [][]byte{b.Report, gtdx.RawQuote} {
		if err := theirs(q, intel.Root(), time.Date(2024, 9, 2, 7, 43, 52, 0, time.UTC)); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	v := attesttest.NewIntel(now)
	f.Add(v.TDXQuote(attesttest.NewTD([48]byte{1}), attest.ReportData{}))
	f.Add(gtdx.RawQuote)
	f.Fuzz(func(t *testing.T, b []byte) {
		if body, err := tdx.Parse(b); (err == nil) != (body != nil) {
			t.Error(body, err)
		}
	})
}
