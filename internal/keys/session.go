package keys

import (
	"crypto/aes"
	"crypto/cipher"
)

// AEAD seals and opens cells; cipher.AEAD has it. Safe for concurrent use.
type AEAD = interface {
	// Seal appends the ciphertext and 16 bytes of tag to dst.
	Seal(dst, nonce, plaintext, ad []byte) []byte
	// Open appends the plaintext to dst, or fails if the tag does not fit.
	Open(dst, nonce, ciphertext, ad []byte) ([]byte, error)
}

// SessionKeyBytes is the length of a session key: AES-128.
const SessionKeyBytes = 16

// SessionKey is the key of one session: of one direction (cell.Up or
// cell.Down) between a client and its server of one role
// (cell.RoleIngestion or cell.RoleStorage), for one start of the client and
// one boot of the server.
func SessionKey(clientKey [32]byte, direction, role uint8, clientSalt, serverSalt [16]byte) [SessionKeyBytes]byte {
	return [SessionKeyBytes]byte(expand(clientKey[:], info("session",
		[]byte{direction}, []byte{role}, clientSalt[:], serverSalt[:]), SessionKeyBytes))
}

// Session is the AES-128-GCM of a session. Nonces are 12 bytes and the
// caller's: one plaintext per nonce, ever. About 700 bytes; it may be cached.
func Session(clientKey [32]byte, direction, role uint8, clientSalt, serverSalt [16]byte) AEAD {
	key := SessionKey(clientKey, direction, role, clientSalt, serverSalt)
	return gcm(key[:])
}

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
