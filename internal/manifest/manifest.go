// Package manifest is the signed description of a deployment: its servers and
// their roles, its parameters, which code they may run in which TEE, and who
// may change all that. Everything that changes what a server does is in the
// measurement of its code or in here.
//
// A manifest is JSON that people read and write, decoded strictly: unknown,
// repeated and missing fields, wrong types and trailing data are errors.
// Manifests form a chain: each has the next sequence number and the hash of
// its predecessor, and is signed by a threshold of the operators whom its
// predecessor names. Manifest 1 has no cluster key; the first server makes
// one under it, and every later manifest names that key.
//
// It guarantees that a [Signed] from [Parse] is well-formed and that its
// parameters make a valid geometry. It does NOT guarantee that anyone's
// signature on it is right: that is what [Signed.Verify],
// [Signed.VerifyPinned] and [Signed.VerifySuccessor] are for.
package manifest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/teems-go/teems/attest"
)

// Kinds of errors, for errors.Is.
var (
	ErrSyntax    = errors.New("manifest: not a manifest file")
	ErrInvalid   = errors.New("manifest: invalid manifest")
	ErrSignature = errors.New("manifest: signatures do not suffice")
	ErrChain     = errors.New("manifest: not the successor")
	ErrKeyFile   = errors.New("manifest: operator key file")
)

// Format is the version of the manifest format of this program.
const Format = 1

// Bounds.
const (
	MaxFileBytes  = 1 << 20
	MaxOperators  = 32
	MaxSignatures = 64
	MaxThreads    = 1024
	MaxNameBytes  = 64
	SeedBytes     = 32
)

// Hex is bytes that are hexadecimal in JSON; no bytes are the empty string.
type Hex []byte

// String returns the bytes in hexadecimal.
func (h Hex) String() string { return hex.EncodeToString(h) }

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) error {
	b := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(b, text); err != nil {
		return fmt.Errorf("%.80q is not hexadecimal: write two digits for each byte", text)
	}
	*h = b
	return nil
}

// Manifest describes a deployment. The order of its fields is that of its
// canonical form, which is what gets signed.
type Manifest struct {
	Format      int    `json:"format"`
	Sequence    uint64 `json:"sequence"`     // 1, 2, ...
	Predecessor Hex    `json:"predecessor"`  // hash of the one before; empty in manifest 1
	ClusterKey  Hex    `json:"cluster_key"`  // Ed25519; empty in manifest 1 only
	Era         Era    `json:"era,omitzero"` // of the keys; in the file from 2 on

	Operators  Operators  `json:"operators"`
	Servers    []Server   `json:"servers"` // a server's index is its place here
	Parameters Parameters `json:"parameters"`
	TEEs       TEEPolicy  `json:"tees"`

	SimulatedClients *SimulatedClients `json:"simulated_clients,omitempty"`
}

// Era counts the master secrets of a cluster: the first is 1, and each next one
// is made from the one before and from what every server draws anew. A manifest
// of era 1 has no field for it, later ones have: each has one canonical form,
// and manifests from before there were eras stay what they are.
type Era uint32

// IsZero leaves the first era out of the canonical form.
func (e Era) IsZero() bool { return e <= 1 }

// UnmarshalJSON takes an era that is to be written out.
func (e *Era) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil || Era(n).IsZero() {
		return fmt.Errorf("the era %.20s is not a number from 2 on: a manifest of era 1 has no field for it", b)
	}
	*e = Era(n)
	return nil
}

// Operators are the people who may change the deployment: any Threshold of
// the holders of Keys together sign the next manifest.
type Operators struct {
	Threshold int   `json:"threshold"`
	Keys      []Hex `json:"keys"` // Ed25519
}

// Role is one role of a server.
type Role string

// The roles.
const (
	Ingestion Role = "ingestion"
	Routing   Role = "routing"
	Storage   Role = "storage"
)

// Server is one server of the deployment.
type Server struct {
	Name    string `json:"name"`
	Roles   []Role `json:"roles"`
	Weight  int    `json:"weight"`
	Threads int    `json:"threads"`
	Mesh    string `json:"mesh"`  // host:port for the other servers
	Front   string `json:"front"` // host:port for gateways and the coordinator
}

// Has reports whether the server has the role.
func (s Server) Has(r Role) bool {
	for _, x := range s.Roles {
		if x == r {
			return true
		}
	}
	return false
}

