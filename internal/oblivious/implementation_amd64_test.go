//go:build !purego

package oblivious

import (
	"slices"
	_ "unsafe" // for go:linkname

	"github.com/teems-go/teems/internal/kernel"
)

// active is the variable of package kernel that chooses, which tests alone may
// set: it has no setter there.
//
//go:linkname active github.com/teems-go/teems/internal/kernel.active
var active uint8

var names = []string{"portable", "AVX2", "AVX-512"}

// implementations returns those that the machine has.
func implementations() []string {
	return names[:slices.Index(names, kernel.Implementation())+1]
}

// use chooses an implementation.
func use(name string) (restore func()) {
	before := active
	active = uint8(slices.Index(names, name))
	return func() { active = before }
}
