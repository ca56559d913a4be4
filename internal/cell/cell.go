// Package cell holds the plaintext layouts of what clients and servers send
// each other: the submission, the control cell, the result, the delivery, the
// announcement, and the nonces and associated data they are sealed with.
// docs/protocol.md, section 1, is the contract; the tests compare with it.
//
// Every layout is a view: a named byte slice with getters and setters at fixed
// offsets. Servers read and write these inside the TEE, where the content is
// secret. So no getter or setter allocates, branches on content, or indexes by
// content; the only branches are Go's bounds checks, on lengths, which are
// public. Where a function is not of that kind (text forms, checks of what a
// client holds itself), its comment says "client side only".
//
// The offsets of repeated parts and all total sizes come from package
// geometry; a view of a part takes them as arguments and multiplies nothing.
//
// Integers are little-endian. Reserved fields are written as zero by Clear and
// by the fillers, and ignored by the getters: a plaintext is authenticated, so
// only its author could have set them, and refusing would be a branch.
package cell

// Version is the version of the protocol in associated data and preambles.
const Version = 1

// Types of sealed cells, used in nonces, associated data and frames. Public.
const (
	TypeSubmission   uint16 = 1
	TypeControl      uint16 = 2
	TypeResult       uint16 = 3
	TypeDelivery     uint16 = 4
	TypeAnnouncement uint16 = 5
	// Of a client whose ingestion and storage server are one, in one cell each:
	TypeJointSubmission uint16 = 6 // a submission, then a control cell
	TypeJointDelivery   uint16 = 7 // a result, then a delivery
)

// Directions of a session. Public.
const (
	Up   uint8 = 0 // client to server
	Down uint8 = 1 // server to client
)

// Roles of a server towards a client, a bit each. Public.
const (
	RoleIngestion uint8 = 1
	RoleStorage   uint8 = 2
	RoleJoint           = RoleIngestion | RoleStorage
)

// Kinds of message cells and mailbox cells. Secret.
const (
	Dummy uint8 = 0
	Real  uint8 = 1
)

// Kinds of requests, answers and MAC inputs. Secret.
const (
	KindNone  uint8 = 0
	KindToken uint8 = 1
	KindPass  uint8 = 2
)

// Channels, as they stand in a MAC input. A pass is for the ID channel, a
// token for the token channel.
const (
	ChannelID    uint8 = 1
	ChannelToken uint8 = 2
)

// Statuses of a message cell in a result. Secret.
const (
	StatusDummy       uint8 = 0 // a dummy was sent
	StatusTaken       uint8 = 1 // the message goes into the epoch
	StatusNoRecipient uint8 = 2 // no such recipient
	StatusBadToken    uint8 = 3 // the MAC of the token or pass does not fit
	StatusWindow      uint8 = 4 // the token is not valid in this epoch
	StatusRepeated    uint8 = 5 // a second use of one (recipient, slot)
	StatusNothing     uint8 = 6 // nothing was submitted
)

// Statuses of an answer in a delivery. Secret.
const (
	AnswerNone       uint8 = 0 // there was no request
	AnswerIssued     uint8 = 1 // the MAC is valid
	AnswerWindow     uint8 = 2 // refused: e1 and e2 break the limits
	AnswerOverlap    uint8 = 3 // refused: the slot is given away at e1
	AnswerBadRequest uint8 = 4 // refused: no such slot or kind, or a kind without use in this cluster
)

// Flags of a result and of a delivery. Public: they follow from the roster and
// from the epoch's outcome.
const (
	FlagVoid     uint16 = 1 // the epoch was decided to be empty
	FlagAccepted uint16 = 2 // result only: a submission was accepted
)

// Sizes of the fixed parts, in bytes. Package geometry computes the totals.
const (
	SubmissionHeader  = 64 // of a Submission, before its message cells
	MessageHeader     = 64 // of a Message, before its body
	ControlHeader     = 64 // of a Control, before its requests
	RequestBytes      = 32
	ResultHeader      = 80 // of a Result, before its statuses
	DeliveryHeader    = 96 // of a Delivery, before its mailbox cells
	MailboxHeader     = 16 // of a Mailbox cell, before its body
	AnswerBytes       = 64
	AnnouncementBytes = 64
	MACBytes          = 16
	MACInputBytes     = 48
	NonceBytes        = 12
	ADBytes           = 60
	HeadBytes         = 32
	TagBytes          = 16 // of ChaCha20-Poly1305, behind every sealed plaintext
)
