package attest

import (
	"fmt"
	"slices"
	"sort"
)

// SimulatedTEE is the name of the TEE that is none.
const SimulatedTEE = "simulated"

// Policy says which genuine evidence is acceptable. Its zero value is empty
// and accepts nothing: every use of it is an error.
type Policy struct {
	// Measurements maps the name of a TEE to the measurements accepted on it.
	Measurements map[string][]Measurement

	// AllowSimulatedTEEThatProtectsNothing must be set, as well as a
	// measurement of the simulated TEE, for simulated evidence to pass. Anyone
	// can make such evidence: servers accepted by it protect nothing.
	AllowSimulatedTEEThatProtectsNothing bool
}

// Validate reports what is wrong with the policy itself: ErrEmptyPolicy when
// it accepts nothing, ErrPolicy when it contradicts itself.
func (p Policy) Validate() error {
	if len(p.Measurements) == 0 {
		return fmt.Errorf("%w: it lists no measurement: list those of the servers to be accepted", ErrEmptyPolicy)
	}
	for _, tee := range p.TEEs() {
		if err := validateTEE(tee); err != nil {
			return fmt.Errorf("%w: %v", ErrPolicy, err)
		}
		list := p.Measurements[tee]
		if len(list) == 0 {
			return fmt.Errorf("%w: no measurement for the TEE %q: list one or remove the TEE", ErrEmptyPolicy, tee)
		}
		for i, m := range list {
			if err := m.validate(); err != nil {
				return fmt.Errorf("%w: for the TEE %q: %v", ErrPolicy, tee, err)
			}
			if slices.ContainsFunc(list[:i], m.Equal) {
				return fmt.Errorf("%w: measurement %v of the TEE %q is listed twice", ErrPolicy, m, tee)
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

// Check says whether the claims are acceptable. A policy that does not
// validate accepts nothing.
func (p Policy) Check(c Claims) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if c.Simulated != (c.TEE == SimulatedTEE) {
		return fmt.Errorf("%w: the claims contradict themselves on being simulated", ErrPolicy)
	}
	if c.Simulated && !p.AllowSimulatedTEEThatProtectsNothing {
		return fmt.Errorf("%w: the evidence is simulated and protects nothing, and the policy does not allow that", ErrPolicy)
	}
	if c.Debug {
		return fmt.Errorf("%w: the TEE runs in debug mode, so its host can read its memory", ErrPolicy)
	}
	list, ok := p.Measurements[c.TEE]
	if !ok {
		return fmt.Errorf("%w: no measurement is accepted on the TEE %q", ErrPolicy, c.TEE)
	}
	if !slices.ContainsFunc(list, c.Measurement.Equal) {
		return fmt.Errorf("%w: the measurement %v on %q is not an accepted one: another program runs there, or the manifest is out of date", ErrPolicy, c.Measurement, c.TEE)
	}
	return nil
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
