package commit

import "encoding/binary"

// Reader returns what is durable.
type Reader interface {
	// Get returns the value under name, or an error that is ErrNotFound.
	Get(name string) ([]byte, error)
}

// Store makes state durable. Names are public; values are to be sealed.
type Store interface {
	Reader
	// Put replaces the value under name by the concatenation of parts, all or
	// nothing, and returns after it is durable. It must not keep the parts.
	Put(name string, parts ...[]byte) error
	// Delete removes name durably; one that is not there is no error.
	Delete(name string) error
}

// What is durable, and under which name. One record is one Put, so it is there
// as a whole or not at all:
//
//	commit-final             the newest final epoch's outcome
//	commit-decided           COMMITTED of the epoch being decided
//	commit-attempts          the attempts whose prepared records may exist
//	commit-prepared-E-A      attempt A of epoch E: identity, tag, state
//
// Attempts are listed before they are written and deleted before they are
// unlisted, so nothing is ever left behind without being listed.
const (
	nameFinal    = "commit-final"
	nameDecided  = "commit-decided"
	nameAttempts = "commit-attempts"
)

func namePrepared(epoch uint64, attempt uint16) string {
	return "commit-prepared-" + number(epoch) + "-" + number(uint64(attempt))
}

const (
	recordVersion = 1

	kindOutcome  = 1
	kindAttempts = 2
	kindPrepared = 3

	outcomeBytes  = 2 + 2 + 8 + 2 + 2 + 32 + 32 // then the tags
	attemptsBytes = 2 + 2 + 8 + 2               // then the attempts
	preparedBytes = 2 + 2 + 8 + 2 + 2 + 32 + 16 + 8
)

// outcome is what COMMITTED says: an attempt, and the tag of every server.
type outcome struct {
	epoch   uint64
	attempt uint16
	a       ID
	prev    EpochHead // head of the epoch before
	tags    []Tag
	head    EpochHead // not stored: Next(prev, a, tags)
	batch   uint64    // not stored: the batch that writes it; 0 if it was read
}

// vote is what PREPARED says.
type vote struct {
	attempt uint16
	a       ID
	tag     Tag
}

// prepared is one prepared attempt; its state stays in the store.
type prepared struct {
	vote
	batch uint64 // that writes it; 0 if it was read
}

func header(size int, kind uint16, epoch uint64) []byte {
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint16(b, recordVersion)
	b = binary.LittleEndian.AppendUint16(b, kind)
	return binary.LittleEndian.AppendUint64(b, epoch)
}

// open checks a record's version, kind and least size and returns its epoch.
func open(b []byte, size int, kind uint16) (epoch uint64, ok bool) {
	le := binary.LittleEndian
	if len(b) < size || le.Uint16(b) != recordVersion || le.Uint16(b[2:]) != kind {
		return 0, false
	}
	epoch = le.Uint64(b[4:])
	return epoch, epoch != 0
}

func (o *outcome) encode() []byte {
	b := header(outcomeBytes+16*len(o.tags), kindOutcome, o.epoch)
	b = binary.LittleEndian.AppendUint16(b, o.attempt)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(o.tags)))
	b = append(b, o.a[:]...)
	b = append(b, o.prev[:]...)
	for _, t := range o.tags {
		b = append(b, t[:]...)
	}
	return b
}

func decodeOutcome(b []byte) (*outcome, bool) {
	epoch, ok := open(b, outcomeBytes, kindOutcome)
	if !ok {
		return nil, false
	}
	o := &outcome{epoch: epoch, attempt: binary.LittleEndian.Uint16(b[12:])}
	count := int(binary.LittleEndian.Uint16(b[14:]))
	if o.attempt == 0 || count == 0 || len(b) != outcomeBytes+16*count {
		return nil, false
	}
	copy(o.a[:], b[16:])
	copy(o.prev[:], b[48:])
	o.tags = make([]Tag, count)
	for i := range o.tags {
		copy(o.tags[i][:], b[outcomeBytes+16*i:])
	}
	o.head = Next(o.prev, o.a, o.tags)
	return o, true
}

func encodeAttempts(epoch uint64, attempts []uint16) []byte {
	b := header(attemptsBytes+2*len(attempts), kindAttempts, epoch)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(attempts)))
	for _, a := range attempts {
		b = binary.LittleEndian.AppendUint16(b, a)
	}
	return b
}

// decodeAttempts returns the listed attempts, which rise strictly from 1.
func decodeAttempts(b []byte) (epoch uint64, attempts []uint16, ok bool) {
	epoch, ok = open(b, attemptsBytes, kindAttempts)
	if !ok {
		return 0, nil, false
	}
	count := int(binary.LittleEndian.Uint16(b[12:]))
	if len(b) != attemptsBytes+2*count {
		return 0, nil, false
	}
	last := uint16(0)
	for i := range count {
		a := binary.LittleEndian.Uint16(b[attemptsBytes+2*i:])
		if a <= last {
			return 0, nil, false
		}
		attempts, last = append(attempts, a), a
	}
	return epoch, attempts, true
}

// encodePrepared returns what goes before the state of size bytes.
func encodePrepared(epoch uint64, p prepared, size uint64) []byte {
	b := header(preparedBytes, kindPrepared, epoch)
	b = binary.LittleEndian.AppendUint16(b, p.attempt)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = append(b, p.a[:]...)
	b = append(b, p.tag[:]...)
	return binary.LittleEndian.AppendUint64(b, size)
}

// decodePrepared returns the record and a view of its state.
func decodePrepared(b []byte) (epoch uint64, p prepared, state []byte, ok bool) {
	epoch, ok = open(b, preparedBytes, kindPrepared)
	if !ok {
		return 0, p, nil, false
	}
	le := binary.LittleEndian
	p.attempt = le.Uint16(b[12:])
	copy(p.a[:], b[16:])
	copy(p.tag[:], b[48:])
	state = b[preparedBytes:]
	ok = p.attempt != 0 && le.Uint16(b[14:]) == 0 && p.tag != Tag{} && le.Uint64(b[64:]) == uint64(len(state))
	return epoch, p, state, ok
}
