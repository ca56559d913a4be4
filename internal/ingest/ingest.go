// Package ingest is the machine of an ingestion server: it turns the opened
// submissions of an epoch into records, and deals them to the routing servers.
//
// A record's way: the cell's head is judged (package token), which gives the
// record a recipient or makes it a dummy; on the ID channel the headers of all
// records are contested (package survive), which gives each survivor its cell
// and makes the others dummies; then every record gets the shard and cell of
// its destination, its position in the order by shard, and from that the router
// that it is dealt to. Bodies are copied once, from the submission, and moved
// once, by the split.
//
// Public: which clients are in the roster, which of them submitted, and all
// sizes of geometry.Attempt. Secret: everything inside a cell, and what became
// of it. The machine does no I/O, has no clock and draws no randomness.
package ingest

import (
	"errors"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/survive"
	"github.com/teems-go/teems/internal/token"
)

// Keys is what an ingestion server computes under the cluster's secrets.
type Keys interface {
	token.MAC
	survive.PRF
}

// ErrFrame reports a frame of ranks that does not fit what was asked.
var ErrFrame = errors.New("ingest: ranks do not fit the headers that were sent")

// Submissions is what was opened for an epoch.
type Submissions struct {
	Clients []uint32               // the roster's clients of this server, in order
	Cell    func(index int) []byte // plaintext of a client's submission, or nil if it missed the deadline (public)
}

// Machine is one ingestion server's part of one attempt after the other.
type Machine struct {
	g       *geometry.Geometry
	index   int // role index i
	nid     int // k_out of the ID channel
	ntok    int // k_out of the token channel
	workers *oblivious.Workers
	memory  record.Memory
	checker *token.Checker
	sender  *survive.Sender

	// Public tables.
	shards    choice.Divider
	wheel     choice.Divider // by the pattern's length
	pattern   []uint32
	storage   []uint32 // v -> d
	base      []uint32 // v -> base_v
	attempt   *geometry.Attempt
	dir       *token.Directory
	clients   []uint32 // the roster's, in order
	waiting   int      // rank rows that have not come
	ranksSeen []map[uint32]bool

	// Columns, one entry per record: client by client, first the cells of the
	// ID channel, then those of the token channel.
	heads  []byte // the heads of message cells, of a block of clients
	table  record.Table
	id     idColumns
	tok    tokenColumns
	labels []uint32
	ranks  []uint32
	cells  []uint32
}

type idColumns struct {
	records survive.Records
	status  []byte
}

type tokenColumns struct {
	real, status    []byte
	recipient, slot []uint32
}

// New returns the machine of the ingestion server with role index i.
func New(g *geometry.Geometry, i int, keys Keys, era uint32, w *oblivious.Workers, memory record.Memory) *Machine {
	p := g.Params()
	pattern := g.Pattern()
	return &Machine{
		g: g, index: i, nid: p.ID.Out, ntok: p.Token.Out, workers: w, memory: memory,
		checker: token.NewChecker(token.RulesOf(p), []token.Key{{Era: era, MAC: keys}}, w),
		sender:  survive.NewSender(w, keys),
		shards:  choice.NewDivider(uint32(g.VirtualShards())),
		wheel:   choice.NewDivider(uint32(len(pattern))),
		pattern: pattern,
		storage: g.StorageTable(),
	}
}

// Free gives the machine's arrays back; it is not used afterwards.
func (m *Machine) Free() { m.table.Free(m.memory) }

// Begin judges the submissions and makes the records. a is the attempt's
// identity. When the ID channel is in use the sections of headers are ready for
// sending afterwards, and the ranks must come before Deal.
func (m *Machine) Begin(at *geometry.Attempt, epoch uint64, a [32]byte, dir *token.Directory, subs Submissions) error {
	m.attempt, m.dir, m.base, m.clients = at, dir, at.BaseTable(), subs.Clients
	clients := len(subs.Clients)
	m.room(clients)
	for from := 0; from < clients; from += blockClients {
		to := min(clients, from+blockClients)
		m.read(subs, from, to)
		if err := m.judge(epoch, from, to); err != nil {
			return err
		}
	}
	return m.contest(epoch, a)
}

// blockClients is how many clients' submissions are read before they are judged:
// their heads stay in a core's cache, and every worker has enough of them.
const blockClients = 4096

