package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// The files of an inbox. A segment holds the deliveries of some epochs:
//
//	header 64: "TEEMSBOX" | version u32 (1) | cells u32 | body u32 | 0 u32 | newest u64 | 0 * 28 | crc u32
//	records:   epoch u64 | missed u64 | malformed u32 | 0 u32, all cells, crc u32
//	cell:      real u8 | channel u8 | contact u8 | 0 u8 | cluster 4 | sender u32 | slot u32 | length u32 | body
//
// with room for the longest body in every cell, so that every record of a
// segment has the same length. newest is the newest epoch before the segment.
// Removals are in a file of their own next to it: epoch u64 | cell u32 | crc u32.
// Checksums are CRC-32C and find what broke off; they prove nothing.
const (
	segmentMagic   = "TEEMSBOX"
	segmentVersion = 1
	segmentHeader  = 64
	recordHead     = 24
	storedCell     = 20
	removalBytes   = 16
	crcBytes       = 4

	deliveriesSuffix = ".deliveries"
	removedSuffix    = ".removed"
	sequenceDigits   = 20

	maxSegmentCells = 1 << 16
	maxSegmentBody  = 1 << 24
)

// ErrInbox says that an inbox's files are damaged, or not an inbox's.
var ErrInbox = errors.New("client: the inbox is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// putCRC puts the checksum over everything before it at the end.
func putCRC(b []byte) {
	binary.LittleEndian.PutUint32(b[len(b)-crcBytes:], crc32.Checksum(b[:len(b)-crcBytes], castagnoli))
}

func goodCRC(b []byte) bool {
	return binary.LittleEndian.Uint32(b[len(b)-crcBytes:]) == crc32.Checksum(b[:len(b)-crcBytes], castagnoli)
}

// layout is what the length of a record follows from. All of it is public.
type layout struct {
	cells, body int
}

func (l layout) record() int { return recordHead + l.cells*(storedCell+l.body) + crcBytes }

// fits says whether a delivery can be written.
func (l layout) fits(d *Delivery) bool {
	for i := range d.Messages {
		m := &d.Messages[i]
		if m.Epoch != d.Epoch || m.Cell < 0 || m.Cell >= l.cells || len(m.Body) > l.body || m.Slot < 0 || int64(m.Slot) > 1<<32-1 {
			return false
		}
	}
	return len(d.Messages) <= l.cells
}

// encode writes a delivery that fits.
func (l layout) encode(d *Delivery) []byte {
	le := binary.LittleEndian
	b := make([]byte, l.record())
	le.PutUint64(b, d.Epoch)
	le.PutUint64(b[8:], d.Missed)
	le.PutUint32(b[16:], uint32(d.Malformed))
	for i := range d.Messages {
		m := &d.Messages[i]
		c := b[recordHead+m.Cell*(storedCell+l.body):][:storedCell+l.body]
		c[0], c[1] = 1, byte(m.Channel)
		if m.Contact {
			c[2] = 1
		}
		copy(c[4:], m.From.Cluster[:])
		le.PutUint32(c[8:], m.From.ID)
		le.PutUint32(c[12:], uint32(m.Slot))
		le.PutUint32(c[16:], uint32(len(m.Body)))
		copy(c[storedCell:], m.Body)
	}
	putCRC(b)
	return b
}

// decode reads a record whose checksum is right.
func (l layout) decode(b []byte) (d Delivery, ok bool) {
	le := binary.LittleEndian
	d = Delivery{Epoch: le.Uint64(b), Missed: le.Uint64(b[8:]), Malformed: int(le.Uint32(b[16:]))}
	for i := range l.cells {
		c := b[recordHead+i*(storedCell+l.body):][:storedCell+l.body]
		if c[0] == 0 {
			continue
		}
		n := int64(le.Uint32(c[16:]))
		if c[0] != 1 || c[2] > 1 || c[3] != 0 || n > int64(l.body) {
			return d, false
		}
		d.Messages = append(d.Messages, Message{
			Epoch: d.Epoch, Cell: i, Channel: Channel(c[1]), Contact: c[2] == 1,
			From: Address{Cluster: [4]byte(c[4:8]), ID: le.Uint32(c[8:])}, Slot: int(le.Uint32(c[12:])),
			Body: append([]byte{}, c[storedCell:storedCell+n]...),
		})
	}
	return d, true
}

// segment is one pair of files.
type segment struct {
	base     string // its path without a suffix
	layout   layout
	live     int    // messages that were not removed; guarded by FileInbox.mu
	finished bool   // nothing is appended any more; guarded by FileInbox.mu
	records  int    // the appender's
	newest   uint64 // at the end
}

func segmentBase(dir string, sequence uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d", sequenceDigits, sequence))
}

// sequences lists the segments of a folder by their names, in order.
func sequences(dir string) (list []uint64, orphans []string, err error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, nil, err
	}
	known := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		base, is := strings.CutSuffix(name, deliveriesSuffix)
		if !is {
			continue
		}
		n, err := strconv.ParseUint(base, 10, 64)
		if err != nil || len(base) != sequenceDigits || !e.Type().IsRegular() {
			return nil, nil, fmt.Errorf("%w: %s is none of its files", ErrInbox, name)
		}
		list = append(list, n)
		known[base] = true
	}
	for _, e := range entries {
		if base, is := strings.CutSuffix(e.Name(), removedSuffix); is && !known[base] {
			orphans = append(orphans, filepath.Join(dir, e.Name()))
		}
	}
	return list, orphans, nil
}

