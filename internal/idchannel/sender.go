package idchannel

import (
	"encoding/binary"
	"math/bits"

	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/oblivious"
)

// Sender is the ingestion server's side: Prepare, then every Section goes out
// and the answers come into Ranks, then Cells. It keeps its scratch from one
// attempt to the next. Its methods must not be called at the same time, nor
// while its Workers are in use elsewhere.
type Sender struct {
	w   *oblivious.Workers
	prf PRF

	plan    Plan
	in      Records
	n       int      // records
	rows    int      // max(n, rows on all links): what is split
	sent    int      // rows on all links
	offsets []int    // r -> where its section begins, and last sent
	sizes   []int    // sections for the split, the last one discarded
	reach   []uint64 // r -> weights of routers 0 to r

	headers    []oblivious.Header
	ties       []uint64 // inputs of a PRF, then sort entries
	drawn      []uint64 // outputs of a PRF
	recipients []uint32
	labels     []uint32
	kept       []byte
	keys       oblivious.Rows
	positions  []uint64
	ranks      []byte
	out        []uint32 // of Cells

	before []ranking // each part of the headers

	name, build, trim, label, pack, entry, finish func(p int)
}

// NewSender returns a Sender that works with w and draws from prf.
func NewSender(w *oblivious.Workers, prf PRF) *Sender {
	s := &Sender{w: w, prf: prf}
	s.name, s.build, s.trim, s.label = s.namePart, s.buildPart, s.trimPart, s.labelPart
	s.pack, s.entry, s.finish = s.packPart, s.entryPart, s.finishPart
	return s
}

// Prepare makes the headers of in, keeps per recipient and class the best that
// the class has room for, gives each the routing server that the PRF chooses
// for its recipient with probability w_r/W, and lays out all sections. Where a
// section overflows, which has probability below 2^-80 with the links of
// package geometry, headers are dropped. It keeps in's columns until the next
// Prepare but does not change them. An error, ErrSize, depends on public values
// only.
//
// Oblivious in the records; leaks n = number of records, the plan. Cost: a sort
// of n headers, R steps for each, and a split of max(n, sum of links) rows of
// 32 bytes into R+1 sections.
func (s *Sender) Prepare(p Plan, epoch uint64, a [32]byte, in Records) error {
	n, err := in.size()
	if err != nil {
		return err
	}
	if err := s.size(p, n); err != nil {
		return err
	}
	s.in = in

	s.w.Each(parts(n), s.name)
	s.prf.Ties(epoch, s.ties[:n], s.drawn[:n])
	s.w.Each(parts(n), s.build)
	s.w.SortHeaders(s.headers[:n])
	s.before = rankings(s.before[:0], s.headers[:n], p.Classes)
	s.w.Each(parts(n), s.trim)
	s.prf.Routers(a, s.recipients[:n], s.drawn[:n])
	s.w.Each(parts(s.rows), s.label)
	s.w.Exact(s.labels, s.sizes[:len(p.Links)], s.kept)
	s.w.Each(parts(s.rows), s.pack)
	s.w.Split(s.labels, s.sizes, s.keys, oblivious.WordRows(s.positions))
	for i := range s.ranks {
		s.ranks[i] = 0xff
	}
	return nil
}

// size takes over the plan and makes room for n records. All of it is public.
func (s *Sender) size(p Plan, n int) error {
	s.plan, s.n, s.sent = p, n, 0
	s.offsets, s.sizes, s.reach = s.offsets[:0], s.sizes[:0], s.reach[:0]
	for _, l := range p.Links {
		if l < 0 {
			return ErrSize
		}
		s.offsets, s.sizes = append(s.offsets, s.sent), append(s.sizes, l)
		s.reach = append(s.reach, 0)
		s.sent += l
	}
	for _, r := range p.Pattern {
		if int(r) >= len(s.reach) {
			return ErrSize
		}
		s.reach[r]++
	}
	if len(p.Pattern) == 0 {
		return ErrSize
	}
	for r := 1; r < len(s.reach); r++ {
		s.reach[r] += s.reach[r-1]
	}
	s.rows = max(n, s.sent)
	s.offsets = append(s.offsets, s.sent)
	s.sizes = append(s.sizes, s.rows-s.sent)

	s.headers = grow(s.headers, s.rows)
	s.ties, s.drawn = grow(s.ties, s.rows), grow(s.drawn, n)
	s.recipients = grow(s.recipients, n)
	s.labels, s.kept = grow(s.labels, s.rows), grow(s.kept, s.rows)
	s.positions = grow(s.positions, s.rows)
	s.ranks = grow(s.ranks, s.sent*RankBytes)
	if cap(s.keys.Data) < s.rows*RowBytes {
		s.keys = oblivious.MakeRows(s.rows, RowBytes)
	}
	s.keys.Data, s.keys.Width = s.keys.Data[:s.rows*RowBytes], RowBytes
	return nil
}

