// Package keys is the key schedule of a cluster: from the master secret of an
// era to every key and every pseudorandom value that the TEEs use, and the
// sealing of the few secrets that a TEE keeps on disk. docs/protocol.md,
// sections 1.1 and 1.7, is the contract.
//
// Every key is HKDF-Expand(HKDF-Extract(salt = cluster, master), info) with
// SHA-256, where info is "teems/1" and then the label and each part of the
// context behind its length. No two (label, context) have the same info, so
// keys of different uses are independent.
//
// It guarantees that no function branches on, or addresses memory by, a key or
// a message, where Go's crypto/sha256 and crypto/aes do not: SHA-256 never
// does; AES does not where the processor has AES instructions, and elsewhere
// Go falls back to tables. CheckAES tells which; a server in a TEE must refuse
// to start when it fails.
//
// It does not erase keys from memory (Go cannot promise that) and keeps no
// state: rotation of eras, and which nonce was used, are others' business.
package keys

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

var le = binary.LittleEndian

// Master is the master secret of one era. Whoever has it has all keys of the
// cluster in that era.
type Master [32]byte

// Next is the master secret of the next era: HKDF-Extract(salt = master,
// the fresh values of all servers, in the manifest's order, each behind its
// length).
func (m *Master) Next(fresh ...[]byte) Master {
	var secret []byte
	for _, f := range fresh {
		secret = appendPart(secret, f)
	}
	return Master(extract(secret, m[:]))
}

// Schedule derives the keys of one era. Safe for concurrent use.
type Schedule struct {
	prk   []byte
	era   uint32
	token cipher.Block // of the MACs of tokens, derived once
	pass  cipher.Block // of the MACs of passes
	head  []byte       // HMAC key
}

// New is the schedule of an era of the cluster with the given id, the hash of
// its public key. The era only labels the schedule: the master secret of every
// era is another.
func New(master Master, cluster [32]byte, era uint32) *Schedule {
	s := &Schedule{prk: extract(master[:], cluster[:]), era: era}
	token, pass, head := s.Derive("token CBC-MAC"), s.Derive("pass CBC-MAC"), s.Derive("head")
	s.token, s.pass, s.head = block(token[:16]), block(pass[:16]), head[:]
	return s
}

// Era is the era that New was told.
func (s *Schedule) Era() uint32 { return s.era }

// Derive is the 32-byte key for one use. Lengths of label and contexts are
// public.
func (s *Schedule) Derive(label string, context ...[]byte) [32]byte {
	return [32]byte(expand(s.prk, info(label, context...), 32))
}

// ClientKey is the key that a client shares with the TEEs: of its ID, the hash
// of its registration's public key, and the generation of the registration.
func (s *Schedule) ClientKey(id uint32, keyHash [32]byte, generation uint32) [32]byte {
	return s.Derive("client", le.AppendUint32(nil, id), keyHash[:], le.AppendUint32(nil, generation))
}

// SimulatedClientKey is the key of a simulated client: anyone who has the
// manifest with the seed can compute it.
func SimulatedClientKey(seed [32]byte, id uint32) [32]byte {
	return [32]byte(expand(seed[:], info("simulated client", le.AppendUint32(nil, id)), 32))
}

// Hash is SHA-256.
func Hash(data []byte) [32]byte { return sha256.Sum256(data) }

// info is "teems/1" and the parts behind their lengths: injective in (label,
// context), since a reader could take it apart again without ambiguity.
func info(label string, context ...[]byte) string {
	b := make([]byte, 0, 128)
	b = append(b, "teems/1"...)
	b = appendPart(b, []byte(label))
	for _, part := range context {
		b = appendPart(b, part)
	}
	return string(b)
}

// appendPart appends a part behind its length, u32.
func appendPart(b, part []byte) []byte {
	b = le.AppendUint32(b, uint32(len(part)))
	return append(b, part...)
}

func extract(secret, salt []byte) []byte {
	prk, err := hkdf.Extract(sha256.New, secret, salt)
	if err != nil {
		panic("keys: HKDF-Extract with SHA-256 failed: " + err.Error()) // only for a hash that FIPS mode forbids
	}
	return prk
}

func expand(prk []byte, info string, size int) []byte {
	key, err := hkdf.Expand(sha256.New, prk, info, size)
	if err != nil {
		panic("keys: HKDF-Expand with SHA-256 failed: " + err.Error()) // only for sizes above 8160
	}
	return key
}
