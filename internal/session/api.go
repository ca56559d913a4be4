package session

// AEAD is the part of an AEAD that sessions use (cipher.AEAD satisfies it).
type AEAD = interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}

// Key is the key of one direction of a session.
type Key = [32]byte

// Cell is a sealed cell from a client, as a gateway hands it on.
type Cell struct {
	Session  uint64
	Type     uint16
	Epoch    uint64
	Sequence uint64
	Sealed   []byte
}

// Refusal says plainly why a cell or an attachment was not taken.
type Refusal uint16

// The reasons; the numbers are those of the wire.
const (
	UnknownClient    Refusal = iota + 1 // no such client
	WrongSize                           // the cell does not have the size of its type
	BadTag                              // the outer tag does not authenticate
	WrongEpoch                          // the epoch is not open for submission
	AlreadySubmitted                    // a cell of this type was taken in this epoch
	OldSequence                         // the sequence number does not rise
	NotAttached                         // no such session, or of another role
	Busy                                // try again later
)
