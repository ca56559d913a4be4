package collateral

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/intel"
)

// fetched is what came, with an error for each part that did not.
type fetched struct {
	bundle.Bundle
	issuer *x509.Certificate // of the platform's certificate, on SGX and TDX
	errs   []error
}

func (f *fetched) failed(err error) { f.errs = append(f.errs, err) }

// fetchIntel asks for everything that a quote needs. TCB info and identity
// belong together: they have one signer.
func (c *Client) fetchIntel(ctx context.Context, root *x509.Certificate, p Platform) (f fetched) {
	base := c.IntelURL + "/" + p.TEE + "/certification/v4/"
	info, chain, err := c.signed(ctx, "the TCB info", base+"tcb?fmspc="+p.Intel.FMSPC, "TCB-Info-Issuer-Chain",
		"Intel lists no platform of FMSPC "+p.Intel.FMSPC+" for "+strings.ToUpper(p.TEE)+": compare it with that of the platform's certificate (PCK)")
	if err == nil {
		var identity, other []byte
		identity, other, err = c.signed(ctx, "the quoting enclave's identity", base+"qe/identity", "SGX-Enclave-Identity-Issuer-Chain",
			"is that Intel's service in version 4, or a mirror of it?")
		if err == nil && !bytes.Equal(chain, other) {
			err = fmt.Errorf("%w: TCB info and identity have different signers: a mirror has one of them from earlier; renew it there, or try again later", ErrWrong)
		}
		if err == nil {
			f.TCBInfo, f.QEIdentity, f.TCBChain = info, identity, chain
		}
	}
	if err != nil {
		f.failed(err)
	}
	if f.PCKCRL, f.issuer, err = c.platforms(ctx, root, p); err != nil {
		f.failed(err)
	}
	body, _, err := c.get(ctx, "the root's revocation list", c.IntelRootCRLURL, "name the list's address on the mirror")
	if err == nil {
		f.RootCRL, err = list(body)
	}
	if err != nil {
		f.failed(err)
	}
	return f
}

// signed fetches a JSON document, and from a header the chain of its signer.
func (c *Client) signed(ctx context.Context, what, url, header, remedy string) (body, chain []byte, err error) {
	body, h, err := c.get(ctx, what, url, remedy)
	if err != nil {
		return nil, nil, err
	}
	value := h.Get(header)
	if value == "" && header == "TCB-Info-Issuer-Chain" {
		value = h.Get("SGX-TCB-Info-Issuer-Chain") // its older name
	}
	if chain, err = issuerChain(value); err != nil {
		return nil, nil, fmt.Errorf("%w: %s: the header %s: %w", ErrWrong, what, header, err)
	}
	return bytes.TrimSpace(body), chain, nil
}

// platforms fetches the platforms' revocation list and who signed it.
func (c *Client) platforms(ctx context.Context, root *x509.Certificate, p Platform) ([]byte, *x509.Certificate, error) {
	what := "the platforms' revocation list"
	body, h, err := c.get(ctx, what, c.IntelURL+"/sgx/certification/v4/pckcrl?ca="+p.Intel.CA+"&encoding=der", "the authority is platform or processor")
	if err != nil {
		return nil, nil, err
	}
	der, err := list(body)
	if err != nil {
		return nil, nil, err
	}
	chain, err := issuerChain(h.Get("SGX-PCK-CRL-Issuer-Chain"))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: the header SGX-PCK-CRL-Issuer-Chain: %w", ErrWrong, what, err)
	}
	issuer, err := intel.Issuer(root, chain)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrWrong, what, err)
	}
	return der, issuer, nil
}

// issuerChain reads a header with certificates: PEM in the form of URLs, where a
// plus is sometimes itself and sometimes a space.
func issuerChain(value string) ([]byte, error) {
	if len(value) > maxChainBytes {
		return nil, fmt.Errorf("%d bytes, more than the %d allowed", len(value), maxChainBytes)
	}
	text, err := url.PathUnescape(value)
	if err == nil && strings.Contains(text, "BEGIN+CERTIFICATE") {
		text, err = url.QueryUnescape(value)
	}
	if err != nil {
		return nil, err
	}
	chain := intel.Respell([]byte(text))
	if len(chain) == 0 {
		return nil, errors.New("there are no certificates in it: is that Intel's service, or a mirror of it?")
	}
	return chain, nil
}

// list reads a revocation list in DER, in PEM, or, as Intel's caching service
// sends it, in hexadecimal, and returns it in DER.
func list(body []byte) ([]byte, error) {
	der := body
	if block, rest := pem.Decode(body); block != nil {
		if block.Type != "X509 CRL" || len(bytes.TrimSpace(rest)) != 0 {
			return nil, fmt.Errorf("%w: PEM of a %.40q, and not of one revocation list", ErrWrong, block.Type)
		}
		der = block.Bytes
	} else if digits, err := hex.DecodeString(string(bytes.TrimSpace(body))); err == nil {
		der = digits
	}
	if _, err := x509.ParseRevocationList(der); err != nil {
		return nil, fmt.Errorf("%w: not a revocation list: %w", ErrWrong, err)
	}
	return der, nil
}
