package bundle

import "time"

// Part is what there is to say of one part of collateral by itself, without a
// report.
type Part struct {
	Name   string    // for people
	Issued time.Time // zero if it cannot be read
	Until  time.Time // likewise
	Says   string    // what it is of, in words
	Err    error     // nil: the vendor signed it, and it is current
	// Revoked is what a revocation list says of a certificate that is in use, in
	// words; "": nothing. The list itself is all right.
	Revoked string
}

// Current runs check, which fills in the part, and keeps its error.
func (p Part) Current(check func(p *Part) error) Part {
	p.Err = check(&p)
	return p
}
