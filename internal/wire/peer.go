package wire

import "math"

// Kind is the kind of a frame between servers.
type Kind uint16

// The kinds.
const (
	KindSync      Kind = 1  // all to all, when a link comes up
	KindHeaders   Kind = 2  // ingestion to routing
	KindRanks     Kind = 3  // routing to ingestion
	KindDeal      Kind = 4  // ingestion to routing
	KindSection   Kind = 5  // routing to storage
	KindMembers   Kind = 6  // storage to all
	KindPrepared  Kind = 7  // all to all
	KindCommitted Kind = 8  // all to all
	KindEra       Kind = 9  // all to all, when a link comes up and while an era turns
	KindSecret    Kind = 10 // to who holds a secret of an earlier era
	lastKind           = KindSecret
)

// PeerHeaderBytes is the length of the header of a frame between servers.
const PeerHeaderBytes = 64

// PeerHeader is the header of a frame between servers:
//
//	length u32 | kind u16 | from u16 | epoch u64 | attempt u16 | 0 u16 |
//	part u32 | rows u32 | 0 u32 | A 32
type PeerHeader struct {
	Length  uint32 // of the payload, in bytes
	Kind    Kind
	From    uint16 // server's number in the manifest
	Epoch   uint64
	Attempt uint16
	Part    uint32 // first row of this frame in what the link carries
	Rows    uint32
	A       [32]byte // identity of the attempt; zero in Sync
}

// Append appends the 64 bytes.
func (h *PeerHeader) Append(dst []byte) []byte {
	dst = le.AppendUint32(dst, h.Length)
	dst = le.AppendUint16(dst, uint16(h.Kind))
	dst = le.AppendUint16(dst, h.From)
	dst = le.AppendUint64(dst, h.Epoch)
	dst = append(le.AppendUint16(dst, h.Attempt), 0, 0)
	dst = le.AppendUint32(dst, h.Part)
	dst = le.AppendUint32(dst, h.Rows)
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, h.A[:]...)
}

// Parse reads a header of exactly 64 bytes. Check bounds what it announces.
func (h *PeerHeader) Parse(b []byte) error {
	if len(b) != PeerHeaderBytes {
		return ErrLength
	}
	h.Length = le.Uint32(b)
	h.Kind = Kind(le.Uint16(b[4:]))
	h.From = le.Uint16(b[6:])
	h.Epoch = le.Uint64(b[8:])
	h.Attempt = le.Uint16(b[16:])
	h.Part = le.Uint32(b[20:])
	h.Rows = le.Uint32(b[24:])
	h.A = [32]byte(b[32:])
	if b[18]|b[19]|b[28]|b[29]|b[30]|b[31] != 0 {
		return ErrReserved
	}
	if h.Kind == 0 || h.Kind > lastKind {
		return ErrType
	}
	return nil
}

// PeerLimits bounds the frames between the servers of one manifest; from
// geometry.
type PeerLimits struct {
	Bytes    int // longest payload
	Servers  int // M
	RowBytes int // of a Deal or Section: head and body
}

// The rows of the other kinds, in bytes.
const (
	headerRow = 24
	rankRow   = 4
	memberRow = 40
	tagRow    = 16
	syncBytes = 40

	eraBytes    = 136
	secretBytes = 36
)

// Check says whether the length, the rows and the sender of a header fit its
// kind and the limits. What a server must allocate or read is bounded by
// Length after that.
func (h *PeerHeader) Check(limits *PeerLimits) error {
	if int(h.From) >= limits.Servers {
		return ErrValue
	}
	if uint64(h.Part)+uint64(h.Rows) > math.MaxUint32 {
		return ErrValue
	}
	switch h.Kind {
	case KindSync:
		return h.checkFixed(syncBytes, 0)
	case KindEra:
		return h.checkFixed(eraBytes, 0)
	case KindSecret:
		return h.checkFixed(secretBytes, 0)
	case KindPrepared:
		return h.checkFixed(tagRow, 1)
	case KindCommitted:
		return h.checkFixed(tagRow*limits.Servers, uint32(limits.Servers))
	case KindHeaders:
		return h.checkRows(limits, headerRow)
	case KindRanks:
		return h.checkRows(limits, rankRow)
	case KindDeal, KindSection:
		return h.checkRows(limits, limits.RowBytes)
	case KindMembers:
		return h.checkRows(limits, memberRow)
	}
	return ErrType
}

// checkFixed: the length follows from the kind; rows counts the tags, or is 0.
func (h *PeerHeader) checkFixed(length int, tags uint32) error {
	if uint64(h.Length) != uint64(length) {
		return ErrLength
	}
	if h.Part != 0 || h.Rows != 0 && h.Rows != tags {
		return ErrValue
	}
	return nil
}

// checkRows: so many rows of row bytes, within the limit.
func (h *PeerHeader) checkRows(limits *PeerLimits, row int) error {
	if want := uint64(row) * uint64(h.Rows); uint64(h.Length) != want || want > uint64(limits.Bytes) {
		return ErrLength
	}
	return nil
}

// Sync is the payload of KindSync: committed u64 | head 32.
type Sync struct {
	Committed uint64
	Head      [32]byte
}

// Append appends the payload.
func (m *Sync) Append(dst []byte) []byte {
	return append(le.AppendUint64(dst, m.Committed), m.Head[:]...)
}

// Parse reads the payload.
func (m *Sync) Parse(b []byte) error {
	if len(b) != syncBytes {
		return ErrLength
	}
	m.Committed, m.Head = le.Uint64(b), [32]byte(b[8:])
	return nil
}

// Member is one registration in a payload of KindMembers:
// id u32 | generation u32 | keyHash 32.
type Member struct {
	ID, Generation uint32
	KeyHash        [32]byte
}

// AppendMembers appends the payload of KindMembers.
func AppendMembers(dst []byte, members []Member) []byte {
	for i := range members {
		m := &members[i]
		dst = le.AppendUint32(dst, m.ID)
		dst = le.AppendUint32(dst, m.Generation)
		dst = append(dst, m.KeyHash[:]...)
	}
	return dst
}

// ParseMembers appends the members in a payload of KindMembers to dst.
func ParseMembers(dst []Member, b []byte) ([]Member, error) {
	if len(b)%memberRow != 0 {
		return dst, ErrLength
	}
	for ; len(b) > 0; b = b[memberRow:] {
		dst = append(dst, Member{le.Uint32(b), le.Uint32(b[4:]), [32]byte(b[8:])})
	}
	return dst, nil
}

// Tag is a state tag. The payload of KindPrepared is one.
type Tag [16]byte

// ParseTag reads the payload of KindPrepared.
func ParseTag(b []byte) (Tag, error) {
	if len(b) != tagRow {
		return Tag{}, ErrLength
	}
	return Tag(b), nil
}

// AppendTags appends the payload of KindCommitted: the tags of all M servers,
// in the manifest's order.
func AppendTags(dst []byte, tags []Tag) []byte {
	for i := range tags {
		dst = append(dst, tags[i][:]...)
	}
	return dst
}

// ParseTags reads the payload of KindCommitted into tags, which has M.
func ParseTags(tags []Tag, b []byte) error {
	if len(b) != tagRow*len(tags) {
		return ErrLength
	}
	for i := range tags {
		tags[i] = Tag(b[i*tagRow:])
	}
	return nil
}
