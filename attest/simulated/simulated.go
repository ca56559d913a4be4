// Package simulated is the TEE that is none. It lets a whole deployment run
// on any machine, through the same code as on real TEEs, and IT PROTECTS
// NOTHING: the secret key of its root is in this file, so anyone can make
// evidence for any measurement, and anyone can compute its sealing keys.
//
// It guarantees the shape of a TEE, so that mistakes show in development:
// evidence is bound to its report data, a wrong measurement or root is
// refused, and a file that is sealed under one measurement does not open
// under another. A policy accepts it only by the bluntly named field
// [attest.Policy].AllowSimulatedTEEThatProtectsNothing.
//
// The chain has two links: the root certifies a platform key, as a vendor
// does, and the platform key signs reports.
package simulated

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/teems-go/teems/attest"
)

// MeasurementBytes is the length of a measurement: that of SHA-256.
const MeasurementBytes = sha256.Size

// publishedSeed is the seed of the root's secret key, for all to read.
const publishedSeed = "TEEMS simulated TEE root: secret of nobody, protects nothing"

// Root is the simulated vendor of simulated TEEs.
type Root struct {
	key ed25519.PrivateKey
}

// PublishedRoot returns the root that simulated deployments share.
func PublishedRoot() *Root { return NewTestRoot(sha256.Sum256([]byte(publishedSeed))) }

// NewTestRoot returns another root, for tests that need evidence which is
// well made and yet not genuine.
func NewTestRoot(seed [32]byte) *Root {
	return &Root{key: ed25519.NewKeyFromSeed(seed[:])}
}

// Public returns the public key that a verifier trusts.
func (r *Root) Public() ed25519.PublicKey { return r.key.Public().(ed25519.PublicKey) }

// Issuer returns a TEE under this root that runs code of the measurement.
func (r *Root) Issuer(measurement [32]byte) *Issuer { return r.issuer(measurement, 0) }

// DebugIssuer is like Issuer, but its evidence says that the TEE is in debug
// mode; every policy refuses it.
func (r *Root) DebugIssuer(measurement [32]byte) *Issuer { return r.issuer(measurement, flagDebug) }

// Verifier returns the verifier of evidence under this root.
func (r *Root) Verifier() *Verifier { return &Verifier{root: r.Public()} }

func (r *Root) issuer(measurement [32]byte, flags uint16) *Issuer {
	platform := ed25519.NewKeyFromSeed(r.derive("platform key", measurement))
	return &Issuer{
		measurement: measurement,
		flags:       flags,
		platform:    platform,
		certificate: ed25519.Sign(r.key, certified(platform.Public().(ed25519.PublicKey))),
		sealing:     [32]byte(r.derive("sealing key", measurement)),
	}
}

func (r *Root) derive(label string, measurement [32]byte) []byte {
	b, err := hkdf.Key(sha256.New, r.key.Seed(), measurement[:], "teems/1 simulated "+label, 32)
	if err != nil {
		panic("simulated: HKDF refuses 32 bytes: " + err.Error()) // impossible
	}
	return b
}

// Issuer is a simulated TEE. It implements [attest.Platform], and may be used
// from several goroutines at once.
type Issuer struct {
	measurement [32]byte
	flags       uint16
	platform    ed25519.PrivateKey
	certificate []byte // the root's signature over the platform's public key
	sealing     [32]byte
}

var _ attest.Platform = (*Issuer)(nil)

// NewIssuer returns a simulated TEE under the published root. It protects
// nothing.
func NewIssuer(measurement [32]byte) *Issuer { return PublishedRoot().Issuer(measurement) }

// NewVerifier returns the verifier of evidence under the published root.
func NewVerifier() *Verifier { return PublishedRoot().Verifier() }

// Verifiers returns a registry that knows only the simulated TEE.
func Verifiers() attest.Verifiers {
	return attest.Verifiers{attest.SimulatedTEE: NewVerifier()}
}

// Policy returns the policy that accepts exactly this measurement of the
// simulated TEE.
func Policy(measurement [32]byte) attest.Policy {
	return attest.Policy{
		Measurements:                         map[string][]attest.Measurement{attest.SimulatedTEE: {measurement[:]}},
		AllowSimulatedTEEThatProtectsNothing: true,
	}
}

// Measurement returns the measurement that the TEE was made with.
func (i *Issuer) Measurement() attest.Measurement {
	return append(attest.Measurement(nil), i.measurement[:]...)
}

// SealingKey returns the key that belongs to the measurement and the root.
// Anyone who knows both, that is anyone, can compute it.
func (i *Issuer) SealingKey() ([32]byte, error) { return i.sealing, nil }

// Issue makes evidence over data. It never fails.
func (i *Issuer) Issue(data attest.ReportData) (attest.Evidence, error) {
	r := report{
		flags:       i.flags,
		measurement: i.measurement,
		data:        data,
		platform:    [ed25519.PublicKeySize]byte(i.platform.Public().(ed25519.PublicKey)),
		certificate: [ed25519.SignatureSize]byte(i.certificate),
	}
	r.signature = [ed25519.SignatureSize]byte(ed25519.Sign(i.platform, signed(&r)))
	return attest.Evidence{TEE: attest.SimulatedTEE, Raw: r.encode()}, nil
}

// Measure returns the measurement of the program in the file at path: the
// SHA-256 of the file.
func Measure(path string) ([32]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return [32]byte{}, fmt.Errorf("simulated: cannot measure the program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return [32]byte{}, fmt.Errorf("simulated: cannot measure the program %s: %w", path, err)
	}
	return [32]byte(h.Sum(nil)), nil
}

// MeasureSelf returns the measurement of the running program.
func MeasureSelf() ([32]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return [32]byte{}, fmt.Errorf("simulated: cannot find the running program: %w", err)
	}
	return Measure(path)
}
