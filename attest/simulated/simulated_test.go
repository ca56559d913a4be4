package simulated_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
)

var code = [32]byte{1, 2, 3}

func issue(t testing.TB, i *simulated.Issuer) attest.Evidence {
	e, err := i.Issue(attest.Bind("test"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestGenuine(t *testing.T) {
	i := simulated.NewIssuer(code)
	c, err := simulated.NewVerifier().Verify(issue(t, i), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if c.TEE != attest.SimulatedTEE || !c.Simulated || c.Debug || !c.Measurement.Equal(code[:]) || !c.Measurement.Equal(i.Measurement()) || c.ReportData != attest.Bind("test") {
		t.Errorf("claims are %+v", c)
	}
	c, err = simulated.NewVerifier().Verify(issue(t, simulated.PublishedRoot().DebugIssuer(code)), time.Time{})
	if err != nil || !c.Debug {
		t.Errorf("debug mode does not show: %+v, %v", c, err)
	}
}

// TestRootIsPublished pins the root: evidence and sealed files of simulated
// deployments outlive a version of the program.
func TestRootIsPublished(t *testing.T) {
	const root = "0a8661d82edef8426337cb3a4e6781ee9d553f63646757e5b68f8f0d15e22836"
	const sealing = "eb04f0acd116709e7066fc889207f17fe666b6e2b7860bcc7dc3204d0ed32e47"
	if got := hex.EncodeToString(simulated.PublishedRoot().Public()); got != root {
		t.Errorf("the root is %s", got)
	}
	key, _ := simulated.NewIssuer(code).SealingKey()
	if got := hex.EncodeToString(key[:]); got != sealing {
		t.Errorf("the sealing key is %s", got)
	}
}

func TestAnotherRoot(t *testing.T) {
	r := simulated.NewTestRoot([32]byte{7})
	e := issue(t, r.Issuer(code))
	if _, err := simulated.NewVerifier().Verify(e, time.Time{}); !errors.Is(err, attest.ErrNotGenuine) {
		t.Errorf("the published root accepts evidence of another: %v", err)
	}
	if _, err := r.Verifier().Verify(e, time.Time{}); err != nil {
		t.Error(err)
	}
	if _, err := r.Verifier().Verify(issue(t, simulated.NewIssuer(code)), time.Time{}); !errors.Is(err, attest.ErrNotGenuine) {
		t.Errorf("another root accepts evidence of the published one: %v", err)
	}
}

func TestTampered(t *testing.T) {
	e, v := issue(t, simulated.NewIssuer(code)), simulated.NewVerifier()
	if len(e.Raw) != simulated.ReportBytes {
		t.Fatalf("%d bytes", len(e.Raw))
	}
	for i := range e.Raw {
		for _, x := range []byte{1, 0x80, 0xff} {
			b := bytes.Clone(e.Raw)
			b[i] ^= x
			if _, err := v.Verify(attest.Evidence{TEE: e.TEE, Raw: b}, time.Time{}); err == nil {
				t.Errorf("byte %d was changed by %#x, and the report accepted", i, x)
			}
		}
		if _, err := v.Verify(attest.Evidence{TEE: e.TEE, Raw: e.Raw[:i]}, time.Time{}); !errors.Is(err, attest.ErrEvidence) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := v.Verify(attest.Evidence{TEE: e.TEE, Raw: append(bytes.Clone(e.Raw), 0)}, time.Time{}); !errors.Is(err, attest.ErrEvidence) {
		t.Errorf("longer: %v", err)
	}
	if _, err := v.Verify(attest.Evidence{TEE: "tdx", Raw: e.Raw}, time.Time{}); !errors.Is(err, attest.ErrUnknownTEE) {
		t.Errorf("as TDX: %v", err)
	}
	if _, err := (*simulated.Verifier)(nil).Verify(e, time.Time{}); !errors.Is(err, attest.ErrNoVerifier) {
		t.Errorf("nil: %v", err)
	}
	if _, err := new(simulated.Verifier).Verify(e, time.Time{}); !errors.Is(err, attest.ErrNoVerifier) {
		t.Errorf("zero: %v", err)
	}
}

func TestSealingKey(t *testing.T) {
	seen := map[[32]byte]bool{}
	for _, i := range []*simulated.Issuer{
		simulated.NewIssuer(code), simulated.NewIssuer([32]byte{9}), simulated.NewTestRoot([32]byte{7}).Issuer(code),
	} {
		k, err := i.SealingKey()
		if err != nil || seen[k] || k == [32]byte{} {
			t.Errorf("%x, %v", k, err)
		}
		seen[k] = true
	}
	a, _ := simulated.NewIssuer(code).SealingKey()
	b, _ := simulated.NewIssuer(code).SealingKey()
	if a != b {
		t.Error("the same code has two sealing keys")
	}
}

func TestMeasure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("code"), 0o700); err != nil {
		t.Fatal(err)
	}
	if m, err := simulated.Measure(path); err != nil || m != sha256.Sum256([]byte("code")) {
		t.Error(m, err)
	}
	if _, err := simulated.Measure(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if m, err := simulated.MeasureSelf(); err != nil || m == [32]byte{} {
		t.Error(m, err)
	}
}

func FuzzVerify(f *testing.F) {
	good := issue(f, simulated.NewIssuer(code))
	f.Add(good.Raw)
	f.Add([]byte("teemssim"))
	v := simulated.NewVerifier()
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := v.Verify(attest.Evidence{TEE: attest.SimulatedTEE, Raw: b}, time.Time{}); err == nil && !bytes.Equal(b, good.Raw) {
			t.Errorf("accepted %x", b)
		}
	})
}

func BenchmarkIssueVerify(b *testing.B) {
	i, v := simulated.NewIssuer(code), simulated.NewVerifier()
	for b.Loop() {
		e, _ := i.Issue(attest.ReportData{})
		if _, err := v.Verify(e, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}