// namePart writes what ties are drawn from.
func (s *Sender) namePart(p int) {
	from, to := part(s.n, p)
	for i := from; i < to; i++ {
		s.ties[i] = uint64(s.in.Sender[i])<<16 | uint64(s.in.Index[i])
	}
}

// buildPart makes headers of records.
func (s *Sender) buildPart(p int) {
	from, to := part(s.n, p)
	in := &s.in
	for i := from; i < to; i++ {
		k := key(choice.FromBit(uint64(in.Real[i])), in.Recipient[i], in.Class[i],
			in.Priority[i], s.drawn[i], in.Sender[i], in.Index[i])
		s.headers[i] = oblivious.Header{k[0], k[1], k[2], uint64(i)}
	}
}

// trimPart turns sorted headers that cannot survive into dummies in place and
// notes the recipients of the others for the PRF.
func (s *Sender) trimPart(p int) {
	from, to := part(s.n, p)
	state := s.before[p]
	for i := from; i < to; i++ {
		h := &s.headers[i]
		dummy := uint64(s.plan.Classes.keeps(*h, state.next(*h)).Not())
		h[0], h[1], h[2] = h[0]|dummy, h[1]|dummy, h[2]|dummy
		s.recipients[i] = uint32(recipientOf(h[0]))
	}
}

// labelPart chooses the routers: uniform draws below W, by multiply and shift,
// compared with the sums of weights of all routers, so that router r has w_r
// of W chances. Whatever is not real gets a label that is no section.
func (s *Sender) labelPart(p int) {
	from, to := part(s.rows, p)
	for i := from; i < to; i++ {
		if i >= s.n { // padding, public
			s.headers[i] = oblivious.Header{ones, ones, ones, uint64(i)}
			s.labels[i] = Dropped
			continue
		}
		draw, _ := bits.Mul64(s.drawn[i], uint64(len(s.plan.Pattern)))
		router := uint64(0)
		for _, reach := range s.reach {
			router += choice.LessEq(reach, draw).Bit()
		}
		dummy := choice.Eq(uint64(s.recipients[i]), noRecipient)
		s.labels[i] = uint32(router) | uint32(dummy)
	}
}

// packPart lays out rows for the split; what no link takes becomes a dummy.
func (s *Sender) packPart(p int) {
	from, to := part(s.rows, p)
	for i := from; i < to; i++ {
		h := &s.headers[i]
		dummy := uint64(choice.FromBit(uint64(s.kept[i])).Not())
		putKey(s.keys.Data[i*RowBytes:], [3]uint64{h[0] | dummy, h[1] | dummy, h[2] | dummy})
		s.positions[i] = h[3]
	}
}

// Section returns what goes to router r: L(i,r) rows of RowBytes. It is valid
// until the next Prepare and must not be changed before Cells.
func (s *Sender) Section(r int) []byte {
	return s.keys.Data[s.offsets[r]*RowBytes : s.offsets[r+1]*RowBytes]
}

// Ranks returns the buffer for router r's answer, RankBytes per row of
// Section(r) and in its order; the caller fills it before Cells. Unanswered
// rows count as Dropped.
func (s *Sender) Ranks(r int) []byte {
	return s.ranks[s.offsets[r]*RankBytes : s.offsets[r+1]*RankBytes]
}

// Cells writes the cell of each record in the order of Prepare's input: the
// rank for contacts, k_contact + rank for strangers, or Dropped for whatever is
// a dummy or did not survive. len(out) is the number of records.
//
// Oblivious in the ranks and the records; a sort of max(n, sum of links) words.
func (s *Sender) Cells(out []uint32) error {
	if len(out) != s.n {
		return ErrSize
	}
	s.w.Each(parts(s.rows), s.entry)
	s.w.Sort(s.ties)
	s.out = out
	s.w.Each(parts(s.n), s.finish)
	s.out = nil
	return nil
}

// finishPart takes cells from the sorted entries.
func (s *Sender) finishPart(p int) {
	from, to := part(s.n, p)
	for i := from; i < to; i++ {
		s.out[i] = uint32(s.ties[i])
	}
}

// entryPart makes the entries to sort: position of the record, then its cell.
func (s *Sender) entryPart(p int) {
	from, to := part(s.rows, p)
	k := s.plan.Classes
	for i := from; i < to; i++ {
		cell := uint64(Dropped)
		if i < s.sent { // else discarded, public
			word0 := binary.LittleEndian.Uint64(s.keys.Data[i*RowBytes:])
			rank := uint64(binary.LittleEndian.Uint32(s.ranks[i*RankBytes:]))
			base := choice.Select(isStranger(word0), uint64(k.Contact), 0)
			kept := choice.Less(rank, k.room(word0)) & choice.NonZero(recipientOf(word0)^noRecipient)
			cell = choice.Select(kept, base+rank, cell)
		}
		s.ties[i] = s.positions[i]<<32 | cell
	}
}
