// Package ingestion is the machine of an ingestion server: it turns the opened
// submissions of an epoch into records, and deals them to the routing servers.
//
// A record's way: the cell's head is judged (package token), which gives the
// record a recipient or makes it a dummy; on the ID channel the headers of all
// records are contested (package idchannel), which gives each survivor its cell
// and makes the others dummies; then every record gets the shard and cell of
// its destination, its position in the order by shard, and from that the router
// that it is dealt to. Bodies are copied once, from the submission, when their
// chunk is split, and moved by that split while they are in a core's cache.
//
// Public: which clients are in the roster, which of them submitted, and all
// sizes of geometry.Attempt. Secret: everything inside a cell, and what became
// of it. The machine does no I/O, has no clock and draws no randomness.
package ingestion

import (
	"errors"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/idchannel"
	"github.com/teems-go/teems/internal/kernel"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/token"
)

// Keys is what an ingestion server computes under the cluster's secrets.
type Keys interface {
	token.MAC
	idchannel.PRF
}

// ErrFrame reports a frame of ranks that does not fit what was asked.
var ErrFrame = errors.New("ingestion: ranks do not fit the headers that were sent")

// Submissions is what was opened for an epoch. It is read until Deal returns.
type Submissions struct {
	Clients []uint32               // the roster's clients of this server, in order
	Cell    func(index int) []byte // plaintext of a client's submission, or nil if it missed the deadline (public)
}

// Role is one ingestion server's part of one attempt after the other.
type Role struct {
	g       *geometry.Geometry
	index   int // role index i
	nid     int // k_out of the ID channel
	ntok    int // k_out of the token channel
	workers *oblivious.Workers
	alone   []*oblivious.Workers // one worker each, for chunks side by side
	memory  record.Memory
	checker *token.Checker
	sender  *idchannel.Sender

	// Public tables.
	shards    choice.Divider
	pattern   []uint32
	storage   []uint32 // v -> d
	base      []uint32 // v -> base_v
	attempt   *geometry.Attempt
	dir       *token.Directory
	subs      Submissions
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
	bases  []uint32 // base_v of the recipient's virtual shard
	cells  []uint32
}

type idColumns struct {
	records idchannel.Records
	status  []byte
}

type tokenColumns struct {
	real, status    []byte
	recipient, slot []uint32
}

// New returns the machine of the ingestion server with role index i.
func New(g *geometry.Geometry, i int, keys Keys, era uint32, w *oblivious.Workers, memory record.Memory) *Role {
	p := g.Params()
	return &Role{
		g: g, index: i, nid: p.ID.Out, ntok: p.Token.Out, workers: w, alone: w.Alone(), memory: memory,
		checker: token.NewChecker(token.RulesOf(p), []token.Key{{Era: era, MAC: keys}}, w),
		sender:  idchannel.NewSender(w, keys),
		shards:  choice.NewDivider(uint32(g.VirtualShards())),
		pattern: g.Pattern(),
		storage: g.StorageTable(),
	}
}

// Free gives the machine's arrays back; it is not used afterwards.
func (m *Role) Free() { m.table.Free(m.memory) }

// Begin judges the submissions and makes the records. a is the attempt's
// identity. When the ID channel is in use the sections of headers are ready for
// sending afterwards, and the ranks must come before Deal.
func (m *Role) Begin(at *geometry.Attempt, epoch uint64, a [32]byte, dir *token.Directory, subs Submissions) error {
	m.attempt, m.dir, m.base, m.subs, m.clients = at, dir, at.BaseTable(), subs, subs.Clients
	clients := len(subs.Clients)
	m.room(clients)
	for from := 0; from < clients; from += blockClients {
		to := min(clients, from+blockClients)
		m.read(from, to)
		if err := m.judge(epoch, from, to); err != nil {
			return err
		}
	}
	return m.contest(epoch, a)
}

// blockClients is how many clients' submissions are read before they are judged:
// their heads stay in a core's cache, and every worker has enough of them.
const blockClients = 4096

// room makes room for what is judged of so many clients' cells.
func (m *Role) room(clients int) {
	m.heads = record.Grow(m.heads, min(clients, blockClients)*m.g.Outs()*cell.MessageHeader)

	n := clients * m.nid
	r := &m.id.records
	r.Recipient, r.Priority, r.Sender = record.Grow(r.Recipient, n), record.Grow(r.Priority, n), record.Grow(r.Sender, n)
	r.Class, r.Real, r.Index, m.id.status = record.Grow(r.Class, n), record.Grow(r.Real, n), record.Grow(r.Index, n), record.Grow(m.id.status, n)
	n = clients * m.ntok
	t := &m.tok
	t.real, t.status, t.recipient, t.slot = record.Grow(t.real, n), record.Grow(t.status, n), record.Grow(t.recipient, n), record.Grow(t.slot, n)
}

