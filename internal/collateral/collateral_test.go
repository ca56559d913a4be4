package collateral

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/snp"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// world is a fake vendor with its service, and a platform of its.
type world struct {
	t        *testing.T
	platform Platform
	roots    Roots
	client   Client
	path     string
	clock    time.Time

	mu     sync.Mutex
	asked  []string
	pauses []time.Duration
	// trouble may answer in place of the service; it returns false to leave it.
	trouble func(w http.ResponseWriter, r *http.Request) bool
}

func newWorld(t *testing.T, service http.Handler, roots Roots, e attest.Evidence) *world {
	w := &world{t: t, platform: must(Of(e, "")), roots: roots, path: filepath.Join(t.TempDir(), "collateral.bin"), clock: now}
	s := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.URL.RequestURI())
		trouble := w.trouble
		w.mu.Unlock()
		if trouble == nil || !trouble(out, r) {
			service.ServeHTTP(out, r)
		}
	}))
	t.Cleanup(s.Close)
	w.client = Client{
		IntelURL: s.URL, AMDURL: s.URL + "/", HTTP: s.Client(), Now: func() time.Time { return w.clock },
		Sleep: func(_ context.Context, d time.Duration) error { w.pauses = append(w.pauses, d); return nil },
	}
	return w
}

func intelWorld(t *testing.T, tee string) (*world, *attesttest.Intel) {
	v := attesttest.NewIntel(now)
	i := v.SGX(attesttest.NewEnclave([32]byte{1}))
	if tee == attest.TDX {
		i = v.TDX(attesttest.NewTD([48]byte{1}))
	}
	i.Source = nil
	return newWorld(t, v, Roots{Intel: v.Root()}, must(i.Issue(attest.ReportData{}))), v
}

func amdWorld(t *testing.T, product string) (*world, *attesttest.AMD) {
	v := attesttest.NewAMD(now)
	g := attesttest.NewGuest([48]byte{1})
	if v.Product = product; product != snp.Turin {
		g.Family, g.Model, v.TCB.FMC = 0x19, 0, 0
		v.Chip[40] = 9
		if product == snp.Genoa {
			g.Model = 0x11
		}
	}
	i := v.SNP(g)
	i.Source = nil
	return newWorld(t, v, Roots{AMD: v.Roots()}, must(i.Issue(attest.ReportData{}))), v
}

func (w *world) renew() (*Report, error) {
	w.mu.Lock()
	w.asked, w.pauses = nil, nil
	w.mu.Unlock()
	return Renew(w.t.Context(), w.client, w.roots, w.path, w.platform)
}

// questions is how often the service was asked in the last renewal.
func (w *world) questions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

