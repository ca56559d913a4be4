package collateral

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-sev-guest/verify/trust"
	gtdx "github.com/google/go-tdx-guest/testing"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
)

// google serves what Google recorded of Intel's service for TDX in June 2023.
func google(w http.ResponseWriter, r *http.Request) {
	for _, base := range []string{IntelURL, IntelRootCRLURL} {
		if a, ok := gtdx.TestGetter.Responses[strings.TrimSuffix(base+r.URL.RequestURI(), "/root")]; ok {
			for k, v := range a.Header {
				w.Header()[k] = v
			}
			w.Write(a.Body)
			return
		}
	}
	http.NotFound(w, r)
}

// TestRecordedIntel: real answers of Intel's service, under the real root, at a
// time when all of them were good, and later.
func TestRecordedIntel(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(google))
	defer s.Close()
	at := time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "collateral.bin")
	p := Platform{TEE: attest.TDX, Intel: intel.Family{FMSPC: "50806f000000", CA: intel.CAPlatform}}
	c := Client{IntelURL: s.URL, IntelRootCRLURL: s.URL + "/root", HTTP: s.Client(), Now: func() time.Time { return at }}
	r, err := Renew(t.Context(), c, VendorRoots(), path, p)
	if err != nil || !r.Good || !r.Written || len(r.Warnings) > 0 || r.Until.Format(time.DateOnly) != "2023-07-08" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := Inspect(VendorRoots(), path, p, at); err != nil || !strings.HasPrefix(r.Parts[4].Says, "number 1, names 44 certificates") {
		t.Errorf("%+v, %v", r, err)
	}
	at = at.AddDate(0, 0, 8)
	if r, err := Renew(t.Context(), c, VendorRoots(), path, p); !errors.Is(err, ErrExpired) || r.Good {
		t.Errorf("a week later: %+v, %v", r, err)
	}
}

// recorded is evidence below testdata.
func recorded(t testing.TB, name string) (attest.Evidence, bundle.Bundle) {
	t.Helper()
	e := must(attest.ParseEvidence(must(os.ReadFile("../../testdata/" + name + ".bin"))))
	return e, must(bundle.Parse(e.Raw))
}

// TestRecordedPlatforms reads the platform from recorded evidence, and checks
// the collateral that was recorded with it.
func TestRecordedPlatforms(t *testing.T) {
	for name, x := range map[string]struct {
		at        time.Time
		product   string
		is        string
		good, not int // so many parts are good, the lists are not there
	}{
		"sgx": {time.Unix(1671497404, 0), "", "sgx, FMSPC 00606a000000, CA platform", 3, 2},
		"tdx": {time.Unix(1725263032, 0), "", "tdx, FMSPC c0806f000000, CA platform", 3, 2},
		"snp": {time.Unix(1672531200, 0), "Milan", "snp, Milan, VCEK of chip 3ac3fe21e13fb0990eb28a802e3fb6a29483a6b0753590c951bdd3b8e53786184ca39e359669a2b76a1936776b564ea464cdce40c05f63c9b610c5068b006b5d", 1, 1},
	} {
		e, b := recorded(t, name)
		p, err := Of(e, x.product)
		if err != nil || !strings.HasPrefix(p.String(), x.is) {
			t.Errorf("%s is of %v, %v", name, p, err)
			continue
		}
		good, not := 0, 0
		for _, part := range VendorRoots().parts(p, b, x.at) {
			if part.Err == nil {
				good++
			} else if strings.HasSuffix(part.Err.Error(), "there is none") {
				not++
			} else {
				t.Errorf("%s: %s: %v", name, part.Name, part.Err)
			}
		}
		if good != x.good || not != x.not {
			t.Errorf("%s: %d parts are good, %d are not there", name, good, not)
		}
	}
	if e, _ := recorded(t, "snp"); second(Of(e, "")) == nil || second(Of(e, "Turin")) == nil {
		t.Error("a report of version 2 is of any product")
	}
}

func second(_ Platform, err error) error { return err }

// TestRecordedAMD: the recorded certificate and AMD's real chain, as the service
// sends them. There is no recording of a list.
func TestRecordedAMD(t *testing.T) {
	e, b := recorded(t, "snp")
	p := must(Of(e, "Milan"))
	p.Endorsement = nil
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/vcek/v1/Milan/cert_chain":
			w.Write(trust.AskArkMilanVcekBytes)
		case r.URL.RequestURI() == fmt.Sprintf("/vcek/v1/Milan/%x?blSPL=%02d&teeSPL=%02d&snpSPL=%02d&ucodeSPL=%02d", p.AMD.Chip[:], p.AMD.TCB.BootLoader, p.AMD.TCB.TEE, p.AMD.TCB.SNP, p.AMD.TCB.Microcode):
			w.Write(b.Endorsement)
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	c := Client{AMDURL: s.URL, HTTP: s.Client(), Now: func() time.Time { return time.Unix(1672531200, 0) }}
	r, err := Renew(t.Context(), c, VendorRoots(), t.TempDir()+"/collateral.bin", p)
	if !errors.Is(err, ErrExpired) || len(r.Warnings) != 1 || r.Parts[0].Wrong != "" || r.Parts[1].Wrong == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzAnswers(f *testing.F) {
	for _, a := range gtdx.TestGetter.Responses {
		f.Add(string(a.Body), "7")
		for _, h := range a.Header {
			f.Add(h[0], "Mon, 04 May 2026 03:02:01 GMT")
		}
	}
	f.Fuzz(func(t *testing.T, s, after string) {
		if chain, err := issuerChain(s); err == nil {
			if again := intel.Respell(chain); len(chain) == 0 || string(again) != string(chain) {
				t.Errorf("%q is a chain, spelt %q", chain, again)
			}
		}
		if der, err := list([]byte(s)); err == nil {
			if again, err := list(der); err != nil || string(again) != string(der) {
				t.Errorf("%q is a list, which is none: %v", s, err)
			}
		}
		if d := retryAfter(after, now); d < 0 {
			t.Errorf("%q: wait %v", after, d)
		}
		certificate([]byte(s))
	})
}

func FuzzFile(f *testing.F) {
	for _, name := range []string{"sgx", "tdx", "snp"} {
		e, b := recorded(f, name)
		f.Add(name, e.Raw)
		b.Report = nil
		f.Add(name, b.Encode())
	}
	roots := VendorRoots()
	f.Fuzz(func(t *testing.T, tee string, raw []byte) {
		for _, product := range []string{"", "Milan"} {
			if p, err := Of(attest.Evidence{TEE: tee, Raw: raw}, product); err == nil && p.TEE != tee {
				t.Errorf("evidence of %s is of %v", tee, p)
			}
		}
		b, err := bundle.Parse(raw)
		if err != nil {
			return
		}
		if p, err := About(b); err == nil {
			roots.report("file", p, b, now)
		}
	})
}
