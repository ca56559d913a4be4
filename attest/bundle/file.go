package bundle

import (
	"fmt"
	"os"

	"github.com/teems-go/teems/attest"
)

// File returns the source that reads the collateral in the file at path anew
// each time, so that a helper may replace the file at any moment (by renaming
// another one over it). A file that is not there is no collateral; one that is
// malformed, or has a report in it, is an error.
func File(path string) Source {
	return func() (Bundle, error) {
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return Bundle{}, nil
		}
		if err != nil {
			return Bundle{}, err
		}
		c, err := Parse(b)
		if err != nil {
			return Bundle{}, fmt.Errorf("%s: %w", path, err)
		}
		if len(c.Report) != 0 {
			return Bundle{}, fmt.Errorf("%w: %s: there is a report in the collateral", attest.ErrEvidence, path)
		}
		return c, nil
	}
}
