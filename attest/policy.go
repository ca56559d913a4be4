package attest

import (
	"fmt"
	"slices"
	"sort"
)

// The names of the TEEs. A policy that names another one is an error.
const (
	SGX = "sgx"
	TDX = "tdx"
	SNP = "snp"
	// SimulatedTEE is the name of the TEE that is none.
	SimulatedTEE = "simulated"
)

// measurementBytes are the lengths of the measurements of the TEEs.
var measurementBytes = map[string]int{SGX: 32, TDX: 48, SNP: 48, SimulatedTEE: 32}

// Policy says which genuine evidence is acceptable. Its zero value is empty
// and accepts nothing: every use of it is an error. For each TEE that it
// lists, other than the simulated one, it must have the rules of that TEE.
//
// Debug mode is never accepted, nor is what [Claims].Unsafe lists, nor
// SEV-SNP without ciphertext hiding, nor a platform whose revocation was not
// checked: there are no fields to allow that, but for the exceptions in
// Recorded.
type Policy struct {
	// Measurements maps the name of a TEE to the measurements accepted on it.
	Measurements map[string][]Measurement `json:"measurements"`

	// AllowSimulatedTEEThatProtectsNothing must be set, as well as a
	// measurement of the simulated TEE, for simulated evidence to pass. Anyone
	// can make such evidence: servers accepted by it protect nothing.
	AllowSimulatedTEEThatProtectsNothing bool `json:"allow_simulated_tee_that_protects_nothing"`

	SGX *SGXRules `json:"sgx,omitempty"`
	TDX *TDXRules `json:"tdx,omitempty"`
	SNP *SNPRules `json:"snp,omitempty"`

	// Recorded makes exceptions for evidence from a recording, which is shown
	// and checked by people. [Appraise] refuses a policy that has it, and
	// manifests cannot have it.
	Recorded *RecordedEvidence `json:"recorded_evidence_only,omitempty"`
}

// RecordedEvidence are the exceptions that a policy may make for recordings.
type RecordedEvidence struct {
	AcceptRevocationUnchecked                    bool `json:"accept_revocation_unchecked"`
	AcceptDebugModeThatShowsAllMemory            bool `json:"accept_debug_mode_that_shows_all_memory"`
	AcceptNoCiphertextHidingThatShowsEveryChoice bool `json:"accept_no_ciphertext_hiding_that_shows_every_choice"`
}

// Check is one thing that a policy asks of claims.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`           // what was seen, and why it is wrong if it is
	Waived bool   `json:"waived,omitempty"` // wrong, and accepted as an exception for recorded evidence
}

// Validate reports what is wrong with the policy itself: ErrEmptyPolicy when
// it accepts nothing, ErrUnknownTEE when it names a TEE that does not exist,
// ErrPolicy when it contradicts itself.
func (p Policy) Validate() error {
	if len(p.Measurements) == 0 {
		return fmt.Errorf("%w: it lists no measurement: list those of the servers to be accepted", ErrEmptyPolicy)
	}
	for _, tee := range p.TEEs() {
		if err := p.validateMeasurements(tee); err != nil {
			return err
		}
	}
	for tee, rules := range map[string]struct {
		there bool
		check func() error
	}{
		SGX: {p.SGX != nil, p.SGX.validate},
		TDX: {p.TDX != nil, p.TDX.validate},
		SNP: {p.SNP != nil, p.SNP.validate},
	} {
		_, listed := p.Measurements[tee]
		switch {
		case listed && !rules.there:
			return fmt.Errorf("%w: it lists measurements of %q without the rules of that TEE: add the section %q", ErrEmptyPolicy, tee, tee)
		case !listed && rules.there:
			return fmt.Errorf("%w: it has rules of %q but no measurement: list one or remove them", ErrPolicy, tee)
		case listed:
			if err := rules.check(); err != nil {
				return err
			}
		}
	}
	if _, listed := p.Measurements[SimulatedTEE]; listed != p.AllowSimulatedTEEThatProtectsNothing {
		if listed {
			return fmt.Errorf("%w: it lists measurements of the simulated TEE, which protects nothing, without saying that this is meant: set AllowSimulatedTEEThatProtectsNothing or remove them", ErrPolicy)
		}
		return fmt.Errorf("%w: it allows the simulated TEE but lists none of its measurements: list one or do not allow it", ErrPolicy)
	}
	return nil
}

