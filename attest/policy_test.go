package attest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
)

type measurements = map[string][]attest.Measurement

var (
	ppid   = strings.Repeat("0a", 16)
	chip   = strings.Repeat("0b", 64)
	signer = strings.Repeat("0c", 32)
	author = strings.Repeat("0d", 48)
)

func intelRules() attest.IntelRules {
	return attest.IntelRules{
		Platforms: []string{ppid}, TCBStatuses: []attest.TCBStatus{attest.UpToDate, attest.SWHardeningNeeded},
		MinTCBEvaluation: 17, MinTCBDate: "2024-03-13",
	}
}

// production is a policy for all real TEEs.
func production() attest.Policy {
	return attest.Policy{
		Measurements: measurements{
			attest.SGX: {measurement(1, 32)}, attest.TDX: {measurement(1, 48), measurement(2, 48)}, attest.SNP: {measurement(3, 48)},
		},
		SGX: &attest.SGXRules{Signers: []string{signer}, Product: 5, MinSVN: 7, IntelRules: intelRules()},
		TDX: &attest.TDXRules{IntelRules: intelRules()},
		SNP: &attest.SNPRules{Signers: []string{author}, Platforms: []string{chip}, MinSVN: 2, MinTCB: attest.AMDTCB{FMC: 1, BootLoader: 2, TEE: 3, SNP: 4, Microcode: 5}},
	}
}

// good are claims that production accepts.
func good(tee string) attest.Claims {
	tcb := &attest.IntelTCB{Status: attest.SWHardeningNeeded, Evaluation: 17, Date: time.Date(2024, 3, 13, 0, 0, 0, 0, time.UTC)}
	c := attest.Claims{TEE: tee, RevocationChecked: true, Platform: ppid, Intel: tcb}
	switch tee {
	case attest.SGX:
		c.Measurement, c.Signer, c.Product, c.SVN = measurement(1, 32), measurement(12, 32), 5, 7
	case attest.TDX:
		c.Measurement = measurement(2, 48)
	case attest.SNP:
		c.Measurement, c.Signer, c.SVN, c.Platform, c.Intel = measurement(3, 48), measurement(13, 48), 2, chip, nil
		c.AMD = &attest.AMDState{TCB: attest.AMDTCB{FMC: 1, BootLoader: 2, TEE: 3, SNP: 4, Microcode: 5}, CiphertextHiding: true}
	}
	return c
}

