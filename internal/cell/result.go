package cell

// Result is a view of the plaintext of one result: a header of 80 bytes and a
// status byte a message cell. It says as well that the epoch after its own
// takes submissions.
//
//	epoch u64 | attempt u16 | flags u16 | 0 u32 | acceptedTag 16 | head 32 |
//	headMAC 16 | statuses
//
// All methods are oblivious in the content.
type Result []byte

// Epoch is the epoch that the result is of.
func (r Result) Epoch() uint64 { return le.Uint64(r[0:8]) }

// SetEpoch sets the epoch.
func (r Result) SetEpoch(epoch uint64) { le.PutUint64(r[0:8], epoch) }

// Attempt is the attempt that was committed.
func (r Result) Attempt() uint16 { return le.Uint16(r[8:10]) }

// SetAttempt sets the attempt.
func (r Result) SetAttempt(attempt uint16) { le.PutUint16(r[8:10], attempt) }

// Flags has FlagVoid and FlagAccepted.
func (r Result) Flags() uint16 { return le.Uint16(r[10:12]) }

// SetFlags sets the flags.
func (r Result) SetFlags(flags uint16) { le.PutUint16(r[10:12], flags) }

// AcceptedTag is a view of the authentication tag of the sealed submission that
// was accepted, 16 bytes; zero for none.
func (r Result) AcceptedTag() []byte { return r[16:32:32] }

// Head is a view of the epoch's head, 32 bytes.
func (r Result) Head() []byte { return r[32:64:64] }

// HeadMAC is a view of the MAC over (Epoch, Head), 16 bytes.
func (r Result) HeadMAC() []byte { return r[64:80:80] }

// Open is the epoch that takes submissions since the result's own is final.
func (r Result) Open() uint64 { return r.Epoch() + 1 }

// Status is the status byte at offset, from geometry (ResultStatus(i)).
func (r Result) Status(offset int) uint8 { return r[offset] }

// SetStatus sets the status byte at offset.
func (r Result) SetStatus(offset int, status uint8) { r[offset] = status }

// Clear zeroes the whole result.
func (r Result) Clear() { clear(r) }

// StatusText says in words what a status of a result means. Client side only.
func StatusText(status uint8) string {
	switch status {
	case StatusDummy:
		return "no message"
	case StatusTaken:
		return "taken into the epoch"
	case StatusNoRecipient:
		return "no such recipient"
	case StatusBadToken:
		return "the token is not one that this cluster issued to you for this use"
	case StatusWindow:
		return "the token is not valid in this epoch"
	case StatusRepeated:
		return "the token's slot was used twice in this epoch"
	case StatusNothing:
		return "nothing was submitted"
	}
	return "unknown status"
}