// room makes room for the records of so many clients: dummies.
func (m *Machine) room(clients int) {
	n, outs := m.attempt.Records(m.index), m.g.Outs()
	m.table = m.table.Resize(m.memory, n, m.g.Stride())
	if m.g.Params().CellBytes < m.g.Stride() {
		clear(m.table.Bodies.Data)
	}
	m.table.Clear(clients*outs, n)
	m.heads = record.Grow(m.heads, min(clients, blockClients)*outs*cell.MessageHeader)

	n = clients * m.nid
	r := &m.id.records
	r.Recipient, r.Priority, r.Sender = record.Grow(r.Recipient, n), record.Grow(r.Priority, n), record.Grow(r.Sender, n)
	r.Class, r.Real, r.Index, m.id.status = record.Grow(r.Class, n), record.Grow(r.Real, n), record.Grow(r.Index, n), record.Grow(m.id.status, n)
	n = clients * m.ntok
	t := &m.tok
	t.real, t.status, t.recipient, t.slot = record.Grow(t.real, n), record.Grow(t.status, n), record.Grow(t.recipient, n), record.Grow(t.slot, n)
}

// read copies what the submissions of clients [from, to) hold: heads of cells
// into one array, bodies into the table. A client that missed the deadline has
// dummies.
func (m *Machine) read(subs Submissions, from, to int) {
	g, outs := m.g, m.g.Outs()
	body := g.Params().CellBytes
	heads := m.heads
	m.each(to-from, func(a, b int) {
		for i := a; i < b; i++ {
			plain := subs.Cell(from + i)
			for j := range outs {
				head := heads[(i*outs+j)*cell.MessageHeader:][:cell.MessageHeader]
				row := m.table.Bodies.Row((from+i)*outs + j)[:body]
				if plain == nil {
					clear(head)
					clear(row)
					continue
				}
				message := plain[g.SubmissionCell(j):g.SubmissionCell(j+1)]
				copy(head, message)
				copy(row, message[cell.MessageHeader:])
			}
		}
	})
}

// judge lets package token decide which cells of clients [from, to), whose heads
// were read, are real, and of what class.
func (m *Machine) judge(epoch uint64, from, to int) error {
	outs, nid, ntok := m.g.Outs(), m.nid, m.ntok
	clients := m.clients[from:to]
	c := token.Cells{
		Data: m.heads[:len(clients)*outs*cell.MessageHeader], Submission: outs * cell.MessageHeader,
		Cell: cell.MessageHeader, Senders: clients,
	}

	a, b := from*nid, to*nid
	r := &m.id.records
	for i, client := range clients {
		for j := range nid {
			r.Sender[a+i*nid+j], r.Index[a+i*nid+j] = client, uint16(j)
		}
	}
	c.First, c.PerSender = 0, nid
	if err := m.checker.Passes(epoch, m.dir, c, token.Passes{
		Real: r.Real[a:b], Status: m.id.status[a:b], Recipient: r.Recipient[a:b], Class: r.Class[a:b], Priority: r.Priority[a:b],
	}); err != nil {
		return err
	}

	a, b = from*ntok, to*ntok
	t := &m.tok
	c.First, c.PerSender = nid*cell.MessageHeader, ntok
	return m.checker.Tokens(epoch, m.dir, c, token.Tokens{
		Real: t.real[a:b], Status: t.status[a:b], Recipient: t.recipient[a:b], Slot: t.slot[a:b],
	})
}

// contest lays out the headers of the ID channel.
func (m *Machine) contest(epoch uint64, a [32]byte) error {
	m.waiting = 0
	if m.nid == 0 {
		return nil
	}
	if m.ranksSeen == nil {
		m.ranksSeen = make([]map[uint32]bool, len(m.g.Routers()))
		for r := range m.ranksSeen {
			m.ranksSeen[r] = map[uint32]bool{}
		}
	}
	for _, seen := range m.ranksSeen {
		clear(seen)
	}
	p := m.g.Params()
	plan := survive.Plan{
		Classes: survive.Classes{Contact: uint32(p.ID.Contact), Stranger: uint32(p.ID.Stranger)},
		Pattern: m.pattern,
		Links:   m.attempt.HeaderLinks(m.index),
	}
	m.waiting = m.attempt.HeaderRows(m.index)
	return m.sender.Prepare(plan, epoch, a, m.id.records)
}

// Headers is what goes to router r: geometry's HeaderLink rows of 24 bytes.
func (m *Machine) Headers(r int) []byte { return m.sender.Section(r) }

// Ranks takes router r's answer for rows [part, part+rows).
func (m *Machine) Ranks(r int, part, rows uint32, payload []byte) error {
	all := m.attempt.HeaderLink(m.index, r)
	if int64(part)+int64(rows) > int64(all) || len(payload) != int(rows)*survive.RankBytes || rows == 0 {
		return ErrFrame
	}
	if m.ranksSeen[r][part] {
		return nil
	}
	m.ranksSeen[r][part] = true
	copy(m.sender.Ranks(r)[int(part)*survive.RankBytes:], payload)
	m.waiting -= int(rows)
	return nil
}