func TestPolicyValidate(t *testing.T) {
	change := func(f func(p *attest.Policy)) attest.Policy {
		p := production()
		f(&p)
		return p
	}
	for name, x := range map[string]struct {
		policy attest.Policy
		kind   error
	}{
		"empty":                    {attest.Policy{}, attest.ErrEmptyPolicy},
		"empty but for the flag":   {attest.Policy{AllowSimulatedTEEThatProtectsNothing: true}, attest.ErrEmptyPolicy},
		"empty but for recordings": {attest.Policy{Recorded: &attest.RecordedEvidence{}}, attest.ErrEmptyPolicy},
		"unknown TEE":              {change(func(p *attest.Policy) { p.Measurements["cca"] = p.Measurements["tdx"] }), attest.ErrUnknownTEE},
		"no TEE name":              {change(func(p *attest.Policy) { p.Measurements[""] = p.Measurements["tdx"] }), attest.ErrUnknownTEE},
		"TEE without measurement":  {change(func(p *attest.Policy) { p.Measurements["tdx"] = nil }), attest.ErrEmptyPolicy},
		"short measurement":        {change(func(p *attest.Policy) { p.Measurements["tdx"] = []attest.Measurement{measurement(1, 47)} }), attest.ErrPolicy},
		"empty measurement":        {change(func(p *attest.Policy) { p.Measurements["tdx"] = []attest.Measurement{nil} }), attest.ErrPolicy},
		"long measurement":         {change(func(p *attest.Policy) { p.Measurements["sgx"] = []attest.Measurement{measurement(1, 48)} }), attest.ErrPolicy},
		"twice": {change(func(p *attest.Policy) {
			p.Measurements["snp"] = []attest.Measurement{measurement(1, 48), measurement(1, 48)}
		}), attest.ErrPolicy},
		"no rules for sgx":       {change(func(p *attest.Policy) { p.SGX = nil }), attest.ErrEmptyPolicy},
		"no rules for tdx":       {change(func(p *attest.Policy) { p.TDX = nil }), attest.ErrEmptyPolicy},
		"no rules for snp":       {change(func(p *attest.Policy) { p.SNP = nil }), attest.ErrEmptyPolicy},
		"rules without TEE":      {change(func(p *attest.Policy) { delete(p.Measurements, "snp") }), attest.ErrPolicy},
		"no platforms":           {change(func(p *attest.Policy) { p.TDX.Platforms = nil }), attest.ErrEmptyPolicy},
		"any and a platform":     {change(func(p *attest.Policy) { p.TDX.Platforms = []string{attest.Any, ppid} }), attest.ErrPolicy},
		"platform twice":         {change(func(p *attest.Policy) { p.TDX.Platforms = []string{ppid, ppid} }), attest.ErrPolicy},
		"platform in capitals":   {change(func(p *attest.Policy) { p.TDX.Platforms = []string{strings.ToUpper(ppid)} }), attest.ErrPolicy},
		"no signers":             {change(func(p *attest.Policy) { p.SGX.Signers = []string{} }), attest.ErrEmptyPolicy},
		"unsigned SGX":           {change(func(p *attest.Policy) { p.SGX.Signers = []string{attest.None} }), attest.ErrPolicy},
		"short signer":           {change(func(p *attest.Policy) { p.SNP.Signers = []string{signer} }), attest.ErrPolicy},
		"no statuses":            {change(func(p *attest.Policy) { p.SGX.TCBStatuses = nil }), attest.ErrEmptyPolicy},
		"unknown status":         {change(func(p *attest.Policy) { p.SGX.TCBStatuses = []attest.TCBStatus{"Fine"} }), attest.ErrPolicy},
		"revoked status":         {change(func(p *attest.Policy) { p.SGX.TCBStatuses = []attest.TCBStatus{attest.UpToDate, attest.Revoked} }), attest.ErrPolicy},
		"status twice":           {change(func(p *attest.Policy) { p.SGX.TCBStatuses = []attest.TCBStatus{attest.UpToDate, attest.UpToDate} }), attest.ErrPolicy},
		"no evaluation":          {change(func(p *attest.Policy) { p.SGX.MinTCBEvaluation = 0 }), attest.ErrEmptyPolicy},
		"no date":                {change(func(p *attest.Policy) { p.TDX.MinTCBDate = "" }), attest.ErrPolicy},
		"no TCB":                 {change(func(p *attest.Policy) { p.SNP.MinTCB = attest.AMDTCB{} }), attest.ErrEmptyPolicy},
		"simulated, not allowed": {change(func(p *attest.Policy) { p.Measurements["simulated"] = p.Measurements["sgx"] }), attest.ErrPolicy},
		"allowed, not listed":    {change(func(p *attest.Policy) { p.AllowSimulatedTEEThatProtectsNothing = true }), attest.ErrPolicy},
		"good":                   {production(), nil},
		"good, any":              {change(func(p *attest.Policy) { p.SNP.Signers, p.SGX.Platforms = []string{attest.None}, []string{attest.Any} }), nil},
		"good, simulated":        {simulated.Policy([32]byte{1}), nil},
		"good, simulated and real": {change(func(p *attest.Policy) {
			p.Measurements["simulated"], p.AllowSimulatedTEEThatProtectsNothing = p.Measurements["sgx"], true
		}), nil},
	} {
		if err := x.policy.Validate(); !errors.Is(err, x.kind) {
			t.Errorf("%s: %v", name, err)
		}
		if x.kind != nil {
			if err := x.policy.Check(good(attest.TDX)); !errors.Is(err, x.kind) {
				t.Errorf("%s: claims are checked against it: %v", name, err)
			}
		}
	}
}

