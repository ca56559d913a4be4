package geometry

// Sizes of the fixed parts of cells and rows, in bytes. The layouts are in
// docs/protocol.md, section 1; all sizes are of plaintexts.
const (
	HeadBytes         = 16 // a row's head: label, cell, sender, real
	HeaderBytes       = 24 // an ID-channel header on a link
	RankBytes         = 4  // the answer to a header
	AnnouncementBytes = 64
	TagBytes          = 16 // what sealing adds

	SubmissionHeadBytes   = 64
	MessageHeadBytes      = 64
	ControlHeadBytes      = 64
	RequestBytes          = 32 // one token or pass request in a control cell
	ResultHeadBytes       = 80
	DeliveryHeadBytes     = 96
	DeliveryCellHeadBytes = 16
	AnswerBytes           = 64 // the answer to a request, in a delivery

	bodyAlign = 64
)

// Sealed returns the length of n plaintext bytes once sealed.
func Sealed(n int) int { return n + TagBytes }

// Outs returns k_out_id + k_out_token, the message cells of a submission.
func (g *Geometry) Outs() int { return g.p.ID.Out + g.p.Token.Out }

// IDIns returns k_id = k_contact + k_stranger (0 if the channel is disabled).
func (g *Geometry) IDIns() int { return g.p.ID.Contact + g.p.ID.Stranger }

// Ins returns k = k_contact + k_stranger + k_token, the cells of a mailbox.
// They lie in that order: see StrangerCell and TokenCell.
func (g *Geometry) Ins() int { return g.IDIns() + g.p.Token.In }

// StrangerCell returns the first stranger's cell of a mailbox, k_contact;
// contacts start at 0.
func (g *Geometry) StrangerCell() int { return g.p.ID.Contact }

// TokenCell returns the cell of token slot 0 of a mailbox, k_id.
func (g *Geometry) TokenCell() int { return g.IDIns() }

// Requests returns k_token + k_contact, the requests in a control cell and the
// answers in a delivery, with open priorities too.
func (g *Geometry) Requests() int { return g.p.Token.In + g.p.ID.Contact }

// Stride returns the bytes of a body in memory and on links: B rounded up to 64.
func (g *Geometry) Stride() int { return roundUp(g.p.CellBytes, bodyAlign) }

// RowBytes returns the bytes of a record on a link: head and body.
func (g *Geometry) RowBytes() int { return HeadBytes + g.Stride() }

// MessageBytes returns the bytes of a message cell in a submission, 64 + B.
func (g *Geometry) MessageBytes() int { return MessageHeadBytes + g.p.CellBytes }

// SubmissionBytes returns 64 + (k_out_id + k_out_token) * MessageBytes.
func (g *Geometry) SubmissionBytes() int { return g.SubmissionCell(g.Outs()) }

// SubmissionCell returns the offset of message cell i in a submission: first the
// k_out_id cells of the ID channel, then those of the token channel.
func (g *Geometry) SubmissionCell(i int) int { return SubmissionHeadBytes + i*g.MessageBytes() }

// ControlBytes returns 64 + Requests * 32.
func (g *Geometry) ControlBytes() int { return g.ControlRequest(g.Requests()) }

// ControlRequest returns the offset of request i in a control cell.
func (g *Geometry) ControlRequest(i int) int { return ControlHeadBytes + i*RequestBytes }

// ResultBytes returns 80 + Outs rounded up to 16.
func (g *Geometry) ResultBytes() int { return ResultHeadBytes + roundUp(g.Outs(), 16) }

// ResultStatus returns the offset of the status byte of message cell i.
func (g *Geometry) ResultStatus(i int) int { return ResultHeadBytes + i }

// DeliveryCellBytes returns the bytes of one mailbox cell in a delivery, 16 + B.
func (g *Geometry) DeliveryCellBytes() int { return DeliveryCellHeadBytes + g.p.CellBytes }

// DeliveryBytes returns 96 + Ins * (16 + B) + Requests * 64.
func (g *Geometry) DeliveryBytes() int { return g.DeliveryAnswer(g.Requests()) }

// JointSubmissionBytes returns the bytes of a submission and, right behind it, a
// control cell: what a client sends whose ingestion and storage server are one.
func (g *Geometry) JointSubmissionBytes() int { return g.SubmissionBytes() + g.ControlBytes() }

// JointDeliveryBytes returns the bytes of a result and, right behind it, a
// delivery: what such a client gets.
func (g *Geometry) JointDeliveryBytes() int { return g.ResultBytes() + g.DeliveryBytes() }

// DeliveryCell returns the offset of mailbox cell i in a delivery.
func (g *Geometry) DeliveryCell(i int) int { return DeliveryHeadBytes + i*g.DeliveryCellBytes() }

// DeliveryAnswer returns the offset of the answer to request i in a delivery.
func (g *Geometry) DeliveryAnswer(i int) int { return g.DeliveryCell(g.Ins()) + i*AnswerBytes }

func roundUp(n, to int) int { return (n + to - 1) / to * to }
