package collateral

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/attesttest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/snp"
)

// answer is a service that always says the same.
func answer(code int, body string, header ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		w.Write([]byte(body))
		return true
	}
}

// times has trouble with the first n questions.
func times(n int, trouble func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		n--
		return n >= 0 && trouble(w, r)
	}
}

// instead lets another vendor, or the same in another state, answer.
func instead(s http.Handler) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool { s.ServeHTTP(w, r); return true }
}

func cut(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Length", "5000")
	w.Write(make([]byte, 100))
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// TestTrouble: whatever the service answers, nothing that is wrong is stored,
// nothing that is good is lost, and the error says what to do.
func TestTrouble(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	changed := func(change func(v *attesttest.Intel)) func(v *attesttest.Intel) http.Handler {
		return func(v *attesttest.Intel) http.Handler { other := *v; change(&other); return &other }
	}
	for name, x := range map[string]struct {
		trouble func(http.ResponseWriter, *http.Request) bool
		other   func(v *attesttest.Intel) http.Handler
		kind    error
		says    string
		pauses  int // for everything together
	}{
		"unknown":          {trouble: answer(404, "no"), kind: ErrFetch, says: "compare it with that of the platform's certificate"},
		"refused":          {trouble: answer(401, "no"), kind: ErrFetch, says: "is that the service's address"},
		"bad request":      {trouble: answer(400, "no"), kind: ErrFetch, says: "Intel lists no platform of FMSPC"},
		"busy":             {trouble: answer(429, "", "Retry-After", "7"), kind: ErrFetch, says: "asked too often", pauses: 9},
		"busy for long":    {trouble: answer(429, "", "Retry-After", "3600"), kind: ErrFetch, says: "asks for a pause of 1h0m0s"},
		"unavailable":      {trouble: answer(503, ""), kind: ErrFetch, says: "is busy", pauses: 9},
		"fails":            {trouble: answer(500, ""), kind: ErrFetch, says: "it fails (500", pauses: 9},
		"cut":              {trouble: cut, kind: ErrFetch, says: "the answer broke off", pauses: 9},
		"hangs":            {trouble: hang, kind: ErrFetch, says: "no answer within", pauses: 9},
		"oversize":         {trouble: answer(200, strings.Repeat("x", MaxBodyBytes+1)), kind: ErrFetch, says: "more than"},
		"empty":            {trouble: answer(200, ""), kind: ErrFetch, says: "is empty"},
		"a web page":       {trouble: answer(200, "<html>log in</html>"), kind: ErrWrong, says: "there are no certificates in it"},
		"wrong chain":      {trouble: answer(200, "{}", "TCB-Info-Issuer-Chain", "%zz"), kind: ErrWrong, says: "Issuer-Chain"},
		"long chain":       {trouble: answer(200, "{}", "TCB-Info-Issuer-Chain", strings.Repeat("x", maxChainBytes+1)), kind: ErrWrong, says: "more than"},
		"redirected":       {trouble: answer(302, "", "Location", "/elsewhere"), kind: ErrFetch, says: "redirects", pauses: 9},
		"another vendor":   {other: func(*attesttest.Intel) http.Handler { o := attesttest.NewIntel(now); o.Issued = now; return o }, says: "not Intel's root"},
		"expired":          {other: changed(func(v *attesttest.Intel) { v.NextUpdate = now.Add(-time.Second) }), says: "not valid at this time"},
		"not valid yet":    {other: changed(func(v *attesttest.Intel) { v.Issued = now.Add(time.Hour) }), says: "not valid at this time"},
		"other signatures": {other: changed(func(v *attesttest.Intel) { v.ListsOf = attesttest.NewIntel(now) }), says: "verification failure"},
	} {
		for _, had := range []bool{true, false} {
			w, v := intelWorld(t, attest.SGX)
			if had {
				if _, err := w.renew(); err != nil {
					t.Fatal(err)
				}
			}
			before := w.file()
			if w.serve(x.trouble); x.other != nil {
				w.serve(instead(x.other(v)))
			}
			if name == "hangs" {
				w.client.Timeout = 20 * time.Millisecond
			}
			r, err := w.renew()
			said := fmt.Sprint(r.Warnings, err)
			if !strings.Contains(said, x.says) {
				t.Errorf("%s, had %v: it says %v", name, had, said)
			}
			if had && (err != nil || r.Written && name != "other signatures" || len(r.Warnings) == 0) {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			if !had && (!errors.Is(err, ErrExpired) || x.kind != nil && !errors.Is(err, x.kind) || r.Good) {
				t.Errorf("%s, nothing there: %+v, %v", name, r, err)
			}
			if (!had || name != "other signatures") && !bytes.Equal(w.file(), before) {
				t.Errorf("%s, had %v: the file changed", name, had)
			}
			if had {
				if r, err := Inspect(w.roots, w.path, w.platform, now); err != nil || !r.Good {
					t.Errorf("%s: afterwards: %+v, %v", name, r, err)
				}
			}
			if len(w.pauses) != x.pauses {
				t.Errorf("%s: pauses %v", name, w.pauses)
			}
		}
	}
}

// TestPatience: what passes is waited for, as long as the service asks.
func TestPatience(t *testing.T) {
	for name, x := range map[string]struct {
		trouble func(http.ResponseWriter, *http.Request) bool
		pause   time.Duration
	}{
		"seconds": {answer(429, "", "Retry-After", "7"), 7 * time.Second},
		"a date":  {answer(503, "", "Retry-After", now.Add(9*time.Second).Format(http.TimeFormat)), 9 * time.Second},
		"soon":    {answer(429, "", "Retry-After", "1"), firstPause},
		"cut":     {cut, firstPause},
	} {
		w, _ := intelWorld(t, attest.SGX)
		w.serve(times(1, x.trouble))
		if r, err := w.renew(); err != nil || !r.Good || len(r.Warnings) > 0 || len(w.pauses) != 1 || w.pauses[0] < x.pause || w.pauses[0] > x.pause+x.pause/4 {
			t.Errorf("%s: %+v, %v, pauses %v", name, r, err, w.pauses)
		}
	}
}

// TestAMDTrouble: what AMD's service can give that is not this chip's.
func TestAMDTrouble(t *testing.T) {
	for name, x := range map[string]struct {
		change func(v *attesttest.AMD)
		says   string
	}{
		"another chip":      {func(v *attesttest.AMD) { v.Chip[0]++; v.Reissue() }, "AMD knows no such chip"},
		"other firmware":    {func(v *attesttest.AMD) { v.TCB.SNP++; v.Reissue() }, "AMD knows no such chip"},
		"no list":           {func(v *attesttest.AMD) { v.NoList = true }, "is empty"},
		"expired list":      {func(v *attesttest.AMD) { v.NextUpdate = now.Add(-time.Second) }, "not valid at this time"},
		"certificate ended": {func(v *attesttest.AMD) { v.KeyNotAfter = now.Add(-time.Second); v.Reissue() }, "not valid at this time"},
		"another key":       {func(v *attesttest.AMD) { v.KeyName = "SEV-OTHER"; v.Reissue() }, "is not that of a SEV-VCEK"},
	} {
		w, v := amdWorld(t, snp.Turin)
		x.change(v)
		if r, err := w.renew(); !errors.Is(err, ErrExpired) || !strings.Contains(fmt.Sprint(r.Warnings, err), x.says) || w.file() != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	// A service that gives the wrong chip's certificate for any question.
	w, _ := amdWorld(t, snp.Turin)
	_, other := amdWorld(t, snp.Turin)
	other.Chip[7]++
	other.Reissue()
	stranger := other.Collateral().Endorsement
	w.serve(func(out http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "0102") {
			out.Write(stranger)
			return true
		}
		return false
	})
	if r, err := w.renew(); !errors.Is(err, ErrExpired) || !strings.Contains(fmt.Sprint(r.Warnings), "another chip") || w.file() != nil {
		t.Errorf("a stranger's certificate: %+v, %v", r, err)
	}
	// Another chain than the one that this program has is said, and is no reason to stop.
	w, _ = amdWorld(t, snp.Turin)
	w.serve(func(out http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "cert_chain") && answer(200, string(intelChain()))(out, r)
	})
	if r, err := w.renew(); err != nil || !strings.Contains(fmt.Sprint(r.Warnings), "use a newer version") {
		t.Errorf("another chain: %+v, %v", r, err)
	}
}

func intelChain() []byte {
	return attesttest.NewIntel(now).Collateral(attest.SGX).TCBChain
}

// The file is of a size that evidence has room for.
func TestTooLarge(t *testing.T) {
	w, v := intelWorld(t, attest.SGX)
	b := v.Collateral(attest.SGX)
	b.Endorsement = make([]byte, attest.MaxRawBytes-reportRoom)
	must(0, os.WriteFile(w.path, b.Encode()[:attest.MaxRawBytes/2], 0o600)) // malformed
	if _, err := Inspect(w.roots, w.path, w.platform, now); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("%v", err)
	}
	if _, err := Inspect(w.roots, w.path+"x", w.platform, now); !errors.Is(err, ErrExpired) {
		t.Errorf("no file: %v", err)
	}
	if _, err := bundle.Parse(w.file()); err == nil {
		t.Error("the test's file is well-formed")
	}
}
