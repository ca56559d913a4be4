// Package inspect explains a piece of evidence to a person: what was checked,
// what was found, and whether a policy accepts it.
//
// It makes the same checks as a server does with the same code, but for two
// that only a connection can have: that the evidence is fresh, and that it is
// bound to the key and the manifest at hand. It says so in each report. Unlike
// a server it takes policies that make exceptions for recorded evidence, and
// lists the exceptions that were needed.
package inspect

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/teems-go/teems/attest"
)

// The verdicts.
const (
	Accepted = "accepted"
	Refused  = "refused"
	// Genuine is the verdict of [Show], which asks no policy.
	Genuine = "genuine"
)

// Report is what there is to say of a piece of evidence.
type Report struct {
	Verdict string    `json:"verdict"`
	Summary string    `json:"summary"`
	At      time.Time `json:"at"` // the time for which this holds

	TEE         string             `json:"tee,omitempty"`
	Measurement attest.Measurement `json:"measurement,omitempty"`
	Signer      attest.Measurement `json:"signer,omitempty"`
	Platform    string             `json:"platform,omitempty"`
	ReportData  string             `json:"report_data,omitempty"` // what the evidence is bound to
	TCBStatus   attest.TCBStatus   `json:"tcb_status,omitempty"`
	Advisories  []string           `json:"advisories,omitempty"`
	Until       *time.Time         `json:"valid_until,omitempty"`

	Checks     []attest.Check  `json:"checks"`
	Exceptions []string        `json:"exceptions,omitempty"` // what was accepted only because it is a recording
	NotChecked []string        `json:"not_checked"`
	Details    []attest.Detail `json:"details,omitempty"`
}

// notChecked is what nobody can tell from a file.
var notChecked = []string{
	"freshness: a recording proves that such a TEE ran once, not that it runs now",
	"binding: whose key, which manifest and which connection the report data stands for",
}

// Evidence examines the evidence in a file, encoded as [attest.Evidence], by
// the policy in a file, at the time at. It does not fail: what cannot be read
// is refused, and the report says why.
func Evidence(evidence, policy []byte, at time.Time, v attest.Verifiers) *Report {
	r := &Report{At: at.UTC(), NotChecked: notChecked}
	p, err := attest.ParsePolicy(policy)
	if !r.step("policy", err, "it is well-formed and accepts something") {
		return r
	}
	c, ok := r.genuine(evidence, at, v)
	if !ok {
		return r
	}
	r.ask(p, c)
	return r
}

// genuine verifies encoded evidence. It returns false, with the verdict set, if
// it is not genuine.
func (r *Report) genuine(evidence []byte, at time.Time, v attest.Verifiers) (attest.Claims, bool) {
	e, err := attest.ParseEvidence(evidence)
	if !r.step("form", err, fmt.Sprintf("evidence of %q, %d bytes", e.TEE, len(e.Raw))) {
		return attest.Claims{}, false
	}
	r.TEE = e.TEE
	c, err := v.Verify(e, at)
	if err != nil {
		r.step("genuine", err, "")
		return attest.Claims{}, false
	}
	r.claims(c)
	return c, true
}

// ask asks the policy about genuine evidence, and sets the verdict.
func (r *Report) ask(p attest.Policy, c attest.Claims) {
	checks, err := p.Examine(c)
	if err != nil {
		r.step("policy", err, "")
		return
	}
	r.Checks = append(r.Checks, checks...)
	r.judge()
}

// step adds a check. It returns false, with the verdict set, if it failed.
func (r *Report) step(name string, err error, good string) bool {
	c := attest.Check{Name: name, OK: err == nil, Detail: good}
	if err != nil {
		c.Detail = err.Error()
		if errors.Is(err, attest.ErrExpired) {
			c.Name = name + ", at this time"
		}
		r.Verdict, r.Summary = Refused, c.Name+": "+c.Detail
	}
	r.Checks = append(r.Checks, c)
	return err == nil
}

func (r *Report) claims(c attest.Claims) {
	for _, s := range c.Checked {
		r.Checks = append(r.Checks, attest.Check{Name: "genuine", OK: true, Detail: s})
	}
	r.Measurement, r.Signer, r.Platform, r.Details = c.Measurement, c.Signer, c.Platform, c.Details
	r.ReportData = hex.EncodeToString(c.ReportData[:])
	if c.Intel != nil {
		r.TCBStatus, r.Advisories = c.Intel.Status, c.Intel.Advisories
	}
	if !c.Until.IsZero() {
		until := c.Until.UTC()
		r.Until = &until
	}
}

func (r *Report) judge() {
	var wrong []string
	for _, c := range r.Checks {
		switch {
		case c.Waived:
			r.Exceptions = append(r.Exceptions, c.Name+": "+c.Detail)
		case !c.OK:
			wrong = append(wrong, c.Name+": "+c.Detail)
		}
	}
	switch {
	case len(wrong) > 0:
		r.Verdict, r.Summary = Refused, strings.Join(wrong, "; ")
	case len(r.Exceptions) > 0:
		r.Verdict, r.Summary = Accepted, fmt.Sprintf("genuine evidence of %s, accepted as a recording only: a server with it would be refused", r.TEE)
	case r.TEE == attest.SimulatedTEE:
		r.Verdict, r.Summary = Accepted, "simulated evidence, as the policy allows: IT PROTECTS NOTHING"
	default:
		r.Verdict, r.Summary = Accepted, fmt.Sprintf("genuine evidence of %s, as the policy asks for", r.TEE)
	}
}

// Text returns the report in words.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s: %s", strings.ToUpper(r.Verdict), r.Summary)
	line("at %s", r.At.Format(time.RFC3339))
	if r.Until != nil {
		line("holds until %s", r.Until.Format(time.RFC3339))
	}
	line("")
	for _, c := range r.Checks {
		mark := "ok     "
		if c.Waived {
			mark = "WAIVED "
		} else if !c.OK {
			mark = "REFUSED"
		}
		line("%s %s: %s", mark, c.Name, c.Detail)
	}
	for _, s := range r.NotChecked {
		line("not checked: %s", s)
	}
	if len(r.Details) > 0 || r.ReportData != "" {
		line("")
	}
	if r.ReportData != "" {
		line("report data: %s", r.ReportData)
	}
	for _, d := range r.Details {
		line("%s: %s", d.Name, d.Value)
	}
	return b.String()
}
