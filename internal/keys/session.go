package keys

import (
	"crypto/subtle"

	"golang.org/x/crypto/chacha20poly1305"
)

// AEAD seals and opens cells; cipher.AEAD has it. Safe for concurrent use.
type AEAD = interface {
	// Seal appends the ciphertext and 16 bytes of tag to dst.
	Seal(dst, nonce, plaintext, ad []byte) []byte
	// Open appends the plaintext to dst, or fails if the tag does not fit.
	Open(dst, nonce, ciphertext, ad []byte) ([]byte, error)
}

// SessionKeyBytes is the length of a session key.
const SessionKeyBytes = chacha20poly1305.KeySize

// SessionKey is the key of one session: of one direction (cell.Up or
// cell.Down) between a client and its server of one role
// (cell.RoleIngestion, cell.RoleStorage or cell.RoleJoint), for one start of the
// client and one boot of the server.
func SessionKey(clientKey [32]byte, direction, role uint8, clientSalt, serverSalt [16]byte) [SessionKeyBytes]byte {
	return [SessionKeyBytes]byte(expand(clientKey[:], info("session",
		[]byte{direction}, []byte{role}, clientSalt[:], serverSalt[:]), SessionKeyBytes))
}

// ProofBytes is the length of an attachment's proof.
const ProofBytes = 16

// AttachProof proves to one server, in one role, that a client's start, which
// its salt tells, is attached by who has the client's key. As its info is one
// block's, it is one HMAC-SHA-256 under that key, cut: all that it says of the
// key is that its author has it. The generation is in the key.
func AttachProof(clientKey, cluster [32]byte, server uint32, role uint8, client uint32, clientSalt [16]byte) [ProofBytes]byte {
	return [ProofBytes]byte(expand(clientKey[:], info("attach", cluster[:], le.AppendUint32(nil, server),
		[]byte{role}, le.AppendUint32(nil, client), clientSalt[:]), ProofBytes))
}

// CheckAttach says whether proof is AttachProof of the rest, in constant time.
func CheckAttach(clientKey, cluster [32]byte, server uint32, role uint8, client uint32, clientSalt, proof [16]byte) bool {
	want := AttachProof(clientKey, cluster, server, role, client, clientSalt)
	return subtle.ConstantTimeCompare(want[:], proof[:]) == 1
}

// Session is the ChaCha20-Poly1305 of a session. Nonces are 12 bytes and the
// caller's: one plaintext per nonce, ever.
func Session(clientKey [32]byte, direction, role uint8, clientSalt, serverSalt [16]byte) AEAD {
	key := SessionKey(clientKey, direction, role, clientSalt, serverSalt)
	return SessionAEAD(&key)
}

// SessionAEAD is the ChaCha20-Poly1305 of a session's key. It is 32 bytes and
// quickly made; a server makes it anew for each cell and keeps the key, where an
// AES-GCM would have to be kept ready at 1280 bytes (docs/design/0002).
func SessionAEAD(key *[SessionKeyBytes]byte) AEAD {
	a, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("keys: " + err.Error()) // only for other key sizes
	}
	return a
}
