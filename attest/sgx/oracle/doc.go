// Package oracle compares the verifiers of this project with that of Oasis
// Core on recorded SGX and TDX evidence, as it is and with every byte changed.
// It is a module of its own, so that Oasis Core and all that it needs is no
// dependency of anything else:
//
//	cd attest/sgx/oracle && go test ./...
//
// The command in the folder record writes the recorded evidence below
// testdata at the project's root, from the files that come with the modules of
// Oasis Core and go-sev-guest:
//
//	cd attest/sgx/oracle && go run ./record ../../../testdata
package oracle
