package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
)

// policyFlags say which code may run in which TEE, and what its evidence must
// satisfy. Values of one TEE are written TEE=VALUE.
type policyFlags struct {
	serverBinaries, measurements, files, evidence []string // accepted code
	at                                            string   // when the evidence was made

	signers, platforms, statuses []string // rules, by TEE
	evaluations, dates, svns     []string
	product, minTCB              string
	allowSMT                     bool
	changed                      func(flag string) bool
}

func (o *policyFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&o.serverBinaries, "server-binary", nil, "teems-server to be accepted on simulated TEEs, which protect nothing (repeatable)")
	f.StringArrayVar(&o.measurements, "measurement", nil, "TEE=HEX, a measurement to be accepted (repeatable)")
	f.StringArrayVar(&o.files, "measurements", nil, "a file with measurements to be accepted, TEE HEX in each line, as a release has it (repeatable)")
	f.StringArrayVar(&o.evidence, "evidence", nil, "evidence of a server to be accepted, evidence.bin of its folder: measurement, signer, platform, and no lower TCB (repeatable)")
	f.StringVar(&o.at, "at", "", "with --evidence: the time for which it is judged (default: now)")
	f.StringArrayVar(&o.signers, "code-signer", nil, "TEE=HEX, who must have signed the code (sgx: MRSIGNER, snp: key digest), or TEE=any, or snp=none (repeatable)")
	f.StringArrayVar(&o.platforms, "platform", nil, "TEE=HEX, a platform (sgx, tdx: PPID, snp: chip ID), or TEE=any (repeatable)")
	f.StringArrayVar(&o.statuses, "tcb-status", nil, "TEE=STATUS, a TCB status of Intel's to be accepted (repeatable; default: UpToDate)")
	f.StringArrayVar(&o.evaluations, "min-tcb-evaluation", nil, "TEE=N, the newest TCB recovery of Intel's that must be in place")
	f.StringArrayVar(&o.dates, "min-tcb-date", nil, "TEE=DATE, the earliest TCB level, such as tdx=2024-03-13")
	f.StringVar(&o.minTCB, "min-tcb", "", "the lowest firmware of SEV-SNP, such as fmc=1,boot_loader=4,tee=0,snp=22,microcode=72")
	f.StringArrayVar(&o.svns, "min-svn", nil, "TEE=N, the lowest security version of the code (sgx: ISVSVN, snp: guest SVN; default: 0)")
	f.StringVar(&o.product, "product", "", "sgx=N, the product that the code is (ISVPRODID; default: 0)")
	f.BoolVar(&o.allowSMT, "allow-smt", false, "SEV-SNP guests may run on machines with SMT on")
}

// codes says whether the accepted code is named.
func (o *policyFlags) codes() bool {
	return len(o.serverBinaries)+len(o.measurements)+len(o.files)+len(o.evidence) > 0
}

// apply makes a policy: from an empty one, or from that of the manifest before.
// Code that is named replaces all code that there was; each rule that is named,
// that of its TEE.
func (o *policyFlags) apply(p attest.Policy) (attest.Policy, error) {
	var claims []attest.Claims
	if o.codes() {
		p.Measurements, p.AllowSimulatedTEEThatProtectsNothing = map[string][]attest.Measurement{}, false
		var err error
		if claims, err = o.accept(&p); err != nil {
			return p, err
		}
	}
	if len(p.Measurements) == 0 {
		return p, usageError("no code is accepted: add --server-binary, for simulated TEEs, or --measurement, --measurements or --evidence")
	}
	fresh := rules(&p)
	for _, c := range claims {
		admit(&p, c, fresh[c.TEE])
	}
	if err := o.rules(&p); err != nil {
		return p, err
	}
	if err := missing(p); err != nil {
		return p, err
	}
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("%w: %w", errUsage, err)
	}
	return p, satisfy(p, o.evidence, claims)
}

