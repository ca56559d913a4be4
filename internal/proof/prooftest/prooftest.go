// Package prooftest builds the driver for the tests of the checks.
package prooftest

import (
	"testing"

	"github.com/teems-go/teems/internal/proof/disasm"
	"github.com/teems-go/teems/internal/proof/rewrite"
)

// Build builds the driver for as long as the test runs.
func Build(t testing.TB, o rewrite.Options) *rewrite.Driver {
	t.Helper()
	root, err := rewrite.Root()
	if err != nil {
		t.Fatal(err)
	}
	d, err := rewrite.Build(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Remove)
	return d
}

// Load builds the driver and reads the code of the functions that are wanted.
func Load(t testing.TB, o rewrite.Options, wanted func(name string) bool) (*rewrite.Driver, *disasm.Program) {
	t.Helper()
	d := Build(t, o)
	p, err := disasm.Load(d.Path, wanted)
	if err != nil {
		t.Fatal(err)
	}
	return d, p
}
