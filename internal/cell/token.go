package cell

// PutMACInput writes the 48-byte MAC input of a token or pass into dst, which
// has at least 48 bytes:
//
//	kind u8 | channel u8 | slot u16 | sender u32 | recipient u32 | ceiling u32 |
//	era u32 | generation u32 | e1 u64 | e2 u64 | 0 u64
//
// Oblivious in all arguments; they may be secret.
func PutMACInput(dst []byte, kind, channel uint8, slot uint16,
	sender, recipient, ceiling, era, generation uint32, e1, e2 uint64) {
	dst = dst[:MACInputBytes]
	dst[0] = kind
	dst[1] = channel
	le.PutUint16(dst[2:4], slot)
	le.PutUint32(dst[4:8], sender)
	le.PutUint32(dst[8:12], recipient)
	le.PutUint32(dst[12:16], ceiling)
	le.PutUint32(dst[16:20], era)
	le.PutUint32(dst[20:24], generation)
	le.PutUint64(dst[24:32], e1)
	le.PutUint64(dst[32:40], e2)
	le.PutUint64(dst[40:48], 0)
}

// Token says that Sender may send to Recipient: as a token, into Recipient's
// slot Slot of the token channel; as a pass, on the ID channel among the
// contacts with a priority up to Ceiling; in the epochs [E1, E2).
// The recipient hands it to the sender; it is of no use to anyone else.
type Token struct {
	Kind       uint8 // KindToken or KindPass
	Channel    uint8 // ChannelToken or ChannelID
	Slot       uint16
	Sender     uint32
	Recipient  uint32
	Ceiling    uint32
	Era        uint32
	Generation uint32
	E1, E2     uint64
	MAC        [MACBytes]byte
}

// PutMACInput writes the token's 48-byte MAC input into dst.
func (t *Token) PutMACInput(dst []byte) {
	PutMACInput(dst, t.Kind, t.Channel, t.Slot, t.Sender, t.Recipient,
		t.Ceiling, t.Era, t.Generation, t.E1, t.E2)
}

// SetToken writes what a sender shows of a token or pass into a message cell:
// all fields but kind, priority and body.
func (m Message) SetToken(t *Token) {
	m.SetSlot(t.Slot)
	m.SetRecipient(t.Recipient)
	m.SetCeiling(t.Ceiling)
	m.SetE1(t.E1)
	m.SetE2(t.E2)
	m.SetEra(t.Era)
	m.SetGeneration(t.Generation)
	copy(m.MAC(), t.MAC[:])
}

// Token is the token or pass that an issued answer grants, for the recipient
// that asked. ok is false if the answer issued nothing. Client side only.
func (a Answer) Token(recipient uint32) (t Token, ok bool) {
	t = Token{
		Kind: a.Kind(), Channel: ChannelOf(a.Kind()), Slot: a.Slot(),
		Sender: a.Sender(), Recipient: recipient, Ceiling: a.Ceiling(),
		Era: a.Era(), Generation: a.Generation(), E1: a.E1(), E2: a.E2(),
	}
	copy(t.MAC[:], a.MAC())
	return t, a.Status() == AnswerIssued && t.check() == nil
}

// ChannelOf is the channel that a kind of token is for: KindToken the token
// channel, KindPass the ID channel. Arithmetic only: the kind may be secret;
// of any other kind the result means nothing.
func ChannelOf(kind uint8) uint8 { return 3 - kind }