// accept adds the code that is named to the policy. It returns what the evidence
// claims.
func (o *policyFlags) accept(p *attest.Policy) ([]attest.Claims, error) {
	add := func(tee string, m attest.Measurement) {
		if !slices.ContainsFunc(p.Measurements[tee], m.Equal) {
			p.Measurements[tee] = append(p.Measurements[tee], m)
		}
		p.AllowSimulatedTEEThatProtectsNothing = p.AllowSimulatedTEEThatProtectsNothing || tee == attest.SimulatedTEE
	}
	for _, path := range o.serverBinaries {
		m, err := simulated.Measure(path)
		if err != nil {
			return nil, err
		}
		add(attest.SimulatedTEE, m[:])
	}
	for _, text := range o.measurements {
		tee, digits, _ := strings.Cut(text, "=")
		if err := measurement(tee, digits, add); err != nil {
			return nil, usageError("--measurement %.200q: %v: write TEE=HEX, such as simulated=5e88...", text, err)
		}
	}
	for _, path := range o.files {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			line, _, _ = strings.Cut(line, "#")
			f := strings.Fields(line)
			if len(f) == 0 {
				continue
			}
			if err := measurement(f[0], strings.Join(f[1:], " "), add); err != nil {
				return nil, fmt.Errorf("%s: %.200q: %w: each line is TEE HEX, such as sgx 5e88..., or a comment behind #", path, line, err)
			}
			n++
		}
		if n == 0 {
			return nil, fmt.Errorf("%s: there is no measurement in it: write TEE HEX, such as sgx 5e88..., into each line", path)
		}
	}
	at, err := parseTime(o.at)
	if err != nil {
		return nil, err
	}
	var claims []attest.Claims
	for _, path := range o.evidence {
		c, err := genuine(path, at)
		if err != nil {
			return nil, err
		}
		add(c.TEE, c.Measurement)
		claims = append(claims, c)
	}
	return claims, nil
}

func measurement(tee, digits string, add func(tee string, m attest.Measurement)) error {
	var m attest.Measurement
	if err := m.UnmarshalText([]byte(digits)); err != nil {
		return err
	}
	if !slices.Contains([]string{attest.SGX, attest.TDX, attest.SNP, attest.SimulatedTEE}, tee) {
		return fmt.Errorf("%w: %.80q is none of sgx, tdx, snp, simulated", attest.ErrUnknownTEE, tee)
	}
	add(tee, m)
	return nil
}

// rules gives each TEE that has code the rules of that TEE, and no other. It
// returns which of them are new.
func rules(p *attest.Policy) (fresh map[string]bool) {
	fresh = map[string]bool{attest.SGX: p.SGX == nil, attest.TDX: p.TDX == nil, attest.SNP: p.SNP == nil}
	intel := attest.IntelRules{TCBStatuses: []attest.TCBStatus{attest.UpToDate}}
	if _, ok := p.Measurements[attest.SGX]; !ok {
		p.SGX = nil
	} else if p.SGX == nil {
		p.SGX = &attest.SGXRules{IntelRules: intel}
	}
	if _, ok := p.Measurements[attest.TDX]; !ok {
		p.TDX = nil
	} else if p.TDX == nil {
		p.TDX = &attest.TDXRules{IntelRules: intel}
	}
	if _, ok := p.Measurements[attest.SNP]; !ok {
		p.SNP = nil
	} else if p.SNP == nil {
		p.SNP = &attest.SNPRules{}
	}
	return fresh
}

// byTEE sorts values TEE=VALUE by TEE, which must be one of those named and have
// code.
func byTEE(p *attest.Policy, flag string, values []string, tees ...string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, text := range values {
		tee, value, ok := strings.Cut(text, "=")
		if !ok || value == "" || !slices.Contains(tees, tee) {
			return nil, usageError("--%s %.140q: write TEE=VALUE, for the TEE %s", flag, text, strings.Join(tees, ", "))
		}
		if _, ok := p.Measurements[tee]; !ok {
			return nil, usageError("--%s %.140q: no code is accepted on %s: add a measurement of it, or leave the rule out", flag, text, tee)
		}
		out[tee] = append(out[tee], value)
	}
	return out, nil
}

