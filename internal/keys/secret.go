package keys

import (
	"crypto/ed25519"
	"errors"
	"io"
)

// ErrSealed: a sealed secret is of another version, was changed, or was sealed
// by another key or under another label.
var ErrSealed = errors.New("keys: the sealed secret does not open: wrong key, wrong label, or changed")

const (
	sealVersion  = 1
	sealOverhead = 1 + 12 + 16
)

// SealSecret seals a small secret under a sealing key of the TEE, bound to a
// label that says what it is:
//
//	version u8 (1) | nonce 12 | AES-256-GCM of secret, 16 bytes longer
//
// The AES key is HKDF of the sealing key and the label; the nonce is random,
// read from random. The sealing key has at least 16 bytes. Errors: of random,
// and a short key.
func SealSecret(random io.Reader, sealingKey []byte, label string, secret []byte) ([]byte, error) {
	if len(sealingKey) < 16 {
		return nil, errors.New("keys: a sealing key has at least 16 bytes")
	}
	blob := make([]byte, 13, sealOverhead+len(secret))
	blob[0] = sealVersion
	if _, err := io.ReadFull(random, blob[1:]); err != nil {
		return nil, errors.Join(errors.New("keys: no randomness for a nonce"), err)
	}
	return sealer(sealingKey, label).Seal(blob, blob[1:13], secret, blob[:1]), nil
}

// OpenSecret opens what SealSecret sealed under the same key and label.
// Error: ErrSealed.
func OpenSecret(sealingKey []byte, label string, blob []byte) ([]byte, error) {
	if len(sealingKey) < 16 || len(blob) < sealOverhead || blob[0] != sealVersion {
		return nil, ErrSealed
	}
	secret, err := sealer(sealingKey, label).Open(nil, blob[1:13], blob[13:], blob[:1])
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

func sealer(sealingKey []byte, label string) AEAD {
	prk := extract(sealingKey, []byte("teems/1 sealing"))
	return gcm(expand(prk, info("sealed secret", []byte(label)), 32))
}

// NewMaster draws a master secret, at genesis.
func NewMaster(random io.Reader) (Master, error) {
	var m Master
	if _, err := io.ReadFull(random, m[:]); err != nil {
		return Master{}, errors.Join(errors.New("keys: no randomness for a master secret"), err)
	}
	return m, nil
}

// NewClusterKey draws the Ed25519 key of a cluster, at genesis. Seed() of it
// is what is sealed and sent to other servers.
func NewClusterKey(random io.Reader) (ed25519.PrivateKey, error) {
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, errors.Join(errors.New("keys: no randomness for a cluster key"), err)
	}
	return ed25519.NewKeyFromSeed(seed[:]), nil
}

// ClusterID is the id of the cluster with a public key: its SHA-256.
func ClusterID(public ed25519.PublicKey) [32]byte { return Hash(public) }