func TestPolicyCheck(t *testing.T) {
	development := simulated.Policy([32]byte(measurement(1, 32)))
	sim := attest.Claims{TEE: "simulated", Measurement: measurement(1, 32), Simulated: true}
	for name, x := range map[string]struct {
		tee    string
		change func(c *attest.Claims)
		failed string
	}{
		"good sgx":             {"sgx", func(*attest.Claims) {}, ""},
		"good tdx":             {"tdx", func(*attest.Claims) {}, ""},
		"good snp":             {"snp", func(*attest.Claims) {}, ""},
		"wrong measurement":    {"tdx", func(c *attest.Claims) { c.Measurement = measurement(3, 48) }, "measurement"},
		"prefix":               {"tdx", func(c *attest.Claims) { c.Measurement = measurement(1, 32) }, "measurement"},
		"no measurement":       {"tdx", func(c *attest.Claims) { c.Measurement = nil }, "measurement"},
		"another TEE's":        {"snp", func(c *attest.Claims) { c.Measurement = measurement(2, 48) }, "measurement"},
		"unknown TEE":          {"tdx", func(c *attest.Claims) { c.TEE = "cca" }, "TEE"},
		"simulated":            {"tdx", func(c *attest.Claims) { *c = sim }, "simulated TEE"},
		"in disguise":          {"tdx", func(c *attest.Claims) { c.Simulated = true }, "simulated TEE"},
		"debug sgx":            {"sgx", func(c *attest.Claims) { c.Debug = true }, "debug mode"},
		"debug tdx":            {"tdx", func(c *attest.Claims) { c.Debug = true }, "debug mode"},
		"debug snp":            {"snp", func(c *attest.Claims) { c.Debug = true }, "debug mode"},
		"wrong signer":         {"sgx", func(c *attest.Claims) { c.Signer = measurement(1, 32) }, "signer"},
		"no signer":            {"snp", func(c *attest.Claims) { c.Signer = nil }, "signer"},
		"wrong product":        {"sgx", func(c *attest.Claims) { c.Product++ }, "product"},
		"old version":          {"sgx", func(c *attest.Claims) { c.SVN-- }, "version"},
		"old guest":            {"snp", func(c *attest.Claims) { c.SVN-- }, "version"},
		"other platform":       {"tdx", func(c *attest.Claims) { c.Platform = chip }, "platform"},
		"no platform":          {"snp", func(c *attest.Claims) { c.Platform = "" }, "platform"},
		"old evaluation":       {"sgx", func(c *attest.Claims) { c.Intel.Evaluation-- }, "TCB evaluation"},
		"old date":             {"tdx", func(c *attest.Claims) { c.Intel.Date = c.Intel.Date.Add(-time.Second) }, "TCB date"},
		"no TCB":               {"tdx", func(c *attest.Claims) { c.Intel = nil }, "TCB status"},
		"old FMC":              {"snp", func(c *attest.Claims) { c.AMD.TCB.FMC-- }, "TCB"},
		"old boot loader":      {"snp", func(c *attest.Claims) { c.AMD.TCB.BootLoader-- }, "TCB"},
		"old TEE":              {"snp", func(c *attest.Claims) { c.AMD.TCB.TEE-- }, "TCB"},
		"old SNP":              {"snp", func(c *attest.Claims) { c.AMD.TCB.SNP-- }, "TCB"},
		"old microcode":        {"snp", func(c *attest.Claims) { c.AMD.TCB.Microcode-- }, "TCB"},
		"no ciphertext hiding": {"snp", func(c *attest.Claims) { c.AMD.CiphertextHiding = false }, "ciphertext hiding"},
		"SMT":                  {"snp", func(c *attest.Claims) { c.AMD.SMT = true }, "SMT"},
		"no state":             {"snp", func(c *attest.Claims) { c.AMD = nil }, "rules"},
		"unsafe state":         {"snp", func(c *attest.Claims) { c.Unsafe = []string{"a migration agent"} }, "state of the TEE"},
		"revocation unchecked": {"sgx", func(c *attest.Claims) { c.RevocationChecked = false }, "revocation"},
	} {
		c := good(x.tee)
		x.change(&c)
		err := production().Check(c)
		if (err == nil) != (x.failed == "") || err != nil && (!errors.Is(err, attest.ErrPolicy) || !strings.Contains(err.Error(), ": "+x.failed+":")) {
			t.Errorf("%s: %v", name, err)
		}
		if development.Check(c) == nil && !c.Simulated {
			t.Errorf("%s: the policy for development accepts it", name)
		}
	}
	for _, s := range attest.TCBStatuses() {
		c := good(attest.SGX)
		c.Intel.Status = s
		if ok := production().Check(c) == nil; ok != (s == attest.UpToDate || s == attest.SWHardeningNeeded) {
			t.Errorf("status %s is accepted: %v", s, ok)
		}
	}
	if err := development.Check(sim); err != nil {
		t.Error(err)
	}
	sim.Debug = true
	if development.Check(sim) == nil {
		t.Error("debug mode in simulation is accepted")
	}
	if !development.OnlySimulated() || production().OnlySimulated() || (attest.Policy{}).OnlySimulated() {
		t.Error("OnlySimulated is wrong")
	}
}

