// Command record writes recorded evidence, from the files that come with the
// modules of Oasis Core (SGX, TDX) and go-sev-guest (SEV-SNP), to a folder.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-sev-guest/verify/testdata"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/bundle"
	"github.com/teems-go/teems/attest/sgx/oracle"
	"github.com/teems-go/teems/attest/simulated"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: record FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(folder string) error {
	sgx, err := oracle.SGX()
	if err != nil {
		return err
	}
	tdx, err := oracle.TDX()
	if err != nil {
		return err
	}
	snp := bundle.Bundle{Report: testdata.AttestationBytes, Endorsement: testdata.VcekBytes}
	sim, err := simulated.NewIssuer([32]byte{1, 2, 3}).Issue(attest.Bind("teems/1 recorded"))
	if err != nil {
		return err
	}
	for _, e := range []attest.Evidence{
		{TEE: attest.SGX, Raw: sgx.Encode()}, {TEE: attest.TDX, Raw: tdx.Encode()}, {TEE: attest.SNP, Raw: snp.Encode()}, sim,
	} {
		b, err := e.Encode()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, e.TEE+".bin"), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
