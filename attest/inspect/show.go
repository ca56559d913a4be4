package inspect

import (
	"fmt"
	"time"

	"github.com/teems-go/teems/attest"
)

// Show examines the evidence in a file without a policy: whether it is genuine
// at the time at, and what it says. The verdict is Genuine or Refused. Genuine
// evidence may be of any program.
func Show(evidence []byte, at time.Time, v attest.Verifiers) *Report {
	r := &Report{At: at.UTC(), NotChecked: append([]string{"acceptability: no policy was asked, so that this may be any program, on any platform"}, notChecked...)}
	c, ok := r.genuine(evidence, at, v)
	if !ok {
		return r
	}
	r.Verdict, r.Summary = Genuine, fmt.Sprintf("genuine evidence of %s, of which nobody asked whether it is acceptable", c.TEE)
	if c.Simulated {
		r.Summary = "simulated evidence: anyone can make it, and IT PROTECTS NOTHING"
	}
	return r
}

// Connection explains claims that were accepted on a connection: proved are the
// checks that only a connection can have, which its maker made. The policy is
// asked again, so that the report has all that it asks.
func Connection(c attest.Claims, p attest.Policy, at time.Time, proved []attest.Check) *Report {
	r := &Report{At: at.UTC(), TEE: c.TEE, NotChecked: []string{}}
	r.Checks = append(r.Checks, proved...)
	r.claims(c)
	r.ask(p, c)
	return r
}