func (p Policy) validateMeasurements(tee string) error {
	n, known := measurementBytes[tee]
	if !known {
		return fmt.Errorf("%w: %.80q in a policy: it knows sgx, tdx, snp and simulated", ErrUnknownTEE, tee)
	}
	list := p.Measurements[tee]
	if len(list) == 0 {
		return fmt.Errorf("%w: no measurement for the TEE %q: list one or remove the TEE", ErrEmptyPolicy, tee)
	}
	for i, m := range list {
		if len(m) != n {
			return fmt.Errorf("%w: a measurement of the TEE %q has %d bytes: it must have %d", ErrPolicy, tee, len(m), n)
		}
		if slices.ContainsFunc(list[:i], m.Equal) {
			return fmt.Errorf("%w: measurement %v of the TEE %q is listed twice", ErrPolicy, m, tee)
		}
	}
	return nil
}

// Check says whether the claims are acceptable. A policy that does not
// validate accepts nothing. The error is that of the first check that fails.
func (p Policy) Check(c Claims) error {
	checks, err := p.Examine(c)
	if err != nil {
		return err
	}
	for _, x := range checks {
		if !x.OK && !x.Waived {
			return fmt.Errorf("%w: %s: %s", ErrPolicy, x.Name, x.Detail)
		}
	}
	return nil
}

// Examine makes all checks, whether or not one fails. The claims are
// acceptable if each is OK or waived. The error is that of a policy which
// does not validate.
func (p Policy) Examine(c Claims) ([]Check, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	x := &examination{}
	if c.Simulated || c.TEE == SimulatedTEE {
		x.add("simulated TEE", c.Simulated == (c.TEE == SimulatedTEE) && p.AllowSimulatedTEEThatProtectsNothing,
			"allowed by the policy, and protects nothing", "the evidence is simulated and protects nothing, and the policy does not allow that")
	}
	list, ok := p.Measurements[c.TEE]
	x.add("TEE", ok, c.TEE, fmt.Sprintf("no measurement is accepted on the TEE %q", c.TEE))
	x.add("measurement", slices.ContainsFunc(list, c.Measurement.Equal), fmt.Sprintf("%v is accepted on %s", c.Measurement, c.TEE),
		fmt.Sprintf("%v on %q is not an accepted one: another program runs there, or the policy is out of date", c.Measurement, c.TEE))
	r := RecordedEvidence{}
	if p.Recorded != nil {
		r = *p.Recorded
	}
	x.addUnless("debug mode", !c.Debug, "off", "the TEE runs in debug mode, so its host can read its memory", r.AcceptDebugModeThatShowsAllMemory)
	switch c.TEE {
	case SGX:
		p.SGX.examine(x, c)
	case TDX:
		p.TDX.examine(x, c)
	case SNP:
		p.SNP.examine(x, c, r)
	default:
		return x.checks, nil
	}
	for _, s := range c.Unsafe {
		x.add("state of the TEE", false, "", s)
	}
	x.addUnless("revocation", c.RevocationChecked, "the vendor's revocation lists are current and name none of the certificates",
		"there are no current revocation lists with the evidence, so a platform whose keys leaked would pass", r.AcceptRevocationUnchecked)
	return x.checks, nil
}

// examination collects checks.
type examination struct{ checks []Check }

func (x *examination) add(name string, ok bool, good, bad string) {
	x.addUnless(name, ok, good, bad, false)
}

func (x *examination) addUnless(name string, ok bool, good, bad string, waived bool) {
	c := Check{Name: name, OK: ok, Detail: good, Waived: !ok && waived}
	if !ok {
		c.Detail = bad
	}
	x.checks = append(x.checks, c)
}

// TEEs returns the names of the TEEs that the policy lists, sorted.
func (p Policy) TEEs() []string {
	names := make([]string, 0, len(p.Measurements))
	for name := range p.Measurements {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// OnlySimulated reports whether the simulated TEE is the only one accepted.
func (p Policy) OnlySimulated() bool {
	_, listed := p.Measurements[SimulatedTEE]
	return listed && len(p.Measurements) == 1 && p.AllowSimulatedTEEThatProtectsNothing
}
