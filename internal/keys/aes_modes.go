package keys

import (
	"crypto/aes"
	"crypto/cipher"
)

// gcm is AES-GCM under a key of 16 or 32 bytes.
func gcm(key []byte) cipher.AEAD {
	a, err := cipher.NewGCM(block(key))
	if err != nil {
		panic("keys: AES-GCM: " + err.Error()) // only for ciphers of other block sizes
	}
	return a
}

// block is AES under a key of 16 or 32 bytes.
func block(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic("keys: AES: " + err.Error()) // only for other key sizes
	}
	return b
}