// serve sets the trouble that the service has from now on.
func (w *world) serve(trouble func(w http.ResponseWriter, r *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = trouble
}

func (w *world) file() []byte {
	b, err := os.ReadFile(w.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	return b
}

// Of each kind of platform everything is fetched, verified and stored, and
// evidence is genuine with it.
func TestRenew(t *testing.T) {
	worlds := map[string]func() *world{
		"SGX":   func() *world { w, _ := intelWorld(t, attest.SGX); return w },
		"TDX":   func() *world { w, _ := intelWorld(t, attest.TDX); return w },
		"Milan": func() *world { w, _ := amdWorld(t, snp.Milan); return w },
		"Genoa": func() *world { w, _ := amdWorld(t, snp.Genoa); return w },
		"Turin": func() *world { w, _ := amdWorld(t, snp.Turin); return w },
	}
	for name, make := range worlds {
		w := make()
		r, err := w.renew()
		if err != nil || !r.Good || !r.Written || len(r.Warnings) > 0 || !strings.HasPrefix(r.Evidence, "genuine") || r.Until.Before(now) {
			t.Errorf("%s: %+v, %v", name, r, err)
			continue
		}
		b := must(bundle.Parse(w.file()))
		c, err := w.roots.verify(w.platform.evidence, b, now)
		if err != nil || !c.RevocationChecked {
			t.Errorf("%s: with what was stored: %+v, %v", name, c, err)
		}
		if r, err := Inspect(w.roots, w.path, w.platform, now); err != nil || !r.Good {
			t.Errorf("%s: inspected: %+v, %v", name, r, err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(w.path), ".*")); len(left) > 0 {
			t.Errorf("%s: it left %v", name, left)
		}
		// Once more: AMD is not asked for a certificate that is there.
		if r, err = w.renew(); err != nil || !r.Good {
			t.Errorf("%s: again: %+v, %v", name, r, err)
		}
		if w.platform.TEE == attest.SNP && w.questions() != 1 {
			t.Errorf("%s: it asked again", name)
		}
	}
}

// A VLEK's certificate is not to be had from AMD: it is given, or comes with the
// evidence.
func TestVLEK(t *testing.T) {
	v := attesttest.NewAMD(now)
	v.VLEK = true
	w := newWorld(t, v, Roots{AMD: v.Roots()}, must(v.SNP(attesttest.NewGuest([48]byte{1})).Issue(attest.ReportData{})))
	if r, err := w.renew(); err != nil || !r.Good || w.questions() != 2 {
		t.Errorf("with the evidence: %+v, %v, asked %d times", r, err, w.questions())
	}
	p := must(Endorsed(w.roots, v.Collateral().Endorsement, [64]byte{}))
	if p.AMD != (snp.Key{Product: snp.Turin, VLEK: true, TCB: v.TCB}) {
		t.Errorf("%+v", p.AMD)
	}
	w.platform.Endorsement = nil
	if _, err := w.renew(); !errors.Is(err, ErrPlatform) || !strings.Contains(err.Error(), "cloud providers") {
		t.Errorf("without: %v", err)
	}
}

// Platforms that are typed, and nonsense.
func TestPlatforms(t *testing.T) {
	w, v := intelWorld(t, attest.SGX)
	w.platform.issuer, w.platform.evidence = nil, attest.Evidence{}
	if r, err := w.renew(); err != nil || !r.Good || r.Evidence != "" {
		t.Errorf("by name: %+v, %v", r, err)
	}
	r, err := Inspect(w.roots, w.path, w.platform, now)
	if err != nil || !strings.Contains(r.Parts[4].Says, "its signature was not checked") {
		t.Errorf("the platforms' list without its issuer: %+v, %v", r, err)
	}
	if p, err := About(v.Collateral(attest.TDX)); err != nil || p.TEE != attest.TDX || p.Intel != w.platform.Intel {
		t.Errorf("guessed: %+v, %v", p, err)
	}
	for name, change := range map[string]func(p *Platform){
		"short FMSPC":  func(p *Platform) { p.Intel.FMSPC = "00" },
		"upper case":   func(p *Platform) { p.Intel.FMSPC = "00A0B0C0D0E0" },
		"no authority": func(p *Platform) { p.Intel.CA = "" },
		"simulated":    func(p *Platform) { p.TEE = attest.SimulatedTEE },
		"no product":   func(p *Platform) { p.TEE = attest.SNP },
		"no chip":      func(p *Platform) { p.TEE, p.AMD.Product = attest.SNP, snp.Genoa },
	} {
		p := w.platform
		change(&p)
		if _, err := Renew(t.Context(), w.client, w.roots, w.path, p); !errors.Is(err, ErrPlatform) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, e := range []attest.Evidence{{TEE: attest.SimulatedTEE, Raw: []byte{1}}, {TEE: attest.SGX, Raw: []byte{1}}, {TEE: "other", Raw: bundle.Bundle{Report: []byte{1}}.Encode()}} {
		if _, err := Of(e, ""); !errors.Is(err, ErrPlatform) {
			t.Errorf("%v: %v", e, err)
		}
	}
}

// Without the network what is there stays, for as long as it is good, and the
// report says how long; then it is an error, and still stays.
func TestOffline(t *testing.T) {
	w, v := intelWorld(t, attest.SGX)
	if r, err := w.renew(); err != nil {
		t.Fatal(r, err)
	}
	before := w.file()
	w.serve(func(out http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) })
	r, err := w.renew()
	if err != nil || r.Written || !r.Good || len(r.Warnings) != 4 || !strings.Contains(r.Warnings[3], "good until "+v.NextUpdate.Format(time.RFC3339)) || len(w.pauses) != 9 {
		t.Errorf("%+v, %v, pauses %v", r, err, w.pauses)
	}
	w.clock = v.NextUpdate.Add(time.Second)
	if r, err = w.renew(); !errors.Is(err, ErrExpired) || !errors.Is(err, ErrFetch) || r.Good {
		t.Errorf("when it has expired: %+v, %v", r, err)
	}
	if _, err := Inspect(w.roots, w.path, w.platform, w.clock); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "not valid at this time") {
		t.Errorf("inspected: %v", err)
	}
	if !bytes.Equal(w.file(), before) {
		t.Error("what was there is gone")
	}
	// A file of nonsense does not stand in the way, and goes only for something better.
	must(0, os.WriteFile(w.path, []byte("nonsense"), 0o600))
	if r, err = w.renew(); !errors.Is(err, ErrExpired) || string(w.file()) != "nonsense" {
		t.Errorf("nonsense, offline: %+v, %v", r, err)
	}
	w.serve(nil)
	w.clock = now
	if r, err = w.renew(); err != nil || !r.Written || len(r.Warnings) == 0 {
		t.Errorf("nonsense: %+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Renew(ctx, w.client, w.roots, w.path, w.platform); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// What is older than what is there is not taken, and what is wrong with the
// platform is said.
func TestNotBack(t *testing.T) {
	w, v := intelWorld(t, attest.SGX)
	if _, err := w.renew(); err != nil {
		t.Fatal(err)
	}
	before := w.file()
	v.Issued = v.Issued.Add(-48 * time.Hour)
	v.Evaluation--
	if r, err := w.renew(); err != nil || r.Written || len(r.Warnings) != 4 || !strings.Contains(r.Warnings[0], "a mirror is behind") || !bytes.Equal(w.file(), before) {
		t.Errorf("%+v, %v", r, err)
	}
	v.Issued = now
	if r, err := w.renew(); err != nil || !r.Written {
		t.Errorf("newer: %+v, %v", r, err)
	}
	v.RevokedPlatform = true
	if r, err := w.renew(); !errors.Is(err, ErrRefused) || !errors.Is(err, attest.ErrRevoked) || !r.Written {
		t.Errorf("revoked: %+v, %v", r, err)
	}
	a, amd := amdWorld(t, snp.Milan)
	amd.RevokedPlatform = true
	a.platform.evidence = attest.Evidence{}
	if r, err := a.renew(); !errors.Is(err, ErrRefused) || !r.Written || r.Parts[1].Revoked == "" {
		t.Errorf("revoked VCEK: %+v, %v", r, err)
	}
	w.path = filepath.Join(t.TempDir(), "nowhere", "file")
	if _, err := w.renew(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}