// Exceptions cover what they name and nothing else, and serve no connection.
func TestRecorded(t *testing.T) {
	for name, x := range map[string]struct {
		spoil  func(c *attest.Claims)
		accept attest.RecordedEvidence
	}{
		"revocation": {func(c *attest.Claims) { c.RevocationChecked = false }, attest.RecordedEvidence{AcceptRevocationUnchecked: true}},
		"debug":      {func(c *attest.Claims) { c.Debug = true }, attest.RecordedEvidence{AcceptDebugModeThatShowsAllMemory: true}},
		"hiding":     {func(c *attest.Claims) { c.AMD.CiphertextHiding = false }, attest.RecordedEvidence{AcceptNoCiphertextHidingThatShowsEveryChoice: true}},
	} {
		for other, y := range map[string]attest.RecordedEvidence{
			"nothing": {}, "revocation": {AcceptRevocationUnchecked: true}, "debug": {AcceptDebugModeThatShowsAllMemory: true}, "hiding": {AcceptNoCiphertextHidingThatShowsEveryChoice: true},
		} {
			p, c := production(), good(attest.SNP)
			p.Recorded = &y
			x.spoil(&c)
			if ok := p.Check(c) == nil; ok != (y == x.accept) {
				t.Errorf("%s is accepted by an exception for %s: %v", name, other, ok)
			}
		}
	}
	p := simulated.Policy([32]byte{1})
	p.Recorded = &attest.RecordedEvidence{}
	e, _ := simulated.NewIssuer([32]byte{1}).Issue(attest.ReportData{})
	if _, err := attest.Appraise(simulated.Verifiers(), p, e, attest.ReportData{}, time.Time{}); !errors.Is(err, attest.ErrPolicy) {
		t.Errorf("a connection may rest on exceptions: %v", err)
	}
}

func TestWorst(t *testing.T) {
	for _, s := range attest.TCBStatuses() {
		if s.Worst(attest.UpToDate) != s || s.Worst(attest.Revoked) != attest.Revoked || s.Worst("Fine") != attest.Revoked || attest.TCBStatus("").Worst(s) != attest.Revoked {
			t.Errorf("%s is joined wrongly", s)
		}
	}
	if w := attest.ConfigurationNeeded.Worst(attest.OutOfDate); w != attest.OutOfDateConfigurationNeeded {
		t.Error(w)
	}
	if w := attest.SWHardeningNeeded.Worst(attest.OutOfDate); w != attest.OutOfDate {
		t.Error(w)
	}
}
