package kernel

// An implementation is a set of bodies behind the functions of this package.
type implementation uint8

// In ascending order: a machine that has one has those below it.
const (
	portable implementation = iota
	withAVX2
	withAVX512
)

func (i implementation) String() string {
	return [...]string{"portable", "AVX2", "AVX-512"}[i]
}

// Implementation returns the name of the bodies in use: portable, AVX2 or
// AVX-512. It depends on the machine and the build alone.
func Implementation() string { return active.String() }