func (s *segment) header(newest uint64) []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, segmentHeader+s.layout.record()), segmentMagic...)
	b = le.AppendUint32(b, segmentVersion)
	b = le.AppendUint32(b, uint32(s.layout.cells))
	b = le.AppendUint32(b, uint32(s.layout.body))
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, newest)
	b = b[:segmentHeader]
	putCRC(b)
	return b
}

// errTorn says that not even a segment's header is whole.
var errTorn = errors.New("client: no whole header")

// load reads a segment. In the last one what broke off at the end is dropped;
// want is the layout that it has if it was just begun.
func (s *segment) load(last bool, want layout) (deliveries []Delivery, err error) {
	all, err := os.ReadFile(s.base + deliveriesSuffix)
	if err != nil {
		return nil, err
	}
	damaged := func(at int) error {
		return fmt.Errorf("%w: %s, at byte %d: move the inbox away to begin a new one", ErrInbox, s.base+deliveriesSuffix, at)
	}
	le := binary.LittleEndian
	if len(all) < segmentHeader || !goodCRC(all[:segmentHeader]) {
		// It is written in one piece with the first record.
		if last && len(all) <= segmentHeader+want.record() {
			return nil, errTorn
		}
		return nil, damaged(0)
	}
	s.layout = layout{int(le.Uint32(all[12:])), int(le.Uint32(all[16:]))}
	if string(all[:8]) != segmentMagic || le.Uint32(all[8:]) != segmentVersion || le.Uint32(all[20:]) != 0 ||
		s.layout.cells > maxSegmentCells || s.layout.body > maxSegmentBody {
		return nil, damaged(0)
	}
	s.newest = le.Uint64(all[24:])
	size := s.layout.record()
	for at := segmentHeader; at < len(all); at += size {
		if len(all)-at < size || !goodCRC(all[at:at+size]) {
			if last && len(all)-at <= size {
				break
			}
			return nil, damaged(at)
		}
		d, ok := s.layout.decode(all[at : at+size])
		if !ok || d.Epoch <= s.newest {
			return nil, damaged(at)
		}
		s.newest = d.Epoch
		s.records++
		deliveries = append(deliveries, d)
	}
	if !last && s.records == 0 {
		return nil, damaged(segmentHeader)
	}
	return deliveries, nil
}

// end is where the next record goes.
func (s *segment) end() int64 { return segmentHeader + int64(s.records)*int64(s.layout.record()) }

// removed reads a segment's removals; the end of the last one is where the next
// one goes.
func (s *segment) removed() (names map[cellName]bool, end int64, err error) {
	all, err := os.ReadFile(s.base + removedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	names = map[cellName]bool{}
	for at := 0; at < len(all); at += removalBytes {
		if len(all)-at < removalBytes || !goodCRC(all[at:at+removalBytes]) {
			if len(all)-at <= removalBytes {
				break // it broke off, so nothing was told that it is removed
			}
			return nil, 0, fmt.Errorf("%w: %s, at byte %d: move it away, and see again what was removed", ErrInbox, s.base+removedSuffix, at)
		}
		names[cellName{binary.LittleEndian.Uint64(all[at:]), int(binary.LittleEndian.Uint32(all[at+8:]))}] = true
		end += removalBytes
	}
	return names, end, nil
}

// drop deletes a segment, so that a crash in between brings nothing back.
func (s *segment) drop() error {
	if err := os.Remove(s.base + deliveriesSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := syncFolder(filepath.Dir(s.base)); err != nil {
		return err
	}
	if err := os.Remove(s.base + removedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// cellName names a message.
type cellName struct {
	epoch uint64
	cell  int
}

func (n cellName) encode() []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, removalBytes), n.epoch)
	b = binary.LittleEndian.AppendUint32(b, uint32(n.cell))[:removalBytes]
	putCRC(b)
	return b
}

// journal is a file that is appended to, durably.
type journal struct {
	file *os.File
	end  int64
	err  error // what is behind end could not be taken back
}

// openJournal opens a file, readable by its owner only, to append at end.
func openJournal(path string, end int64) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(end); err != nil {
		f.Close()
		return nil, err
	}
	return &journal{file: f, end: end}, nil
}

// append makes b durable, or nothing of it counts.
func (l *journal) append(b []byte) error {
	if l.err != nil {
		return l.err
	}
	_, err := l.file.WriteAt(b, l.end)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		if e := l.file.Truncate(l.end); e != nil {
			l.err = fmt.Errorf("client: the inbox could not be repaired: %w", errors.Join(err, e))
		}
		return fmt.Errorf("client: writing the inbox: %w", err)
	}
	l.end += int64(len(b))
	return nil
}

func (l *journal) close() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it has nothing of the kind
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("client: writing the inbox: %w", err)
	}
	return nil
}
