package cell

// Delivery is a view of the plaintext of one delivery: a header of 96 bytes,
// the mailbox's cells (contacts, strangers, token slots) and the answers. It
// says as well that the epoch after its own takes control cells.
//
//	epoch u64 | attempt u16 | flags u16 | dropped u32 | head 32 |
//	ackedThrough u64 | headMAC 16 | 0 * 24 | cells | answers
//
// All methods are oblivious in the content.
type Delivery []byte

// Epoch is the epoch that the delivery is of.
func (d Delivery) Epoch() uint64 { return le.Uint64(d[0:8]) }

// SetEpoch sets the epoch.
func (d Delivery) SetEpoch(epoch uint64) { le.PutUint64(d[0:8], epoch) }

// Attempt is the attempt that was committed.
func (d Delivery) Attempt() uint16 { return le.Uint16(d[8:10]) }

// SetAttempt sets the attempt.
func (d Delivery) SetAttempt(attempt uint16) { le.PutUint16(d[8:10], attempt) }

// Flags has FlagVoid.
func (d Delivery) Flags() uint16 { return le.Uint16(d[10:12]) }

// SetFlags sets the flags.
func (d Delivery) SetFlags(flags uint16) { le.PutUint16(d[10:12], flags) }

// Dropped is how many cells a full mailbox lost; 0 in this version.
func (d Delivery) Dropped() uint32 { return le.Uint32(d[12:16]) }

// SetDropped sets the count of lost cells.
func (d Delivery) SetDropped(n uint32) { le.PutUint32(d[12:16], n) }

// Head is a view of the epoch's head, 32 bytes.
func (d Delivery) Head() []byte { return d[16:48:48] }

// AckedThrough is the epoch up to which the server has the client's
// acknowledgement.
func (d Delivery) AckedThrough() uint64 { return le.Uint64(d[48:56]) }

// SetAckedThrough sets the acknowledged epoch.
func (d Delivery) SetAckedThrough(epoch uint64) { le.PutUint64(d[48:56], epoch) }

// HeadMAC is a view of the MAC over (Epoch, Head), 16 bytes.
func (d Delivery) HeadMAC() []byte { return d[56:72:72] }

// Open is the epoch that takes control cells since the delivery's own is final.
func (d Delivery) Open() uint64 { return d.Epoch() + 1 }

// Cell is a view of the mailbox cell of size bytes at offset; both from
// geometry (DeliveryCell(i); size is 16 + B).
func (d Delivery) Cell(offset, size int) Mailbox {
	return Mailbox(d[offset : offset+size : offset+size])
}

// Answer is a view of the answer of 64 bytes at offset, from geometry
// (DeliveryAnswer(i)).
func (d Delivery) Answer(offset int) Answer {
	return Answer(d[offset : offset+AnswerBytes : offset+AnswerBytes])
}

// Clear zeroes the whole delivery: every cell a dummy, no answers.
func (d Delivery) Clear() { clear(d) }

// Mailbox is a view of one cell of a mailbox, 16 bytes and the body.
//
//	kind u8 | 0 * 3 | sender u32 | 0 u64 | body
//
// All methods are oblivious in the content.
type Mailbox []byte

// Kind is Dummy or Real.
func (m Mailbox) Kind() uint8 { return m[0] }

// SetKind sets the kind.
func (m Mailbox) SetKind(kind uint8) { m[0] = kind }

// Sender is the client ID of the sender, set by the ingestion server.
func (m Mailbox) Sender() uint32 { return le.Uint32(m[4:8]) }

// SetSender sets the sender.
func (m Mailbox) SetSender(id uint32) { le.PutUint32(m[4:8], id) }

// Body is a view of the body, B bytes.
func (m Mailbox) Body() []byte { return m[MailboxHeader:] }

// Clear zeroes the whole cell: a dummy.
func (m Mailbox) Clear() { clear(m) }

// Answer is a view of one answer to a request, 64 bytes. What is issued is
// valid for the recipient that asked; its ID stands in the MAC input only.
//
//	status u8 | kind u8 | slot u16 | sender u32 | ceiling u32 | era u32 |
//	e1 u64 | e2 u64 | generation u32 | 0 u32 | mac 16 | 0 u64
//
// All methods are oblivious in the content.
type Answer []byte

// Status is one of the Answer statuses.
func (a Answer) Status() uint8 { return a[0] }

// SetStatus sets the status.
func (a Answer) SetStatus(status uint8) { a[0] = status }

// Kind is KindNone, KindToken or KindPass.
func (a Answer) Kind() uint8 { return a[1] }

// SetKind sets the kind.
func (a Answer) SetKind(kind uint8) { a[1] = kind }

// Slot is the slot given to the sender.
func (a Answer) Slot() uint16 { return le.Uint16(a[2:4]) }

// SetSlot sets the slot.
func (a Answer) SetSlot(slot uint16) { le.PutUint16(a[2:4], slot) }

// Sender is the client ID of who may send.
func (a Answer) Sender() uint32 { return le.Uint32(a[4:8]) }

// SetSender sets who may send.
func (a Answer) SetSender(id uint32) { le.PutUint32(a[4:8], id) }

// Ceiling is the highest priority that a pass admits.
func (a Answer) Ceiling() uint32 { return le.Uint32(a[8:12]) }

// SetCeiling sets the highest priority.
func (a Answer) SetCeiling(ceiling uint32) { le.PutUint32(a[8:12], ceiling) }

// Era is the key era of the MAC.
func (a Answer) Era() uint32 { return le.Uint32(a[12:16]) }

// SetEra sets the key era.
func (a Answer) SetEra(era uint32) { le.PutUint32(a[12:16], era) }

// E1 is the first epoch.
func (a Answer) E1() uint64 { return le.Uint64(a[16:24]) }

// SetE1 sets the first epoch.
func (a Answer) SetE1(epoch uint64) { le.PutUint64(a[16:24], epoch) }

// E2 is the end, exclusive.
func (a Answer) E2() uint64 { return le.Uint64(a[24:32]) }

// SetE2 sets the end.
func (a Answer) SetE2(epoch uint64) { le.PutUint64(a[24:32], epoch) }

// Generation is the shard generation.
func (a Answer) Generation() uint32 { return le.Uint32(a[32:36]) }

// SetGeneration sets the shard generation.
func (a Answer) SetGeneration(generation uint32) { le.PutUint32(a[32:36], generation) }

// MAC is a view of the MAC, 16 bytes; zero if nothing was issued.
func (a Answer) MAC() []byte { return a[40:56:56] }

// Clear zeroes the answer: none.
func (a Answer) Clear() { clear(a) }

// PutMACInput writes the 48-byte MAC input of what the answer grants to its
// sender for recipient on channel into dst, which has at least 48 bytes.
func (a Answer) PutMACInput(dst []byte, channel uint8, recipient uint32) {
	PutMACInput(dst, a.Kind(), channel, a.Slot(), a.Sender(), recipient,
		a.Ceiling(), a.Era(), a.Generation(), a.E1(), a.E2())
}

// AnswerText says in words what a status of an answer means. Client side only.
func AnswerText(status uint8) string {
	switch status {
	case AnswerNone:
		return "nothing was asked for"
	case AnswerIssued:
		return "issued"
	case AnswerWindow:
		return "refused: the epochs asked for are outside what the cluster allows"
	case AnswerOverlap:
		return "refused: the slot is already given away in those epochs"
	case AnswerBadRequest:
		return "refused: there is no such slot or kind, or the cluster has no use for it"
	}
	return "unknown status"
}
