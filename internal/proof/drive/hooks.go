//go:build linux && amd64 && proof

package main

import (
	"github.com/teems-go/teems/internal/kernel"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/proof/cases"
)

func init() {
	choose = kernel.Choose
	wakeAssembly, assemblyHits = kernel.Wake, kernel.Hits
	cases.Share(oblivious.Share)
}
