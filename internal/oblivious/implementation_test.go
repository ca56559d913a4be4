package oblivious

import (
	"testing"

	"github.com/teems-go/teems/internal/kernel"
)

// onEach runs a test on every implementation that the machine has.
func onEach(t *testing.T, f func(t *testing.T)) {
	for _, name := range implementations() {
		restore := use(name)
		if kernel.Implementation() != name {
			t.Errorf("%s is in use, want %s", kernel.Implementation(), name)
		}
		t.Run(name, f)
		restore()
	}
}