// read copies the heads of cells that the submissions of clients [from, to)
// hold. A client that missed the deadline has dummies.
func (m *Role) read(from, to int) {
	g, outs := m.g, m.g.Outs()
	heads := m.heads
	record.Each(m.workers, to-from, func(a, b int) {
		m.nameSenders(from+a, from+b)
		for i := a; i < b; i++ {
			plain := m.subs.Cell(from + i)
			for j := range outs {
				head := heads[(i*outs+j)*cell.MessageHeader:][:cell.MessageHeader]
				if plain == nil {
					clear(head)
					continue
				}
				copy(head, plain[g.SubmissionCell(j):])
			}
		}
	})
}

// judge lets package token decide which cells of clients [from, to), whose heads
// were read, are real, and of what class.
func (m *Role) judge(epoch uint64, from, to int) error {
	outs, nid, ntok := m.g.Outs(), m.nid, m.ntok
	clients := m.clients[from:to]
	c := token.Cells{
		Data: m.heads[:len(clients)*outs*cell.MessageHeader], Submission: outs * cell.MessageHeader,
		Cell: cell.MessageHeader, Senders: clients,
	}

	a, b := from*nid, to*nid
	r := &m.id.records
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

// nameSenders says whose the records of some of the roster's clients are.
func (m *Role) nameSenders(from, to int) {
	r := &m.id.records
	for i := from; i < to; i++ {
		for j := range m.nid {
			r.Sender[i*m.nid+j], r.Index[i*m.nid+j] = m.clients[i], uint16(j)
		}
	}
}

// contest lays out the headers of the ID channel.
func (m *Role) contest(epoch uint64, a [32]byte) error {
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
	plan := idchannel.Plan{
		Classes: idchannel.Classes{Contact: uint32(p.ID.Contact), Stranger: uint32(p.ID.Stranger)},
		Pattern: m.pattern,
		Links:   m.attempt.HeaderLinks(m.index),
	}
	m.waiting = m.attempt.HeaderRows(m.index)
	return m.sender.Prepare(plan, epoch, a, m.id.records)
}

// Headers is what goes to router r: geometry's HeaderLink rows of 24 bytes.
func (m *Role) Headers(r int) []byte { return m.sender.Section(r) }

// Ranks takes router r's answer for rows [part, part+rows).
func (m *Role) Ranks(r int, part, rows uint32, payload []byte) error {
	all := m.attempt.HeaderLink(m.index, r)
	if int64(part)+int64(rows) > int64(all) || len(payload) != int(rows)*idchannel.RankBytes || rows == 0 {
		return ErrFrame
	}
	if m.ranksSeen[r][part] {
		return nil
	}
	m.ranksSeen[r][part] = true
	copy(m.sender.Ranks(r)[int(part)*idchannel.RankBytes:], payload)
	m.waiting -= int(rows)
	return nil
}

// Complete reports whether everything has come that Deal needs.
func (m *Role) Complete() bool { return m.waiting == 0 }

// Deal gives every record its destination and splits the records by router.
func (m *Role) Deal() error {
	m.table = m.table.Resize(m.memory, m.attempt.Records(m.index), m.g.Stride())
	m.cells = record.Grow(m.cells, len(m.id.records.Real))
	if m.nid > 0 {
		if err := m.sender.Cells(m.cells); err != nil {
			return err
		}
	}
	m.address()
	m.split()
	m.subs = Submissions{}
	return nil
}

// address writes the head of every record: shard, cell, sender and whether it
// is real. Oblivious in everything but the number of records; every record
// meets the whole tables of virtual shards.
func (m *Role) address() {
	n, clients := m.attempt.Records(m.index), m.attempt.Ingesting(m.index)
	m.labels, m.bases = record.Grow(m.labels, n), record.Grow(m.bases, n)
	record.Each(m.workers, clients, m.addressClients)
	none := uint32(len(m.g.Storages()))
	for k := clients * m.g.Outs(); k < n; k++ {
		m.labels[k] = none
		m.table.SetHeader(k, record.Header{Label: none, Cell: record.None})
	}
}

// addressClients is address for the records of some of the roster's clients.
func (m *Role) addressClients(from, to int) {
	nid, outs := m.nid, m.g.Outs()
	labels, bases := m.labels[from*outs:to*outs], m.bases[from*outs:to*outs]
	for i := from; i < to; i++ {
		for j := range outs {
			_, labels[(i-from)*outs+j] = m.shards.DivMod(m.recipient(i, j))
		}
	}
	kernel.Lookup(m.base, labels, bases)
	kernel.Lookup(m.storage, labels, labels)

	none, ins, tokenCell := uint32(len(m.g.Storages())), uint32(m.g.Ins()), uint32(m.g.TokenCell())
	for i := from; i < to; i++ {
		for j := range outs {
			var place uint32
			var real choice.Mask
			if j < nid {
				x := i*nid + j
				place = m.cells[x]
				real = choice.FromBit(uint64(m.id.records.Real[x])) &^ choice.Eq(uint64(place), uint64(idchannel.Dropped))
			} else {
				x := i*m.ntok + j - nid
				place = tokenCell + m.tok.slot[x]
				real = choice.FromBit(uint64(m.tok.real[x]))
			}
			u, _ := m.shards.DivMod(m.recipient(i, j))
			k := (i-from)*outs + j
			local := (bases[k]+u)*ins + place
			labels[k] = choice.Select32(real, labels[k], none)
			m.table.SetHeader(i*outs+j, record.Header{
				Label:  labels[k],
				Cell:   choice.Select32(real, local, record.None),
				Sender: m.clients[i],
				Real:   uint32(real.Bit()),
			})
		}
	}
}

// recipient is that of cell j of the roster's client at index i.
func (m *Role) recipient(i, j int) uint32 {
	if j < m.nid {
		return m.id.records.Recipient[i*m.nid+j]
	}
	return m.tok.recipient[i*m.ntok+j-m.nid]
}

// split deals each chunk: the record at position p of the order by shard goes
// to router pattern[p mod W]; positions run on across chunks. Each worker takes
// chunks of its own, if there are enough.
func (m *Role) split() {
	chunks, parts := m.attempt.Chunks(m.index), len(m.alone)
	if chunks < parts {
		m.splitChunks(m.workers, 0, chunks)
		return
	}
	m.workers.Each(parts, func(p int) { m.splitChunks(m.alone[p], chunks*p/parts, chunks*(p+1)/parts) })
}

// splitChunks is split for chunks [first, end).
func (m *Role) splitChunks(w *oblivious.Workers, first, end int) {
	shards := len(m.g.Storages())
	sizes := make([]int, len(m.g.Routers()))
	for c := first; c < end; c++ {
		from, to := m.attempt.Chunk(m.index, c)
		m.fill(w, from, to)
		labels := m.labels[from:to]
		w.Deal(labels, shards, from, m.pattern)
		for r := range sizes {
			sizes[r] = m.attempt.ChunkSection(m.index, c, r)
		}
		part := m.table.Slice(from, to)
		w.Split(labels, sizes, part.Headers, part.Bodies)
	}
}

// fill copies the bodies of records [from, to) from their submissions. Clients
// that missed the deadline, and the padding behind the last client, have zeros.
func (m *Role) fill(w *oblivious.Workers, from, to int) {
	g, outs := m.g, m.g.Outs()
	body := g.Params().CellBytes
	record.Each(w, to-from, func(a, b int) {
		i, j := (from+a)/outs, (from+a)%outs // the client's index, and its cell
		for k := from + a; k < from+b; k++ {
			row := m.table.Bodies.Row(k)
			var plain []byte
			if i < len(m.clients) {
				plain = m.subs.Cell(i)
			}
			if plain == nil {
				clear(row)
			} else {
				copy(row[:body], plain[g.SubmissionCell(j)+cell.MessageHeader:])
				clear(row[body:])
			}
			if j++; j == outs {
				i, j = i+1, 0
			}
		}
	})
}

// Release hands the table over, of which sections are views, once every Section
// was taken: it belongs to the caller, and the next attempt gets another.
func (m *Role) Release() record.Table {
	t := m.table
	m.table = record.Table{}
	return t
}

// Section is what chunk c deals to router r, and its first row among all that
// this server deals to that router.
func (m *Role) Section(c, r int) (rows record.Table, first int) {
	at := m.attempt
	from, _ := at.Chunk(m.index, c)
	from += at.DealOffset(m.index, c, r)
	return m.table.Slice(from, from+at.ChunkSection(m.index, c, r)),
		at.RouterChunkOffset(m.index, c, r) - at.RouterOffset(m.index, r)
}

// Statuses writes what became of the cells of the roster's client at index i:
// one byte a cell, for its sealed result.
func (m *Role) Statuses(i int, out []byte) {
	copy(out, m.id.status[i*m.nid:(i+1)*m.nid])
	copy(out[m.nid:], m.tok.status[i*m.ntok:(i+1)*m.ntok])
}