// Parameters are those of geometry.Params that are not about servers; every
// one of them is written out, none has a default.
type Parameters struct {
	Capacity       int          `json:"capacity"`       // N, client IDs
	VirtualShards  int          `json:"virtual_shards"` // V
	CellBytes      int          `json:"cell_bytes"`     // B
	IDChannel      IDChannel    `json:"id_channel"`
	TokenChannel   TokenChannel `json:"token_channel"`
	TokenEpochs    int          `json:"token_epochs"`
	HorizonEpochs  int          `json:"horizon_epochs"`
	DeliveryEpochs int          `json:"delivery_epochs"`
	Attempts       int          `json:"attempts"`
}

// IDChannel holds the ID channel's counts per client and epoch; a channel
// that is off has zero counts and priority "passes". With priority "open"
// there is one class, whose size is in Contacts.
type IDChannel struct {
	Out       int    `json:"out"`
	Contacts  int    `json:"contacts"`
	Strangers int    `json:"strangers"`
	Priority  string `json:"priority"` // "passes" or "open"
}

// The values of IDChannel.Priority.
const (
	PriorityPasses = "passes"
	PriorityOpen   = "open"
)

// TokenChannel holds the token channel's counts per client and epoch.
type TokenChannel struct {
	Out int `json:"out"`
	In  int `json:"in"`
}

// TEEPolicy says which code may run in which TEE; see [attest.Policy]. Each
// real TEE that has measurements has its rules as well. There is no field for
// the exceptions that a policy may make for recorded evidence.
type TEEPolicy struct {
	Measurements                         map[string][]attest.Measurement `json:"measurements"`
	AllowSimulatedTEEThatProtectsNothing bool                            `json:"allow_simulated_tee_that_protects_nothing"`
	SGX                                  *attest.SGXRules                `json:"sgx,omitempty"`
	TDX                                  *attest.TDXRules                `json:"tdx,omitempty"`
	SNP                                  *attest.SNPRules                `json:"snp,omitempty"`
}

// teePolicy takes over what a manifest can say of a policy.
func teePolicy(p attest.Policy) TEEPolicy {
	return TEEPolicy{
		Measurements:                         p.Measurements,
		AllowSimulatedTEEThatProtectsNothing: p.AllowSimulatedTEEThatProtectsNothing,
		SGX:                                  p.SGX,
		TDX:                                  p.TDX,
		SNP:                                  p.SNP,
	}
}

// SimulatedClients exist from the genesis on, with keys derived from a seed
// that everyone can read. Only a deployment of simulated TEEs may have them.
type SimulatedClients struct {
	Count int `json:"count"`
	Seed  Hex `json:"seed"` // SeedBytes bytes
}

// Policy returns the policy that evidence of this deployment's servers must
// satisfy.
func (m *Manifest) Policy() attest.Policy {
	return attest.Policy{
		Measurements:                         m.TEEs.Measurements,
		AllowSimulatedTEEThatProtectsNothing: m.TEEs.AllowSimulatedTEEThatProtectsNothing,
		SGX:                                  m.TEEs.SGX,
		TDX:                                  m.TEEs.TDX,
		SNP:                                  m.TEEs.SNP,
	}
}

// HasCluster reports whether the manifest names a cluster key.
func (m *Manifest) HasCluster() bool { return len(m.ClusterKey) == ed25519.PublicKeySize }

// SetPolicy makes p what evidence of this deployment's servers must satisfy. Its
// exceptions for recorded evidence, which a manifest cannot have, are dropped.
func (m *Manifest) SetPolicy(p attest.Policy) { m.TEEs = teePolicy(p) }

// ClusterID returns the SHA-256 of the cluster key; zero if the manifest
// names none.
func (m *Manifest) ClusterID() [32]byte {
	if !m.HasCluster() {
		return [32]byte{}
	}
	return sha256.Sum256(m.ClusterKey)
}

// PublicKey returns the cluster key; nil if the manifest names none.
func (m *Manifest) PublicKey() ed25519.PublicKey {
	if !m.HasCluster() {
		return nil
	}
	return ed25519.PublicKey(m.ClusterKey)
}

// Index returns the index of the server of that name.
func (m *Manifest) Index(name string) (int, error) {
	for i, s := range m.Servers {
		if s.Name == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%w: it has no server named %.80q", ErrInvalid, name)
}
