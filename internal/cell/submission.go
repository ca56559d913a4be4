package cell

import "encoding/binary"

var le = binary.LittleEndian

// Submission is a view of the plaintext of one submission: a header of 64
// bytes and the message cells.
//
//	resultsThrough u64 | echoEpoch u64 | echoHead 32 | echoMAC 16 | cells
//
// All methods are oblivious in the content.
type Submission []byte

// ResultsThrough is the epoch up to which the client has every result.
func (s Submission) ResultsThrough() uint64 { return le.Uint64(s[0:8]) }

// SetResultsThrough acknowledges every result up to and including epoch.
func (s Submission) SetResultsThrough(epoch uint64) { le.PutUint64(s[0:8], epoch) }

// EchoEpoch is the epoch of the head that the client echoes; 0 for none.
func (s Submission) EchoEpoch() uint64 { return le.Uint64(s[8:16]) }

// SetEchoEpoch sets the epoch of the echoed head.
func (s Submission) SetEchoEpoch(epoch uint64) { le.PutUint64(s[8:16], epoch) }

// EchoHead is a view of the echoed head, 32 bytes.
func (s Submission) EchoHead() []byte { return s[16:48:48] }

// EchoMAC is a view of the echoed head's MAC, 16 bytes.
func (s Submission) EchoMAC() []byte { return s[48:64:64] }

// Message is a view of the message cell of size bytes at offset; both from
// geometry (SubmissionCell(i), MessageBytes()).
func (s Submission) Message(offset, size int) Message {
	return Message(s[offset : offset+size : offset+size])
}

// Clear zeroes the whole submission: every cell a dummy, nothing acknowledged.
func (s Submission) Clear() { clear(s) }

// Message is a view of one message cell, 64 bytes and the body.
//
//	kind u8 | 0 u8 | slot u16 | recipient u32 | priority u32 | ceiling u32 |
//	e1 u64 | e2 u64 | era u32 | generation u32 | mac 16 | 0 u64 | body
//
// All methods are oblivious in the content.
type Message []byte

// Kind is Dummy or Real; any other value counts as Dummy to a server.
func (m Message) Kind() uint8 { return m[0] }

// SetKind sets the kind.
func (m Message) SetKind(kind uint8) { m[0] = kind }

// Slot is the recipient's slot j on the token channel, 0 on the ID channel.
func (m Message) Slot() uint16 { return le.Uint16(m[2:4]) }

// SetSlot sets the slot.
func (m Message) SetSlot(slot uint16) { le.PutUint16(m[2:4], slot) }

// Recipient is the client ID of the recipient.
func (m Message) Recipient() uint32 { return le.Uint32(m[4:8]) }

// SetRecipient sets the recipient.
func (m Message) SetRecipient(id uint32) { le.PutUint32(m[4:8], id) }

// Priority is the priority asked for on the ID channel.
func (m Message) Priority() uint32 { return le.Uint32(m[8:12]) }

// SetPriority sets the priority asked for.
func (m Message) SetPriority(priority uint32) { le.PutUint32(m[8:12], priority) }

// Ceiling is the highest priority that the pass admits.
func (m Message) Ceiling() uint32 { return le.Uint32(m[12:16]) }

// SetCeiling sets the pass's highest priority.
func (m Message) SetCeiling(ceiling uint32) { le.PutUint32(m[12:16], ceiling) }

// E1 is the first epoch of the token or pass.
func (m Message) E1() uint64 { return le.Uint64(m[16:24]) }

// SetE1 sets the first epoch.
func (m Message) SetE1(epoch uint64) { le.PutUint64(m[16:24], epoch) }

// E2 is the epoch before which the token or pass ends.
func (m Message) E2() uint64 { return le.Uint64(m[24:32]) }

// SetE2 sets the end.
func (m Message) SetE2(epoch uint64) { le.PutUint64(m[24:32], epoch) }

// Era is the key era of the token or pass.
func (m Message) Era() uint32 { return le.Uint32(m[32:36]) }

// SetEra sets the key era.
func (m Message) SetEra(era uint32) { le.PutUint32(m[32:36], era) }

// Generation is the shard generation of the token or pass.
func (m Message) Generation() uint32 { return le.Uint32(m[36:40]) }

// SetGeneration sets the shard generation.
func (m Message) SetGeneration(generation uint32) { le.PutUint32(m[36:40], generation) }

// MAC is a view of the MAC of the token or pass, 16 bytes; zero for none.
func (m Message) MAC() []byte { return m[40:56:56] }

// Body is a view of the body, B bytes.
func (m Message) Body() []byte { return m[MessageHeader:] }

// Clear zeroes the whole cell: a dummy.
func (m Message) Clear() { clear(m) }

// PutMACInput writes the 48-byte MAC input that the cell claims for a token
// or pass of the given kind and channel, used by sender, into dst. The sender
// is the server's knowledge, never the cell's. dst has at least 48 bytes.
func (m Message) PutMACInput(dst []byte, kind, channel uint8, sender uint32) {
	PutMACInput(dst, kind, channel, m.Slot(), sender, m.Recipient(),
		m.Ceiling(), m.Era(), m.Generation(), m.E1(), m.E2())
}
