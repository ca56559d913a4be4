// Package layers holds the table of the project's layers: which package may
// import which. It has no code; its test checks every package of the module
// against the table, directly and transitively, and prints it:
//
//	go test -v -run TestLayers ./internal/layers
package layers

// table lists the layers, lowest first. A package imports only packages of lower
// layers, or of its own layer further up in the list. A name that ends in /...
// stands for a folder and all below it, which may import each other.
var table = []layer{
	{"L0 geometry, primitives, kernels", pure, []string{
		"geometry", "internal/choice", "internal/kernel", "internal/oblivious",
	}},
	{"L1 records, tokens, roles, the epoch", pure, []string{
		"internal/cell", "internal/record", "internal/token", "internal/idchannel", "internal/commit", "internal/session",
		"internal/role/ingestion", "internal/role/routing", "internal/role/storage", "internal/epoch", "internal/sparta",
	}},
	{"L2 keys, wire, attested links, manifest", trusted, []string{
		"attest", "attest/simulated", "attest/bundle", "attest/intel", "attest/sgx", "attest/tdx", "attest/snp",
		"attest/verifiers", "attest/inspect", "attest/probe", "internal/manifest", "internal/keys", "internal/era", "internal/wire", "internal/atls", "internal/mesh",
	}},
	{"L2 evidence of Linux guests", issuers, []string{
		"attest/tsm", "attest/platform",
	}},
	{"L3 nodes, untrusted parts, simulators", module, []string{
		"internal/arena", "internal/collateral", "internal/coordinator", "internal/gateway", "internal/node", "internal/node/deployment", "internal/simnet",
	}},
	{"client library", module, []string{
		"client", "teemstest",
	}},
	{"experiments", anything, []string{
		"internal/load", "internal/deploy", "internal/load/simulate",
		"experiments", "internal/experiment", "internal/experiment/figures", "internal/probe",
		"internal/experiment/comparator", "internal/experiment/simulated",
		"internal/experiment/repro", "internal/experiment/primitives", "internal/model",
	}},
	{"commands", anything, []string{
		"cmd/teems-server", "cmd/teems-gateway", "cmd/teems",
	}},
	{"proofs and tests only", anything, []string{
		"internal/reference", "internal/layers", "internal/proof/...", "attest/attesttest",
	}},
}

type layer struct {
	name     string
	reach    reach
	packages []string
}

// reach says what a layer may reach outside the module.
type reach string

const (
	pure     reach = "no os, net, syscall, time, log, fmt"
	trusted  reach = "standard library and golang.org/x only"
	issuers  reach = "standard library, golang.org/x and go-configfs-tsm only" // what the server of a TDX or SEV-SNP guest links
	module   reach = "standard library and golang.org/x only "
	anything reach = "any library of go.mod"
)

// impure are the packages that L0 and L1 must not reach, not even transitively.
var impure = []string{"os", "net", "syscall", "time", "log", "fmt"}

// tsm are the modules of go-configfs-tsm and what it needs.
var tsm = []string{"github.com/google/go-configfs-tsm/", "github.com/google/uuid", "go.uber.org/multierr"}