// Complete reports whether everything has come that Deal needs.
func (m *Machine) Complete() bool { return m.waiting == 0 }

// Deal gives every record its destination and splits the records by router.
func (m *Machine) Deal() error {
	m.cells = record.Grow(m.cells, len(m.id.records.Real))
	if m.nid > 0 {
		if err := m.sender.Cells(m.cells); err != nil {
			return err
		}
	}
	m.address()
	m.split()
	return nil
}

// address writes the head of every record: shard, cell, sender and whether it
// is real. Oblivious in everything but the number of records; every record
// scans the tables of virtual shards.
func (m *Machine) address() {
	nid, ntok, outs := m.nid, m.ntok, m.g.Outs()
	none := uint32(len(m.g.Storages()))
	n := m.attempt.Records(m.index)
	m.labels, m.ranks = record.Grow(m.labels, n), record.Grow(m.ranks, n)
	clients := m.attempt.Ingesting(m.index)
	m.each(clients, func(from, to int) {
		for i := from; i < to; i++ {
			for j := range outs {
				k := i*outs + j
				var recipient, place, sender uint32
				var real choice.Mask
				if j < nid {
					x := i*nid + j
					recipient, sender = m.id.records.Recipient[x], m.id.records.Sender[x]
					place = m.cells[x]
					real = choice.FromBit(uint64(m.id.records.Real[x])) &^ choice.Eq(uint64(place), uint64(survive.Dropped))
				} else {
					x := i*ntok + j - nid
					recipient = m.tok.recipient[x]
					sender = m.clients[i]
					place = uint32(m.g.TokenCell()) + m.tok.slot[x]
					real = choice.FromBit(uint64(m.tok.real[x]))
				}
				u, v := m.shards.DivMod(recipient)
				d := choice.Lookup32(m.storage, v)
				b := choice.Lookup32(m.base, v)
				local := (b+u)*uint32(m.g.Ins()) + place
				m.labels[k] = choice.Select32(real, d, none)
				m.table.SetHead(k, record.Head{
					Label:  m.labels[k],
					Cell:   choice.Select32(real, local, record.None),
					Sender: sender,
					Real:   uint32(real.Bit()),
				})
			}
		}
	})
	for k := clients * outs; k < n; k++ {
		m.labels[k] = none
		m.table.SetHead(k, record.Head{Label: none, Cell: record.None})
	}
}

// split deals each chunk: the record at position p of the order by shard goes
// to router pattern[p mod W]; positions run on across chunks.
func (m *Machine) split() {
	shards := len(m.g.Storages())
	routers := len(m.g.Routers())
	sizes := make([]int, routers)
	for c := range m.attempt.Chunks(m.index) {
		from, to := m.attempt.Chunk(m.index, c)
		labels, ranks := m.labels[from:to], m.ranks[from:to]
		m.workers.RankByLabel(labels, shards, ranks)
		for i, rank := range ranks {
			_, at := m.wheel.DivMod(uint32(from) + rank)
			labels[i] = choice.Lookup32(m.pattern, at)
		}
		for r := range sizes {
			sizes[r] = m.attempt.ChunkSection(m.index, c, r)
		}
		part := m.table.Slice(from, to)
		m.workers.Split(labels, sizes, part.Heads, part.Bodies)
	}
}

// Release hands the table over, of which sections are views, once every Section
// was taken: it belongs to the caller, and the next attempt gets another.
func (m *Machine) Release() record.Table {
	t := m.table
	m.table = record.Table{}
	return t
}

// Section is what chunk c deals to router r, and its first row among all that
// this server deals to that router.
func (m *Machine) Section(c, r int) (rows record.Table, first int) {
	at := m.attempt
	from, _ := at.Chunk(m.index, c)
	from += at.DealOffset(m.index, c, r)
	return m.table.Slice(from, from+at.ChunkSection(m.index, c, r)),
		at.RouterChunkOffset(m.index, c, r) - at.RouterOffset(m.index, r)
}

// Statuses writes what became of the cells of the roster's client at index i:
// one byte a cell, for its sealed result.
func (m *Machine) Statuses(i int, out []byte) {
	copy(out, m.id.status[i*m.nid:(i+1)*m.nid])
	copy(out[m.nid:], m.tok.status[i*m.ntok:(i+1)*m.ntok])
}

// each splits [0, n) between the workers.
func (m *Machine) each(n int, f func(from, to int)) {
	const block = 1024
	parts := (n + block - 1) / block
	m.workers.Each(parts, func(p int) { f(p*block, min(n, (p+1)*block)) })
}
