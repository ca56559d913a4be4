// Package storage is the machine of a storage server, which owns a shard of
// mailboxes: it places the records of an epoch into them, exactly one in every
// cell, real or dummy, and answers its clients' requests for tokens and passes.
//
// Public: all sizes of geometry.Attempt, who sent a control cell. Secret:
// everything inside records and control cells, which cells hold messages, what
// was issued. The machine does no I/O, has no clock and draws no randomness.
package storage

import (
	"encoding/binary"
	"errors"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/kernel"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/token"
)

// ErrFrame reports a frame that does not fit the attempt's public sizes.
var ErrFrame = errors.New("storage: frame does not fit its link")

// Role is one storage server's part of one attempt after the other.
type Role struct {
	g       *geometry.Geometry
	index   int // role index d
	workers *oblivious.Workers
	memory  record.Memory
	issuer  *token.Issuer
	attempt *geometry.Attempt

	table record.Table
	ready bool // the table has the attempt's size
	from  record.Receiver
	want  []uint32
	kept  []byte
}

// New returns the machine of the storage server with role index d.
func New(g *geometry.Geometry, d int, mac token.MAC, era uint32, w *oblivious.Workers, memory record.Memory) *Role {
	issuer := token.NewIssuer(token.RulesOf(g.Params()), token.Key{Era: era, MAC: mac}, w)
	return &Role{g: g, index: d, workers: w, memory: memory, issuer: issuer}
}

// Free gives the machine's arrays back; it is not used afterwards.
func (m *Role) Free() { m.table.Free(m.memory) }

// Begin waits for what the routers will send.
func (m *Role) Begin(at *geometry.Attempt) {
	m.attempt = at
	m.from.Reset(len(m.g.Routers()), func(r int) (int, int) {
		return at.StoreOffset(r, m.index), at.Section(r, m.index)
	})
	m.ready = false
}

// room makes room for records, when the first of them come: by then tables of
// this server's other roles may be free, and serve again.
func (m *Role) room() {
	if !m.ready {
		m.table = m.table.Resize(m.memory, m.attempt.Places(m.index), m.g.Stride())
		m.ready = true
	}
}

// Section takes rows [first, first+rows) of router r's section.
func (m *Role) Section(r int, first, rows uint32, heads, bodies []byte) error {
	m.room()
	if !m.table.Fits(rows, heads, bodies) {
		return ErrFrame
	}
	at, fresh, ok := m.from.Take(r, first, rows)
	if !ok {
		return ErrFrame
	}
	if fresh {
		return m.table.Put(m.workers, at, int(rows), heads, bodies)
	}
	return nil
}

// Complete reports whether all sections have come, so that Place can run.
func (m *Role) Complete() bool { return m.from.Complete() }

// Place puts every record into the cell that it asks for, and returns the
// mailboxes: geometry's Cells rows, cell j of the client with local index u at
// u*Ins + j. Of several records for one cell the first counts; what asks for no
// cell, or for one that does not exist, and what fills up is a dummy, whose body
// and sender may be another message's: PutCells shows neither. The table belongs
// to the caller from then on.
//
// Oblivious in heads and bodies. Costs two sorts of the heads and one placement
// of the bodies.
func (m *Role) Place() record.Table {
	m.room()
	n, cells := m.attempt.Places(m.index), m.attempt.Cells(m.index)
	m.table.Clear(m.attempt.StoreRows(m.index), n)
	m.want, m.kept = record.Grow(m.want, n), record.Grow(m.kept, n)
	record.Each(m.workers, n, func(from, to int) {
		for k := from; k < to; k++ {
			h := m.table.Header(k)
			m.want[k] = choice.Select32(choice.FromBit(uint64(h.Real&1)), h.Cell, record.None)
		}
	})
	m.workers.Destinations(m.want, cells, m.kept)
	m.table.Keep(m.workers, m.kept)
	m.workers.Place(m.want, m.table.Headers, m.table.Bodies)
	boxes := m.table.Slice(0, cells)
	m.table = record.Table{}
	return boxes
}

// Answer answers the requests of control cells: that of clients[i] (public)
// begins at i*stride of controls. The answers lie one behind the other in answers,
// Requests for each client. Watermarks move in slots, which is a copy that the
// epoch may drop.
func (m *Role) Answer(epoch uint64, dir *token.Directory, slots *token.Slots, clients []uint32, stride int, controls, answers []byte) error {
	g := m.g
	return m.issuer.Issue(epoch, dir, slots,
		token.Requests{
			Data: controls, First: g.ControlRequest(0), Control: stride, PerClient: g.Requests(), Clients: clients,
		},
		token.Answers{Data: answers, First: 0, Delivery: g.Requests() * cell.AnswerBytes})
}

// PutCells writes the mailbox of local index u into a delivery's cells, which are
// zero. Of a dummy nothing is copied. Oblivious in heads and bodies.
func PutCells(g *geometry.Geometry, boxes record.Table, u int, delivery cell.Delivery) {
	size := g.DeliveryCellBytes()
	body := size - geometry.DeliveryCellHeadBytes
	for j := range g.Ins() {
		k := u*g.Ins() + j
		h := boxes.Header(k)
		real := choice.FromBit(uint64(h.Real & 1))
		c := delivery.Cell(g.DeliveryCell(j), size)
		c.SetKind(byte(h.Real & 1))
		c.SetSender(choice.Select32(real, h.Sender, 0))
		kernel.CondCopy(real, c.Body()[:body], boxes.Bodies.Row(k)[:body])
	}
}

// Acknowledged reads what a control cell acknowledges, as a mask under which
// epoch counts: its head must be that of the epoch, which head gives, or zero if
// the epoch is not kept. Oblivious in the control cell: every kept epoch is
// compared.
func Acknowledged(control cell.Control, epochs []uint64, heads [][32]byte) uint64 {
	acked := uint64(0)
	for i, e := range epochs {
		same := choice.Eq(control.AckEpoch(), e)
		for w := 0; w < 32; w += 8 {
			same &= choice.Eq(binary.LittleEndian.Uint64(control.AckHead()[w:]), binary.LittleEndian.Uint64(heads[i][w:]))
		}
		acked = choice.Select(same, e, acked)
	}
	return acked
}
