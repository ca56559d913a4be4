package wire

import (
	"io"
	"net"
)

// Next takes the first frame off b, for readers that keep their own buffers:
// its type, its payload (a view) and the length of the whole frame. ErrMore if
// b does not hold all of it; then n is the length of the whole frame, or
// HeaderBytes if even that is not known.
func Next(b []byte, limits *Limits) (typ Type, payload []byte, n int, err error) {
	if len(b) < HeaderBytes {
		return 0, nil, HeaderBytes, ErrMore
	}
	typ = Type(b[4])
	size := le.Uint32(b)
	if err := limits.check(typ, size); err != nil {
		return typ, nil, 0, err
	}
	n = HeaderBytes + int(size)
	if len(b) < n {
		return typ, nil, n, ErrMore
	}
	return typ, b[HeaderBytes:n:n], n, nil
}

// Reader reads frames from a connection. Its buffer starts with the size that
// NewReader is told and grows to the longest frame that came, never beyond the
// limits. Not safe for concurrent use.
type Reader struct {
	r          io.Reader
	buf        []byte
	start, end int // what was read and not taken
}

// NewReader reads from r with a buffer of size bytes to start with.
func NewReader(r io.Reader, size int) *Reader {
	return &Reader{r: r, buf: make([]byte, 0, max(size, PeerHeaderBytes))}
}

// idleReads is how many reads in a row may bring nothing.
const idleReads = 100

// fill reads until n bytes are there. io.EOF only at a boundary, that is if
// none was there and none came; io.ErrUnexpectedEOF in the middle.
func (r *Reader) fill(n int) error {
	if r.end-r.start >= n {
		return nil
	}
	room := r.buf[:cap(r.buf)]
	if n > len(room) {
		room = make([]byte, n)
	}
	if r.start+n > len(room) || len(room) != cap(r.buf) {
		r.end = copy(room, r.buf[r.start:r.end])
		r.start = 0
	}
	r.buf = room
	for idle := 0; r.end-r.start < n; idle++ {
		m, err := r.r.Read(r.buf[r.end:])
		r.end += m
		if m > 0 {
			idle = 0
		} else if err == nil && idle >= idleReads {
			return io.ErrNoProgress
		}
		if err != nil && r.end-r.start < n {
			if err == io.EOF && r.end > r.start {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// take is a view of the next n bytes, valid until the next call.
func (r *Reader) take(n int) []byte {
	b := r.buf[r.start : r.start+n : r.start+n]
	r.start += n
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	return b
}

// Preamble reads the preamble.
func (r *Reader) Preamble() (Preamble, error) {
	if err := r.fill(PreambleBytes); err != nil {
		return Preamble{}, err
	}
	return ParsePreamble(r.take(PreambleBytes))
}

// ReadFrame reads the next frame. The payload is a view, valid until the next
// call. Errors: of the connection, io.EOF only between frames; ErrType,
// ErrLength, before anything of the payload is read.
func (r *Reader) ReadFrame(limits *Limits) (Type, []byte, error) {
	if err := r.fill(HeaderBytes); err != nil {
		return 0, nil, err
	}
	for {
		typ, payload, n, err := Next(r.buf[r.start:r.end], limits)
		switch err {
		case nil:
			r.take(n)
			return typ, payload, nil
		case ErrMore:
			if err := r.fill(n); err != nil {
				return 0, nil, err
			}
		default:
			return typ, nil, err
		}
	}
}

// ReadPeer reads the header of the next frame between servers and checks it.
// The caller then reads the payload of Length bytes with ReadFull or Skip.
func (r *Reader) ReadPeer(h *PeerHeader, limits *PeerLimits) error {
	if err := r.fill(PeerHeaderBytes); err != nil {
		return err
	}
	if err := h.Parse(r.take(PeerHeaderBytes)); err != nil {
		return err
	}
	return h.Check(limits)
}

// ReadFull reads exactly len(dst) bytes into dst: first what is buffered, the
// rest straight from the connection.
func (r *Reader) ReadFull(dst []byte) error {
	n := copy(dst, r.buf[r.start:r.end])
	r.take(n)
	if n == len(dst) {
		return nil
	}
	_, err := io.ReadFull(r.r, dst[n:])
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Skip reads n bytes and drops them.
func (r *Reader) Skip(n int) error {
	for n > 0 {
		if r.end == r.start {
			if err := r.fill(1); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		m := min(n, r.end-r.start)
		r.take(m)
		n -= m
	}
	return nil
}

// Buffered is a view of what was read from the connection and not yet taken:
// what a gateway passes on when it joins two streams.
func (r *Reader) Buffered() []byte { return r.buf[r.start:r.end:r.end] }

// Message is any message of the links that have frames with types.
type Message interface {
	Append(dst []byte) []byte
}

// Writer gathers frames and writes them at once. Small ones are copied; bulk
// is borrowed until Flush. Not safe for concurrent use.
type Writer struct {
	w     io.Writer
	buf   []byte
	parts []part
	list  net.Buffers // of parts, and what WriteTo takes off it
	rest  net.Buffers
	size  int
}

// part is borrowed bytes, or buf[from:to] where bulk is nil.
type part struct {
	from, to int
	bulk     []byte
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Put appends a message. It allocates nothing if m points to what is on the
// heap already: reuse one message for many frames.
func (w *Writer) Put(m Message) {
	w.grown(m.Append(w.buf))
}

// PutBytes appends a copy of b, whole frames or part of one.
func (w *Writer) PutBytes(b []byte) { w.grown(append(w.buf, b...)) }

// PutPeer appends a frame between servers: the header, whose Length it sets,
// and the parts of its payload, which are borrowed until Flush returns.
func (w *Writer) PutPeer(h *PeerHeader, payload ...[]byte) {
	n := 0
	for _, p := range payload {
		n += len(p)
	}
	h.Length = uint32(n)
	w.grown(h.Append(w.buf))
	for _, p := range payload {
		if len(p) > 0 {
			w.parts = append(w.parts, part{bulk: p})
			w.size += len(p)
		}
	}
}

// grown takes over the buffer after something was appended to it.
func (w *Writer) grown(buf []byte) {
	from := len(w.buf)
	w.buf = buf
	w.size += len(buf) - from
	if n := len(w.parts); n > 0 && w.parts[n-1].bulk == nil {
		w.parts[n-1].to = len(buf)
		return
	}
	w.parts = append(w.parts, part{from: from, to: len(buf)})
}

// Size is the number of bytes that Flush would write.
func (w *Writer) Size() int { return w.size }

// Flush writes everything with one Write, or with one writev where there is
// bulk and the connection can. After an error the connection is of no use.
func (w *Writer) Flush() error {
	if w.size == 0 {
		return nil
	}
	var err error
	if len(w.parts) == 1 {
		_, err = w.w.Write(w.bytes(w.parts[0]))
	} else {
		w.list = w.list[:0]
		for _, p := range w.parts {
			w.list = append(w.list, w.bytes(p))
		}
		w.rest = w.list
		_, err = w.rest.WriteTo(w.w)
		clear(w.list)
	}
	clear(w.parts)
	w.buf, w.parts, w.size = w.buf[:0], w.parts[:0], 0
	return err
}

func (w *Writer) bytes(p part) []byte {
	if p.bulk != nil {
		return p.bulk
	}
	return w.buf[p.from:p.to]
}
