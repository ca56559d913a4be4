package idchannel

import (
	"encoding/binary"

	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/oblivious"
)

// Ranker is the routing server's side: Begin, then the headers come in, then
// Rank. It keeps its scratch from one attempt to the next. Its methods must
// not be called at the same time, nor while its Workers are in use elsewhere.
type Ranker struct {
	w       *oblivious.Workers
	rows    []byte
	headers []oblivious.Header
	entries []uint64
	ranks   []byte
	classes Classes
	before  []ranking // each part of the headers

	read, rank, answer func(p int)
}

// NewRanker returns a Ranker that works with w.
func NewRanker(w *oblivious.Workers) *Ranker {
	d := &Ranker{w: w}
	d.read, d.rank, d.answer = d.readPart, d.rankPart, d.answerPart
	return d
}

// Begin returns the buffer for the headers of all ingestion servers, the given
// number of rows of RowBytes, one section after the other; the caller fills it
// before Rank.
func (d *Ranker) Begin(rows int) []byte {
	d.rows = grow(d.rows, rows*RowBytes)
	return d.rows
}

// Rank returns RankBytes per row in the order of the rows: the rank of each
// header within its recipient and class, or Dropped for those for which the
// class has no room and for dummies. It is valid until the next Rank.
//
// Oblivious in the headers; leaks their number n. Cost: a sort of n headers and
// one of n words.
func (d *Ranker) Rank(k Classes) []byte {
	n := len(d.rows) / RowBytes
	d.headers, d.entries = grow(d.headers, n), grow(d.entries, n)
	d.ranks = grow(d.ranks, n*RankBytes)
	d.w.Each(parts(n), d.read)
	d.w.SortHeaders(d.headers)
	d.classes, d.before = k, rankings(d.before[:0], d.headers, k)
	d.w.Each(parts(n), d.rank)
	d.w.Sort(d.entries)
	d.w.Each(parts(n), d.answer)
	return d.ranks
}

// rankPart ranks sorted headers within recipient and class.
func (d *Ranker) rankPart(p int) {
	from, to := part(len(d.headers), p)
	state := d.before[p]
	for i := from; i < to; i++ {
		h := d.headers[i]
		rank := state.next(h)
		d.entries[i] = h[3]<<32 | choice.Select(d.classes.keeps(h, rank), rank, uint64(Dropped))
	}
}

// answerPart takes ranks from the sorted entries.
func (d *Ranker) answerPart(p int) {
	from, to := part(len(d.entries), p)
	for i := from; i < to; i++ {
		binary.LittleEndian.PutUint32(d.ranks[i*RankBytes:], uint32(d.entries[i]))
	}
}

func (d *Ranker) readPart(p int) {
	le := binary.LittleEndian
	from, to := part(len(d.headers), p)
	for i := from; i < to; i++ {
		b := d.rows[i*RowBytes : (i+1)*RowBytes]
		d.headers[i] = oblivious.Header{le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), uint64(i)}
	}
}
