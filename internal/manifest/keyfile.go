package manifest

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	keyFileMode     = 0o600
	maxKeyFileBytes = 4096
	pemType         = "PRIVATE KEY"
)

// GenerateKey draws an operator's key from random.
func GenerateKey(random io.Reader) (ed25519.PrivateKey, error) {
	if random == nil {
		return nil, fmt.Errorf("%w: no source of randomness was given", ErrKeyFile)
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("%w: cannot draw a key: %v", ErrKeyFile, err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// WriteKey writes the key into a new file (PEM, PKCS #8) that only its owner
// can read. A file that exists is left alone and is an error.
func WriteKey(path string, key ed25519.PrivateKey) (err error) {
	if len(key) != ed25519.PrivateKeySize {
		return fmt.Errorf("%w: the key has %d bytes, must have %d", ErrKeyFile, len(key), ed25519.PrivateKeySize)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrKeyFile, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, keyFileMode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s exists already: choose another name, or move it away if the key is not needed any more", ErrKeyFile, path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("%w: %w", ErrKeyFile, cerr)
		}
		if err != nil {
			os.Remove(path)
		}
	}()
	if err := pem.Encode(f, &pem.Block{Type: pemType, Bytes: der}); err != nil {
		return fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return nil
}

// ReadKey reads an operator's key. A file that others may read is refused.
func ReadKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrKeyFile, path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s may be read or written by others (mode %03o): chmod 600 it", ErrKeyFile, path, mode)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	key, err := parseKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrKeyFile, path, err)
	}
	return key, nil
}

// parseKey never quotes what it read.
func parseKey(b []byte) (ed25519.PrivateKey, error) {
	if len(b) > maxKeyFileBytes {
		return nil, errors.New("too long for a key")
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemType || len(block.Headers) != 0 || len(rest) != 0 {
		return nil, errors.New("not exactly one PEM block " + pemType)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a PKCS #8 key")
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return key, nil
}
