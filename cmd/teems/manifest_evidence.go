package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/teems-go/teems/attest"
)

// genuine reads evidence and verifies it.
func genuine(path string, at time.Time) (attest.Claims, error) {
	b, err := readAtMost(path, attest.MaxEvidenceBytes)
	if err != nil {
		return attest.Claims{}, err
	}
	e, err := attest.ParseEvidence(b)
	if err != nil {
		return attest.Claims{}, fmt.Errorf("%s: %w", path, err)
	}
	c, err := allVerifiers().Verify(e, at)
	if err != nil {
		return c, fmt.Errorf("%s: %w; evidence from before there was collateral lacks it: fetch that, start the server again, and take the file that it writes then", path, err)
	}
	if c.Debug || len(c.Unsafe) > 0 {
		return c, fmt.Errorf("%s: debug mode %v, %s: no manifest can accept that", path, c.Debug, strings.Join(c.Unsafe, "; "))
	}
	return c, nil
}

// admit makes rules such that the claims satisfy them, as far as lists go; new
// rules get their minimum from the claims as well, the lowest of them.
func admit(p *attest.Policy, c attest.Claims, fresh bool) {
	list := func(to *[]string, value string) {
		if !slices.Contains(*to, value) && !(len(*to) == 1 && (*to)[0] == attest.Any) {
			*to = append(*to, value)
		}
	}
	intel := func(r *attest.IntelRules) {
		list(&r.Platforms, c.Platform)
		if !fresh {
			return
		}
		if r.MinTCBEvaluation == 0 || c.Intel.Evaluation < r.MinTCBEvaluation {
			r.MinTCBEvaluation = c.Intel.Evaluation
		}
		if date := c.Intel.Date.Format(time.DateOnly); r.MinTCBDate == "" || date < r.MinTCBDate {
			r.MinTCBDate = date
		}
	}
	switch c.TEE {
	case attest.SGX:
		if len(p.SGX.Signers) == 0 {
			p.SGX.Product = c.Product
		}
		list(&p.SGX.Signers, c.Signer.String())
		intel(&p.SGX.IntelRules)
	case attest.TDX:
		intel(&p.TDX.IntelRules)
	case attest.SNP:
		signer := c.Signer.String()
		if signer == "" {
			signer = attest.None
		}
		list(&p.SNP.Signers, signer)
		list(&p.SNP.Platforms, c.Platform)
		if t, m := c.AMD.TCB, &p.SNP.MinTCB; fresh && *m == (attest.AMDTCB{}) {
			*m = t
		} else if fresh {
			*m = attest.AMDTCB{FMC: min(m.FMC, t.FMC), BootLoader: min(m.BootLoader, t.BootLoader), TEE: min(m.TEE, t.TEE), SNP: min(m.SNP, t.SNP), Microcode: min(m.Microcode, t.Microcode)}
		}
	}
}

// satisfy checks that the policy accepts what evidence claims, but for revocation
// lists, which a server that is to be added may not have yet.
func satisfy(p attest.Policy, files []string, claims []attest.Claims) error {
	p.Recorded = &attest.RecordedEvidence{AcceptRevocationUnchecked: true}
	for i, c := range claims {
		if err := p.Check(c); err != nil {
			return fmt.Errorf("%s: %w: the manifest would not accept the server that it is of: change the rules by their flags, or the server", files[i], err)
		}
	}
	return nil
}
