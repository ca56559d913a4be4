package sgx_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/sgx"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func TestClaims(t *testing.T) {
	v := attesttest.NewIntel(now)
	for name, x := range map[string]struct {
		change func(e *attesttest.Enclave)
		debug  bool
		unsafe int
		kind   error
	}{
		"good":            {func(e *attesttest.Enclave) {}, false, 0, nil},
		"debug":           {func(e *attesttest.Enclave) { e.Flags |= 2 }, true, 0, nil},
		"provisioning":    {func(e *attesttest.Enclave) { e.Flags |= 16 }, false, 1, nil},
		"launch key":      {func(e *attesttest.Enclave) { e.Flags |= 32 }, false, 1, nil},
		"configured":      {func(e *attesttest.Enclave) { e.ConfigID = 1 }, false, 1, nil},
		"not initialised": {func(e *attesttest.Enclave) { e.Flags &^= 1 }, false, 0, attest.ErrNotGenuine},
		"32-bit":          {func(e *attesttest.Enclave) { e.Flags &^= 4 }, false, 0, attest.ErrNotGenuine},
	} {
		e := attesttest.NewEnclave([32]byte{1})
		e.ProdID, e.SVN = 5, 7
		x.change(&e)
		evidence, err := v.SGX(e).Issue(attest.Bind("test"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := sgx.NewTestVerifier(v.Root(), bundle.Bundle{}).Verify(evidence, now)
		if !errors.Is(err, x.kind) || err == nil && (c.Debug != x.debug || len(c.Unsafe) != x.unsafe || c.Product != 5 || c.SVN != 7 || !c.Measurement.Equal(e.MREnclave[:]) || !c.Signer.Equal(e.MRSigner[:])) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if _, err := sgx.NewVerifier(bundle.Bundle{}).Verify(attest.Evidence{TEE: attest.TDX, Raw: []byte{1}}, now); !errors.Is(err, attest.ErrUnknownTEE) {
		t.Error(err)
	}
}

// gramine is a folder like Gramine's, with plain files: the test puts in what
// the enclave would answer.
type gramine struct {
	folder string
	vendor *attesttest.Intel
}

func newGramine(t *testing.T, kind string) *gramine {
	g := &gramine{folder: t.TempDir(), vendor: attesttest.NewIntel(now)}
	for name, b := range map[string]string{"attestation_type": kind, "keys/_sgx_mrenclave": "0123456789abcdef", "user_report_data": string(make([]byte, 64)), "quote": ""} {
		path := filepath.Join(g.folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// quote puts a quote over data into the file.
func (g *gramine) quote(t *testing.T, data attest.ReportData) {
	if err := os.WriteFile(filepath.Join(g.folder, "quote"), g.vendor.SGXQuote(attesttest.NewEnclave([32]byte{1}), data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestGramine(t *testing.T) {
	g := newGramine(t, "dcap\n")
	g.quote(t, attest.Bind("teems/1 probe"))
	i, err := sgx.NewIssuer(g.folder, func() (bundle.Bundle, error) { return g.vendor.Collateral(attest.SGX), nil })
	if err != nil {
		t.Fatal(err)
	}
	data := attest.Bind("test")
	// A plain file does not answer what was written to it, so the quote that
	// is still there is over other data: it must be noticed.
	if _, err := i.Issue(data); !errors.Is(err, attest.ErrIssue) {
		t.Errorf("a quote over other data: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(g.folder, "user_report_data")); err != nil || string(b) != string(data[:]) {
		t.Errorf("the report data was not written: %x, %v", b, err)
	}
	g.quote(t, data)
	e, err := i.Issue(data)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sgx.NewTestVerifier(g.vendor.Root(), bundle.Bundle{}).Verify(e, now)
	if err != nil || c.ReportData != data || !c.Measurement.Equal(i.Measurement()) || !c.RevocationChecked {
		t.Errorf("%+v, %v", c, err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := i.Issue(data); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	key, err := i.SealingKey()
	if again, _ := i.SealingKey(); err != nil || key != again || key == [32]byte{} {
		t.Errorf("%x, %x, %v", key, again, err)
	}
	for _, b := range []string{"", "short", string(make([]byte, 16)), "0123456789abcdefg"} {
		if err := os.WriteFile(filepath.Join(g.folder, "keys/_sgx_mrenclave"), []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := i.SealingKey(); !errors.Is(err, attest.ErrNoSealing) {
			t.Errorf("a sealing key %q: %v", b, err)
		}
	}
	for _, b := range [][]byte{nil, []byte("x"), make([]byte, 64<<10)} {
		if err := os.WriteFile(filepath.Join(g.folder, "quote"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Issue(data); !errors.Is(err, attest.ErrIssue) {
			t.Errorf("a quote of %d bytes: %v", len(b), err)
		}
	}
}

func TestNoGramine(t *testing.T) {
	if _, err := sgx.NewIssuer(t.TempDir(), nil); !errors.Is(err, attest.ErrIssue) {
		t.Error(err)
	}
	for _, kind := range []string{"none", "epid", ""} {
		if _, err := sgx.NewIssuer(newGramine(t, kind).folder, nil); !errors.Is(err, attest.ErrIssue) {
			t.Errorf("%q: %v", kind, err)
		}
	}
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	if err := sgx.Available(fstest.MapFS{"attestation_type": file("dcap"), "quote": file("")}); err == nil {
		t.Error("incomplete files are available")
	}
	if err := sgx.Available(fstest.MapFS{"attestation_type": file("dcap"), "quote": file(""), "user_report_data": file("")}); err != nil {
		t.Error(err)
	}
}
