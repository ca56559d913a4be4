// Package record holds messages in flight inside the TEEs as a structure of
// arrays: a column of 16-byte heads, which decide where a record goes, and a
// column of aligned bodies, which move as rarely as possible.
//
// It owns the byte layout of bulk payloads on links between servers: a payload
// of r rows is r heads followed by r bodies, both exactly as they lie in
// memory, so that a hop gathers views when it sends and copies once when it
// receives.
//
// All positions and counts here are public; the content of heads and bodies is
// secret, and nothing in this package looks at it except by fixed-offset loads
// and stores.
package record

import (
	"encoding/binary"
	"errors"

	"github.com/teems-go/teems/internal/oblivious"
)

// HeadBytes is the width of a head: label u32, cell u32, sender u32, real u32.
const HeadBytes = 16

// None is the label or cell of a record that goes nowhere.
const None = ^uint32(0)

// ErrPayload reports a bulk payload whose length does not fit its row count, or
// whose rows lie outside the table.
var ErrPayload = errors.New("record: bulk payload does not fit its table")

// Header is the part of a record that decides where it goes.
type Header struct {
	Label  uint32 // the section that the record is on its way to
	Cell   uint32 // the cell of the destination storage server
	Sender uint32 // the sender's client ID, set by the ingestion server
	Real   uint32 // 1 for a message, 0 for a dummy
}

// Table is n records: heads and bodies, row i of each belonging together.
type Table struct {
	Headers, Bodies oblivious.Rows
}

// NewTable makes a table of n rows with bodies at the given stride. The content
// is unspecified.
func NewTable(m Memory, n, stride int) Table {
	return Table{
		Headers: oblivious.Rows{Data: m.Get(n * HeadBytes), Width: HeadBytes},
		Bodies:  oblivious.Rows{Data: m.Get(n * stride), Width: stride},
	}
}

// Resize returns a table of n rows in t's memory where that is large enough, and
// else in new memory, for which t's is given back. The content is unspecified.
func (t Table) Resize(m Memory, n, stride int) Table {
	if t.Bodies.Width != stride || cap(t.Headers.Data) < n*HeadBytes || cap(t.Bodies.Data) < n*stride {
		t.Free(m)
		return NewTable(m, n, stride)
	}
	t.Headers.Data = t.Headers.Data[:n*HeadBytes]
	t.Bodies.Data = t.Bodies.Data[:n*stride]
	return t
}

// Free gives a table's memory back.
func (t Table) Free(m Memory) {
	if t.Bodies.Width > 0 {
		m.Put(t.Headers.Data)
		m.Put(t.Bodies.Data)
	}
}

// Len is the number of rows.
func (t Table) Len() int { return t.Headers.Len() }

// Slice is the view of rows [i, j).
func (t Table) Slice(i, j int) Table {
	return Table{Headers: t.Headers.Slice(i, j), Bodies: t.Bodies.Slice(i, j)}
}

// Clear zeroes rows [i, j): dummies.
func (t Table) Clear(i, j int) {
	s := t.Slice(i, j)
	clear(s.Headers.Data)
	clear(s.Bodies.Data)
}

// SetHeader writes the head of row i.
func (t Table) SetHeader(i int, h Header) {
	b := t.Headers.Data[i*HeadBytes : i*HeadBytes+HeadBytes]
	binary.LittleEndian.PutUint32(b[0:], h.Label)
	binary.LittleEndian.PutUint32(b[4:], h.Cell)
	binary.LittleEndian.PutUint32(b[8:], h.Sender)
	binary.LittleEndian.PutUint32(b[12:], h.Real)
}

// Header reads the head of row i.
func (t Table) Header(i int) Header {
	b := t.Headers.Data[i*HeadBytes : i*HeadBytes+HeadBytes]
	return Header{
		Label:  binary.LittleEndian.Uint32(b[0:]),
		Cell:   binary.LittleEndian.Uint32(b[4:]),
		Sender: binary.LittleEndian.Uint32(b[8:]),
		Real:   binary.LittleEndian.Uint32(b[12:]),
	}
}

// Payload is the bulk payload of rows [i, j) as two views, not copied.
func (t Table) Payload(i, j int) [][]byte {
	s := t.Slice(i, j)
	return [][]byte{s.Headers.Data, s.Bodies.Data}
}

// Fits reports whether heads and bodies are a payload of so many rows.
func (t Table) Fits(rows uint32, heads, bodies []byte) bool {
	n := int64(rows)
	return int64(len(heads)) == n*HeadBytes && int64(len(bodies)) == n*int64(t.Bodies.Width)
}

// Put copies heads and bodies, as Payload gives them, to rows [at, at+rows), on
// all workers.
func (t Table) Put(w *oblivious.Workers, at, rows int, heads, bodies []byte) error {
	if rows < 0 || at < 0 || at > t.Len()-rows || !t.Fits(uint32(rows), heads, bodies) {
		return ErrPayload
	}
	s, width := t.Slice(at, at+rows), t.Bodies.Width
	Each(w, rows, func(from, to int) {
		copy(s.Headers.Data[from*HeadBytes:], heads[from*HeadBytes:to*HeadBytes])
		copy(s.Bodies.Data[from*width:], bodies[from*width:to*width])
	})
	return nil
}

// Cut takes a bulk payload of so many rows apart. A payload that is too short
// gives what there is, which Put refuses.
func Cut(payload []byte, rows uint32) (heads, bodies []byte) {
	n := int(min(int64(rows)*HeadBytes, int64(len(payload))))
	return payload[:n], payload[n:]
}

// Grow returns a slice of length n that reuses s's memory where it is large
// enough. The content is unspecified.
func Grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
