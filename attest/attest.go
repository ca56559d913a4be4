// Package attest holds what every TEE has in common: evidence, the three
// things that are done with it, and what it is bound to.
//
// An [Issuer] runs inside a TEE and makes [Evidence] over 64 bytes of
// [ReportData]. A [Verifier] says whether evidence is genuine: signatures,
// certificate chain, revocation lists and what the vendor says of the
// platform. A [Policy] says whether what genuine evidence claims is
// acceptable: measurement, signer, platform, TCB, debug mode off, and what
// each vendor's TEE must have.
// [Appraise] does both and compares the report data; callers that open
// connections use that.
//
// It guarantees that nothing is accepted by omission: an empty policy, an
// unknown TEE and a verifier that is nil are errors. It does not say that a
// TEE keeps its promises, and a single piece of evidence is not fresh: whoever
// needs freshness puts a challenge into the report data, as package atls does
// with the exporter of the TLS connection.
//
// # Report data
//
// [Bind] hashes a purpose and fields, each with its length before it, so that
// evidence made for one purpose never serves another. The purposes in use:
//
//	teems/1 tls certificate   SHA-256 of the certificate's public key (SPKI), manifest hash
//	teems/1 attest            TLS exporter, SPKI hash, manifest hash, direction, server, boot ID
//	teems/1 cluster key       cluster public key, manifest hash (evidence of the genesis)
//	teems/1 start             none; a server proves to itself at start that its TEE issues evidence
//	teems/1 probe             none; an issuer asks its TEE which measurement it would report
package attest

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Kinds of errors. Every error of this package and its backends is one of
// them, for errors.Is.
var (
	ErrEvidence    = errors.New("attest: malformed evidence")
	ErrUnknownTEE  = errors.New("attest: unknown TEE")
	ErrNoVerifier  = errors.New("attest: no verifier")
	ErrNotGenuine  = errors.New("attest: evidence is not genuine")
	ErrExpired     = errors.New("not valid at this time") // always with ErrNotGenuine
	ErrRevoked     = errors.New("revoked by the vendor")  // always with ErrNotGenuine
	ErrEmptyPolicy = errors.New("attest: empty policy")
	ErrPolicy      = errors.New("attest: refused by the policy")
	ErrBinding     = errors.New("attest: evidence is bound to something else")
	ErrIssue       = errors.New("attest: the TEE made no evidence")
	ErrNoSealing   = errors.New("attest: the TEE has no sealing key")
	ErrNoClock     = errors.New("attest: no time was given")
)

// ReportData is what a TEE signs together with its measurement.
type ReportData [64]byte

// The purposes of report data; see the package comment for their fields. Every
// call of Bind outside of tests names one of them.
const (
	PurposeCertificate = "teems/1 tls certificate"
	PurposeConnection  = "teems/1 attest"
	PurposeClusterKey  = "teems/1 cluster key"
	PurposeStart       = "teems/1 start"
	PurposeProbe       = "teems/1 probe"
)

// Bind makes report data from a purpose and fields: SHA-512 over a label, the
// purpose, the number of fields and the fields, the purpose and every field
// with its length (u64) before it. Different purposes or fields give
// different inputs to the hash, wherever the boundaries between fields lie.
func Bind(purpose string, fields ...[]byte) ReportData {
	h := sha512.New()
	put := func(b []byte) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	put([]byte("teems/1 report data"))
	put([]byte(purpose))
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(fields)))
	h.Write(n[:])
	for _, f := range fields {
		put(f)
	}
	var r ReportData
	h.Sum(r[:0])
	return r
}

// Measurement is the hash of the code that runs in a TEE, as the TEE gives
// it: 32 bytes on SGX and in simulation, 48 on TDX and SEV-SNP. Its text form
// is lower-case hexadecimal.
type Measurement []byte

// MinMeasurementBytes and MaxMeasurementBytes bound a measurement's length.
const (
	MinMeasurementBytes = 32
	MaxMeasurementBytes = 64
)