// rules changes the rules as the flags say.
func (o *policyFlags) rules(p *attest.Policy) error {
	intel := map[string]*attest.IntelRules{}
	if p.SGX != nil {
		intel[attest.SGX] = &p.SGX.IntelRules
	}
	if p.TDX != nil {
		intel[attest.TDX] = &p.TDX.IntelRules
	}
	number := func(text string, bits int) (uint64, error) { return strconv.ParseUint(text, 10, bits) }
	var product []string
	if o.product != "" {
		product = []string{o.product}
	}
	for _, f := range []struct {
		flag   string
		values []string
		tees   []string
		one    bool
		set    func(tee string, values []string) error
	}{
		{"code-signer", o.signers, []string{attest.SGX, attest.SNP}, false, func(tee string, v []string) error {
			if tee == attest.SGX {
				p.SGX.Signers = lower(v)
			} else {
				p.SNP.Signers = lower(v)
			}
			return nil
		}},
		{"platform", o.platforms, []string{attest.SGX, attest.TDX, attest.SNP}, false, func(tee string, v []string) error {
			if tee == attest.SNP {
				p.SNP.Platforms = lower(v)
			} else {
				intel[tee].Platforms = lower(v)
			}
			return nil
		}},
		{"tcb-status", o.statuses, []string{attest.SGX, attest.TDX}, false, func(tee string, v []string) error {
			intel[tee].TCBStatuses = nil
			for _, s := range v {
				intel[tee].TCBStatuses = append(intel[tee].TCBStatuses, attest.TCBStatus(s))
			}
			return nil
		}},
		{"min-tcb-evaluation", o.evaluations, []string{attest.SGX, attest.TDX}, true, func(tee string, v []string) error {
			n, err := number(v[0], 32)
			intel[tee].MinTCBEvaluation = uint32(n)
			return err
		}},
		{"min-tcb-date", o.dates, []string{attest.SGX, attest.TDX}, true, func(tee string, v []string) error {
			intel[tee].MinTCBDate = v[0]
			_, err := time.Parse(time.DateOnly, v[0])
			return err
		}},
		{"min-svn", o.svns, []string{attest.SGX, attest.SNP}, true, func(tee string, v []string) error {
			n, err := number(v[0], 16)
			if tee == attest.SGX {
				p.SGX.MinSVN = uint16(n)
			} else if n, err = number(v[0], 32); err == nil {
				p.SNP.MinSVN = uint32(n)
			}
			return err
		}},
		{"product", product, []string{attest.SGX}, true, func(_ string, v []string) error {
			n, err := number(v[0], 16)
			p.SGX.Product = uint16(n)
			return err
		}},
	} {
		sorted, err := byTEE(p, f.flag, f.values, f.tees...)
		if err != nil {
			return err
		}
		for tee, values := range sorted {
			if f.one && len(values) > 1 {
				return usageError("--%s: there are two for %s", f.flag, tee)
			}
			if err := f.set(tee, values); err != nil {
				return usageError("--%s %s=%.80s: %v", f.flag, tee, values[0], err)
			}
		}
	}
	return o.firmware(p)
}

// firmware changes the rules that only SEV-SNP has.
func (o *policyFlags) firmware(p *attest.Policy) error {
	smt := o.changed("allow-smt")
	if p.SNP == nil {
		if o.minTCB != "" || smt {
			return usageError("--min-tcb and --allow-smt are for SEV-SNP, on which no code is accepted: add a measurement of it, or leave them out")
		}
		return nil
	}
	if smt {
		p.SNP.AllowSMT = o.allowSMT
	}
	if o.minTCB == "" {
		return nil
	}
	t, err := parseTCB(o.minTCB, "")
	if err != nil {
		return usageError("--min-tcb: %v", err)
	}
	p.SNP.MinTCB = t
	return nil
}

// missing says with which flag to add what a TEE lacks.
func missing(p attest.Policy) error {
	var all []error
	want := func(lacks bool, format string, a ...any) {
		if lacks {
			all = append(all, usageError(format+"; or take it from --evidence", a...))
		}
	}
	signer := func(tee string, list []string, none string) {
		want(len(list) == 0, "%s: who must have signed the code? Add --code-signer %s=HEX, or %s=any%s", tee, tee, tee, none)
	}
	platform := func(tee string, list []string) {
		want(len(list) == 0, "%s: on which platforms? Add --platform %s=HEX for each, or --platform %s=any", tee, tee, tee)
	}
	intel := func(tee string, r attest.IntelRules) {
		platform(tee, r.Platforms)
		want(r.MinTCBEvaluation == 0, "%s: which TCB recovery must be in place? Add --min-tcb-evaluation %s=N; `teems collateral show` tells the newest", tee, tee)
		want(r.MinTCBDate == "", "%s: from when on must the TCB level be? Add --min-tcb-date %s=DATE", tee, tee)
	}
	if r := p.SGX; r != nil {
		signer(attest.SGX, r.Signers, "")
		intel(attest.SGX, r.IntelRules)
	}
	if r := p.TDX; r != nil {
		intel(attest.TDX, r.IntelRules)
	}
	if r := p.SNP; r != nil {
		signer(attest.SNP, r.Signers, ", or snp=none for code that nobody signed")
		platform(attest.SNP, r.Platforms)
		want(r.MinTCB == attest.AMDTCB{}, "snp: what is the lowest firmware? Add --min-tcb boot_loader=N,tee=N,snp=N,microcode=N, on Turin with fmc=N")
	}
	return errors.Join(all...)
}

// lower writes hexadecimal the one way that manifests have it.
func lower(list []string) []string {
	out := slices.Clone(list)
	for i, s := range out {
		if _, err := hex.DecodeString(s); err == nil {
			out[i] = strings.ToLower(s)
		}
	}
	return out
}
