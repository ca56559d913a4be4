package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	gtdx "github.com/google/go-tdx-guest/testing"

	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
	"github.com/teems-go/teems/internal/collateral"
)

// mirror serves what Google recorded of Intel's service in June 2023.
func mirror(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		address := collateral.IntelURL + r.URL.RequestURI()
		if r.URL.Path == "/root" || strings.HasSuffix(r.URL.Path, "/rootcacrl") {
			address = collateral.IntelRootCRLURL
		}
		a, ok := gtdx.TestGetter.Responses[address]
		if !ok {
			http.NotFound(w, r)
			return
		}
		for k, v := range a.Header {
			w.Header()[k] = v
		}
		w.Write(a.Body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// mirrorFile is the same as a file.
func mirrorFile(t *testing.T) []byte {
	get := func(path string) (body []byte, chain string) {
		a, ok := gtdx.TestGetter.Responses[collateral.IntelURL+path]
		if !ok {
			t.Fatalf("Google has no recording of %s", path)
		}
		for _, h := range a.Header {
			chain = h[0]
		}
		return bytes.TrimSpace(a.Body), chain
	}
	var b bundle.Bundle
	var chain string
	b.TCBInfo, chain = get("/tdx/certification/v4/tcb?fmspc=50806f000000")
	b.QEIdentity, _ = get("/tdx/certification/v4/qe/identity")
	b.PCKCRL, _ = get("/sgx/certification/v4/pckcrl?ca=platform&encoding=der")
	b.RootCRL = gtdx.TestGetter.Responses[collateral.IntelRootCRLURL].Body
	text, err := url.QueryUnescape(chain)
	if err != nil {
		t.Fatal(err)
	}
	b.TCBChain = intel.Respell([]byte(text))
	return b.Encode()
}
