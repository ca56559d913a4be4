// Package routing is the machine of a routing server, which stands between
// ingestion and storage so that nobody learns which ingestion server's records
// go to which storage server.
//
// On the ID channel it first receives headers: all headers of one recipient
// meet at one router, which ranks them and returns the ranks in the order in
// which the headers came. Then it receives records, dealt to it by position,
// and sends every storage server a section of exactly the public size that
// geometry gives, real records first come, dummies for the rest.
//
// Public: all sizes of geometry.Attempt. Secret: everything inside headers and
// records, how many are real and where they go. The machine does no I/O, has no
// clock and draws no randomness.
package routing

import (
	"errors"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/idchannel"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/record"
)

// ErrFrame reports a frame that does not fit the attempt's public sizes.
var ErrFrame = errors.New("routing: frame does not fit its link")

// Role is one routing server's part of one attempt after the other.
type Role struct {
	g       *geometry.Geometry
	index   int // role index r
	workers *oblivious.Workers
	memory  record.Memory
	decider *idchannel.Ranker
	attempt *geometry.Attempt

	headers     []byte // rows of idchannel.RowBytes, ingestion server by ingestion server
	headersFrom record.Receiver
	ranks       []byte

	table     record.Table
	ready     bool // the table has the attempt's size
	tableFrom record.Receiver
	labels    []uint32
	kept      []byte
}

// New returns the machine of the routing server with role index r.
func New(g *geometry.Geometry, r int, w *oblivious.Workers, memory record.Memory) *Role {
	return &Role{g: g, index: r, workers: w, memory: memory, decider: idchannel.NewRanker(w)}
}

// Free gives the machine's arrays back; it is not used afterwards.
func (m *Role) Free() { m.table.Free(m.memory) }

// Begin waits for what the ingestion servers will send.
func (m *Role) Begin(at *geometry.Attempt) {
	m.attempt = at
	ingestions := len(m.g.Ingestions())
	m.headersFrom.Reset(ingestions, func(i int) (int, int) {
		return at.HeaderOffset(i, m.index), at.HeaderLink(i, m.index)
	})
	m.headers = m.decider.Begin(at.RouterHeaders(m.index))
	m.ranks = nil
	m.tableFrom.Reset(ingestions, func(i int) (int, int) {
		return at.RouterOffset(i, m.index), at.DealRows(i, m.index)
	})
	m.ready = false
}

// room makes room for records, when the first of them come: by then the tables
// that were dealt from may be free, and serve again.
func (m *Role) room() {
	if !m.ready {
		m.table = m.table.Resize(m.memory, m.attempt.RouterWork(m.index), m.g.Stride())
		m.ready = true
	}
}

// Headers takes rows [first, first+rows) of ingestion server i's headers.
func (m *Role) Headers(i int, first, rows uint32, payload []byte) error {
	if len(payload) != int(rows)*idchannel.RowBytes {
		return ErrFrame
	}
	at, fresh, ok := m.headersFrom.Take(i, first, rows)
	if !ok {
		return ErrFrame
	}
	if fresh {
		copy(m.headers[at*idchannel.RowBytes:], payload)
	}
	return nil
}

// HeadersComplete reports whether all headers have come, so that Rank can run.
func (m *Role) HeadersComplete() bool { return m.headersFrom.Complete() }

// Rank ranks the headers.
func (m *Role) Rank() {
	p := m.g.Params()
	m.ranks = m.decider.Rank(idchannel.Classes{Contact: uint32(p.ID.Contact), Stranger: uint32(p.ID.Stranger)})
}

// Ranks is the answer to ingestion server i: a rank for each header that it
// sent, in that order.
func (m *Role) Ranks(i int) []byte {
	at := m.attempt.HeaderOffset(i, m.index)
	return m.ranks[at*idchannel.RankBytes : (at+m.attempt.HeaderLink(i, m.index))*idchannel.RankBytes]
}

// Deal takes rows [first, first+rows) of what ingestion server i deals.
func (m *Role) Deal(i int, first, rows uint32, heads, bodies []byte) error {
	m.room()
	if !m.table.Fits(rows, heads, bodies) {
		return ErrFrame
	}
	at, fresh, ok := m.tableFrom.Take(i, first, rows)
	if !ok {
		return ErrFrame
	}
	if fresh {
		return m.table.Put(m.workers, at, int(rows), heads, bodies)
	}
	return nil
}

// Complete reports whether all records have come, so that Route can run.
func (m *Role) Complete() bool { return m.tableFrom.Complete() }

// Route makes the sections: it truncates what would pass a section's bound
// (which honest ingestion servers never reach), fills the rest with dummies,
// and splits. Oblivious in all heads and bodies; costs one pass over the heads
// that touches every counter and one exact-size split of the bodies.
func (m *Role) Route() {
	m.room()
	n, work := m.attempt.RouterRows(m.index), m.attempt.RouterWork(m.index)
	m.table.Clear(n, work)
	m.labels, m.kept = record.Grow(m.labels, work), record.Grow(m.kept, work)
	none := uint32(len(m.g.Storages()))
	record.Each(m.workers, work, func(from, to int) {
		for k := from; k < to; k++ {
			h := m.table.Header(k)
			m.labels[k] = choice.Select32(choice.FromBit(uint64(h.Real&1)), h.Label, none)
		}
	})
	sizes := m.attempt.Sections(m.index)
	m.workers.Exact(m.labels, sizes, m.kept)
	m.table.Keep(m.workers, m.kept)
	discarded := work - m.attempt.SectionRows(m.index)
	m.workers.Split(m.labels, append(sizes, discarded), m.table.Headers, m.table.Bodies)
}

// Release hands the table over, of which sections are views, once every Section
// was taken: it belongs to the caller, and the next attempt gets another.
func (m *Role) Release() record.Table {
	t := m.table
	m.table = record.Table{}
	return t
}

// Section is what goes to storage server d: exactly geometry's Section rows.
func (m *Role) Section(d int) record.Table {
	at := m.attempt.SectionOffset(m.index, d)
	return m.table.Slice(at, at+m.attempt.Section(m.index, d))
}
