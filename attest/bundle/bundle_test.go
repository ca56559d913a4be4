package bundle_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
)

func full() bundle.Bundle {
	return bundle.Bundle{
		Report: []byte("report"), TCBInfo: []byte("tcb"), QEIdentity: []byte("qe"), TCBChain: []byte("chain"),
		RootCRL: []byte("root"), PCKCRL: []byte("pck"), Endorsement: []byte("vcek"), AMDCRL: []byte("amd"),
	}
}

func TestRoundTrip(t *testing.T) {
	for _, b := range []bundle.Bundle{{}, {Report: []byte{1}}, full(), {AMDCRL: []byte{2}}} {
		raw := b.Encode()
		got, err := bundle.Parse(raw)
		if err != nil || !reflect.DeepEqual(got, b) {
			t.Errorf("%+v is read back as %+v, %v", b, got, err)
		}
		for i := range raw {
			if _, err := bundle.Parse(raw[:i]); !errors.Is(err, attest.ErrEvidence) {
				t.Errorf("cut to %d: %v", i, err)
			}
		}
		if _, err := bundle.Parse(append(raw, 0)); !errors.Is(err, attest.ErrEvidence) {
			t.Errorf("longer: %v", err)
		}
	}
	if _, err := bundle.Parse(make([]byte, attest.MaxRawBytes+1)); !errors.Is(err, attest.ErrEvidence) {
		t.Error(err)
	}
}

func TestOr(t *testing.T) {
	got := bundle.Bundle{Report: []byte("r"), RootCRL: []byte("newer")}.Or(full())
	want := full()
	want.Report, want.RootCRL = []byte("r"), []byte("newer")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := (bundle.Bundle{}).Or(full()); got.Report != nil {
		t.Error("a report was taken from collateral")
	}
}

func TestEvidence(t *testing.T) {
	intel := bundle.Bundle{TCBInfo: []byte("tcb")}
	amd := bundle.Bundle{Endorsement: []byte("vcek")}
	for name, x := range map[string]struct {
		tee    string
		report []byte
		source bundle.Source
		ok     bool
	}{
		"none":      {attest.SGX, []byte("q"), nil, true},
		"intel":     {attest.TDX, []byte("q"), func() (bundle.Bundle, error) { return intel, nil }, true},
		"amd":       {attest.SNP, []byte("q"), func() (bundle.Bundle, error) { return amd, nil }, true},
		"amd's":     {attest.SGX, []byte("q"), func() (bundle.Bundle, error) { return amd, nil }, false},
		"intel's":   {attest.SNP, []byte("q"), func() (bundle.Bundle, error) { return intel, nil }, false},
		"no report": {attest.SNP, nil, nil, false},
		"failing":   {attest.SGX, []byte("q"), func() (bundle.Bundle, error) { return intel, errors.New("no file") }, false},
		"long":      {attest.SGX, make([]byte, attest.MaxRawBytes), nil, false},
	} {
		e, err := bundle.Evidence(x.tee, x.report, x.source)
		if (err == nil) != x.ok || err != nil && !errors.Is(err, attest.ErrIssue) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && e.TEE != x.tee {
			t.Errorf("%s: evidence of %s", name, e.TEE)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full().Encode())
	f.Add([]byte("teemsev\x01\x01\x01\x01\x00\x00\x00x"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if b, err := bundle.Parse(raw); err == nil && !bytes.Equal(b.Encode(), raw) {
			t.Errorf("%x is read as %+v", raw, b)
		}
	})
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "collateral")
	source := bundle.File(path)
	if b, err := source(); err != nil || !reflect.DeepEqual(b, bundle.Bundle{}) {
		t.Errorf("no file: %+v, %v", b, err)
	}
	want := full()
	want.Report = nil
	for name, x := range map[string]struct {
		file []byte
		ok   bool
	}{"collateral": {want.Encode(), true}, "with a report": {full().Encode(), false}, "malformed": {[]byte("x"), false}} {
		if err := os.WriteFile(path, x.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := source(); (err == nil) != x.ok || err == nil && !reflect.DeepEqual(b, want) {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}
