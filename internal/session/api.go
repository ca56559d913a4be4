package session

// AEAD is the part of an AEAD that sessions use (cipher.AEAD satisfies it).
type AEAD = interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}

// Key is the key of one direction of a session.
type Key = [32]byte

// Handle names an attached session of a Table. Handles are small and dense, and
// used again after a session was detached: who keeps one asks whether it is
// still Active, or attached to its link.
type Handle uint32

// Refused is a cell that was not taken, or a session that gave way, and why.
type Refused struct {
	Session uint64
	Code    Refusal
	Epoch   uint64
}

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
	NotAttached                         // no such session
	Busy                                // try again later
)
