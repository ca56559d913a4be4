package cell

// Control is a view of the plaintext of one control cell: a header of 64 bytes
// and the requests.
//
//	ackEpoch u64 | ackHead 32 | 0 * 24 | requests
//
// All methods are oblivious in the content.
type Control []byte

// AckEpoch is the epoch up to and including which deliveries are acknowledged.
func (c Control) AckEpoch() uint64 { return le.Uint64(c[0:8]) }

// SetAckEpoch sets the acknowledged epoch.
func (c Control) SetAckEpoch(epoch uint64) { le.PutUint64(c[0:8], epoch) }

// AckHead is a view of the head of AckEpoch, 32 bytes; the acknowledgement
// counts only if it is that epoch's head.
func (c Control) AckHead() []byte { return c[8:40:40] }

// Request is a view of the request of 32 bytes at offset, from geometry
// (ControlRequest(i)).
func (c Control) Request(offset int) Request {
	return Request(c[offset : offset+RequestBytes : offset+RequestBytes])
}

// Clear zeroes the whole control cell: no acknowledgement, no request.
func (c Control) Clear() { clear(c) }

// Request is a view of one request for a token or a pass, 32 bytes.
//
//	kind u8 | 0 u8 | slot u16 | sender u32 | ceiling u32 | 0 u32 | e1 u64 | e2 u64
//
// All methods are oblivious in the content.
type Request []byte

// Kind is KindNone, KindToken or KindPass.
func (r Request) Kind() uint8 { return r[0] }

// SetKind sets the kind.
func (r Request) SetKind(kind uint8) { r[0] = kind }

// Slot is the slot that is given to the sender.
func (r Request) Slot() uint16 { return le.Uint16(r[2:4]) }

// SetSlot sets the slot.
func (r Request) SetSlot(slot uint16) { le.PutUint16(r[2:4], slot) }

// Sender is the client ID of who may send.
func (r Request) Sender() uint32 { return le.Uint32(r[4:8]) }

// SetSender sets who may send.
func (r Request) SetSender(id uint32) { le.PutUint32(r[4:8], id) }

// Ceiling is the highest priority that a pass admits; 0 for a token.
func (r Request) Ceiling() uint32 { return le.Uint32(r[8:12]) }

// SetCeiling sets the highest priority.
func (r Request) SetCeiling(ceiling uint32) { le.PutUint32(r[8:12], ceiling) }

// E1 is the first epoch asked for.
func (r Request) E1() uint64 { return le.Uint64(r[16:24]) }

// SetE1 sets the first epoch.
func (r Request) SetE1(epoch uint64) { le.PutUint64(r[16:24], epoch) }

// E2 is the end asked for, exclusive.
func (r Request) E2() uint64 { return le.Uint64(r[24:32]) }

// SetE2 sets the end.
func (r Request) SetE2(epoch uint64) { le.PutUint64(r[24:32], epoch) }

// Clear zeroes the request: none.
func (r Request) Clear() { clear(r) }