// String returns the measurement in hexadecimal.
func (m Measurement) String() string { return hex.EncodeToString(m) }

// Equal reports whether both measurements are the same. Measurements are
// public.
func (m Measurement) Equal(o Measurement) bool { return bytes.Equal(m, o) }

// MarshalText implements encoding.TextMarshaler.
func (m Measurement) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes hexadecimal of
// a length that a measurement can have.
func (m *Measurement) UnmarshalText(text []byte) error {
	b := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(b, text); err != nil {
		return fmt.Errorf("measurement %.80q is not hexadecimal: write two digits for each byte", text)
	}
	if err := Measurement(b).validate(); err != nil {
		return err
	}
	*m = b
	return nil
}

func (m Measurement) validate() error {
	if len(m) < MinMeasurementBytes || len(m) > MaxMeasurementBytes {
		return fmt.Errorf("a measurement has %d bytes: it must have %d to %d", len(m), MinMeasurementBytes, MaxMeasurementBytes)
	}
	return nil
}

// Issuer makes evidence inside a TEE. Implementations may be called from
// several goroutines at once.
type Issuer interface {
	// Issue makes evidence over data. It may take as long as a quote takes
	// on the hardware (milliseconds to a second).
	Issue(data ReportData) (Evidence, error)
	// Measurement returns the measurement of the code that is running.
	Measurement() Measurement
}

// Sealer gives the key under which a TEE seals what it keeps on disk.
type Sealer interface {
	// SealingKey returns a key that only code with the same measurement, on
	// the same machine, can get; ErrNoSealing if the TEE has none.
	SealingKey() ([32]byte, error)
}

// Platform is what a server needs of the TEE that it runs in.
type Platform interface {
	Issuer
	Sealer
}

// Verifier checks that evidence is genuine: signatures, chain, revocation and
// the vendor's word on the platform, as they stand at the time now, from what
// the evidence brings along. Implementations may be called from several
// goroutines at once, never panic, whatever the evidence, and open no
// connection. Those of real TEEs refuse a zero time: ErrNoClock.
type Verifier interface {
	Verify(e Evidence, now time.Time) (Claims, error)
}

// Verifiers maps the name of a TEE to the verifier of its evidence.
type Verifiers map[string]Verifier

// Verify gives the evidence to the verifier of its TEE. Errors are
// ErrUnknownTEE, ErrNoVerifier, or what the verifier says.
func (v Verifiers) Verify(e Evidence, now time.Time) (Claims, error) {
	if err := e.validate(); err != nil {
		return Claims{}, err
	}
	w, ok := v[e.TEE]
	if !ok {
		return Claims{}, fmt.Errorf("%w: evidence of %q, for which there is no verifier here", ErrUnknownTEE, e.TEE)
	}
	if w == nil {
		return Claims{}, fmt.Errorf("%w: the verifier of %q is nil: fix the program", ErrNoVerifier, e.TEE)
	}
	c, err := w.Verify(e, now)
	if err != nil {
		return Claims{}, err
	}
	if c.TEE != e.TEE {
		return Claims{}, fmt.Errorf("%w: evidence of %q claims to be of %q", ErrNotGenuine, e.TEE, c.TEE)
	}
	return c, nil
}

// Appraise verifies the evidence, asks the policy, and compares the report
// data with want. It returns the claims only when all three agree. A policy
// for recorded evidence is an error here.
func Appraise(v Verifiers, p Policy, e Evidence, want ReportData, now time.Time) (Claims, error) {
	if err := p.Validate(); err != nil {
		return Claims{}, err
	}
	if p.Recorded != nil {
		return Claims{}, fmt.Errorf("%w: it makes exceptions for recorded evidence, so no connection may rest on it", ErrPolicy)
	}
	c, err := v.Verify(e, now)
	if err != nil {
		return Claims{}, err
	}
	if err := p.Check(c); err != nil {
		return Claims{}, err
	}
	if c.ReportData != want {
		return Claims{}, fmt.Errorf("%w: its report data is not that of this key, manifest or connection", ErrBinding)
	}
	return c, nil
}
