package attesttest

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/snp"
)

// ServeHTTP answers as Intel's service does of the one platform, and as a mirror
// of it with the root's list.
func (v *Intel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tee, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if tee != attest.TDX {
		tee = attest.SGX
	}
	c := v.Collateral(tee)
	chained := func(header string, body, chain []byte) {
		w.Header().Set(header, url.PathEscape(string(chain)))
		w.Write(body)
	}
	switch q := r.URL.Query(); {
	case rest == "certification/v4/tcb" && q.Get("fmspc") == hex.EncodeToString(v.FMSPC):
		chained("TCB-Info-Issuer-Chain", c.TCBInfo, c.TCBChain)
	case rest == "certification/v4/qe/identity":
		chained("SGX-Enclave-Identity-Issuer-Chain", c.QEIdentity, c.TCBChain)
	case rest == "certification/v4/pckcrl" && strings.EqualFold("Intel SGX PCK "+q.Get("ca")+" CA", v.IssuerName):
		chained("SGX-PCK-CRL-Issuer-Chain", c.PCKCRL, chain(v.issuer, v.root))
	case rest == "certification/v4/rootcacrl":
		w.Write([]byte(hex.EncodeToString(c.RootCRL))) // as Intel's caching service does
	case r.URL.Path == "/IntelSGXRootCA.der":
		w.Write(c.RootCRL)
	default:
		http.NotFound(w, r)
	}
}

// ServeHTTP answers as AMD's service does of the one chip.
func (v *AMD) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := v.Collateral()
	kind, chip := "vcek", v.Chip[:]
	if v.VLEK {
		kind = "vlek"
	}
	t := v.TCB
	query := fmt.Sprintf("blSPL=%02d&teeSPL=%02d&snpSPL=%02d&ucodeSPL=%02d", t.BootLoader, t.TEE, t.SNP, t.Microcode)
	if v.Product == snp.Turin {
		chip, query = chip[:8], query+fmt.Sprintf("&fmcSPL=%02d", t.FMC)
	}
	switch rest, _ := strings.CutPrefix(r.URL.Path, "/"+kind+"/v1/"+v.Product+"/"); {
	case rest == "cert_chain":
		w.Write(chain(v.ask, v.ark))
	case rest == "crl":
		w.Write(c.AMDCRL)
	case rest == hex.EncodeToString(chip) && !v.VLEK && r.URL.RawQuery == query:
		w.Write(c.Endorsement)
	default:
		http.NotFound(w, r)
	}
}
