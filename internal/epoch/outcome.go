package epoch

import (
	"encoding/binary"
	"errors"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/role/storage"
	"github.com/teems-go/teems/internal/token"
)

// ErrState reports durable state that cannot be read: it is damaged, or of
// another version.
var ErrState = errors.New("epoch: durable state is damaged or of another version")

// outcome is what one attempt at an epoch would change on this server: what is
// made durable before PREPARED, and what clients get after it is final. It is
// never changed once prepared.
type outcome struct {
	epoch   uint64
	attempt uint16
	void    bool
	head    commit.EpochHead // known once decided
	users   []int            // U_v during the epoch
	changes []change         // registrations of all storage servers
	jobs    int              // of cells to be sealed
	dropped bool             // not kept any more: cells that are not sealed yet never are

	// Storage. Rows are by local index of the mailbox.
	boxes   record.Table // Ins rows a mailbox
	answers []byte       // Requests answers a mailbox
	acked   []byte       // u64 a mailbox: deliveries acknowledged, this epoch's control cell included
	slots   *token.Slots // watermarks after the epoch

	// Ingestion. Rows are by place among this server's clients.
	verdicts []byte // verdictBytes a client
	through  []byte // u64 a client: results acknowledged
}

const outcomeVersion = 2

// verdictHead is what stands in a verdict before the statuses, one byte a
// message cell: accepted u8, and the tag of what was accepted. All else in a
// result follows from the epoch.
const verdictHead = 1 + cell.TagBytes

func (s *Server) verdictBytes() int { return verdictHead + s.cfg.Geometry.Outs() }

// parts is the outcome's durable form: a header, then parts each behind its
// length, all of public sizes. Bulk parts are views, not copies; what is encoded
// is in scratch, and valid until that is used again.
func (o *outcome) parts(scratch *[]byte) [][]byte {
	le := binary.LittleEndian
	h := le.AppendUint32(nil, outcomeVersion)
	h = le.AppendUint64(h, o.epoch)
	h = le.AppendUint16(h, o.attempt)
	void := uint16(0)
	if o.void {
		void = 1
	}
	h = le.AppendUint16(h, void)
	users := make([]byte, 0, 4*len(o.users))
	for _, u := range o.users {
		users = le.AppendUint32(users, uint32(u))
	}
	var changes, slots []byte
	for _, c := range o.changes {
		changes = appendChange(changes, c)
	}
	if o.slots != nil {
		slots = o.slots.Append((*scratch)[:0])
		*scratch = slots
	}
	out := [][]byte{h}
	for _, p := range [][]byte{users, changes, o.boxes.Headers.Data, o.boxes.Bodies.Data, o.answers, o.acked, slots, o.verdicts, o.through} {
		out = append(out, le.AppendUint64(nil, uint64(len(p))), p)
	}
	return out
}

// free gives an outcome's memory back.
func (s *Server) free(o *outcome) {
	m := s.cfg.Memory
	o.boxes.Free(m)
	for _, b := range [][]byte{o.answers, o.acked, o.verdicts, o.through} {
		record.Drop(m, b)
	}
	if o.slots != nil {
		s.spareSlots = append(s.spareSlots, o.slots)
	}
	*o = outcome{epoch: o.epoch, dropped: o.dropped}
}

// copySlots is a copy of the watermarks, in memory that an outcome gave back.
func (s *Server) copySlots() *token.Slots {
	c := new(token.Slots)
	if n := len(s.spareSlots); n > 0 {
		c, s.spareSlots = s.spareSlots[n-1], s.spareSlots[:n-1]
	}
	c.CopyFrom(s.slots)
	return c
}

// parseOutcome reads what parts wrote, for bodies of the given stride.
func parseOutcome(b []byte, stride int) (*outcome, error) {
	le := binary.LittleEndian
	if len(b) < 16 || le.Uint32(b) != outcomeVersion {
		return nil, ErrState
	}
	o := &outcome{epoch: le.Uint64(b[4:]), attempt: le.Uint16(b[12:]), void: le.Uint16(b[14:]) == 1}
	b = b[16:]
	var part [9][]byte
	for i := range part {
		if len(b) < 8 || le.Uint64(b) > uint64(len(b)-8) {
			return nil, ErrState
		}
		n := le.Uint64(b)
		part[i], b = b[8:8+n:8+n], b[8+n:]
	}
	if len(b) != 0 || len(part[0])%4 != 0 {
		return nil, ErrState
	}
	for u := part[0]; len(u) > 0; u = u[4:] {
		o.users = append(o.users, int(le.Uint32(u)))
	}
	var ok bool
	if o.changes, ok = parseChanges(part[1]); !ok {
		return nil, ErrState
	}
	n := len(part[2]) / record.HeadBytes
	o.boxes = record.NewTable(record.Heap{}, n, stride)
	if !o.boxes.Fits(uint32(n), part[2], part[3]) {
		return nil, ErrState
	}
	copy(o.boxes.Headers.Data, part[2])
	copy(o.boxes.Bodies.Data, part[3])
	o.answers, o.acked, o.verdicts, o.through = part[4], part[5], part[7], part[8]
	if len(part[6]) > 0 {
		var err error
		if o.slots, err = token.ParseSlots(part[6]); err != nil {
			return nil, ErrState
		}
	}
	return o, nil
}

// rows is where a role of this server has its clients in an outcome: the row of
// each of its shards' first client, -1 for shards of others, and how many
// clients each shard has.
type rows struct{ first, users []int }

// rowsOf counts the rows of the clients that a role of this server held in an
// epoch: the users of its shards, shard by shard.
func rowsOf(users []int, owners []uint32, role int) (r rows, n int) {
	r = rows{make([]int, len(users)), users}
	for v, k := range users {
		r.first[v] = -1
		if int(owners[v]) == role {
			r.first[v] = n
			n += k
		}
	}
	return r, n
}

// of is a public client's row. It is not ok for another server's client, or for
// one that registered later.
func (r rows) of(client uint32) (row int, ok bool) {
	shards := uint32(len(r.users))
	v, u := client%shards, int(client/shards)
	return r.first[v] + u, r.first[v] >= 0 && u < r.users[v]
}

// delivery writes a client's delivery, over zeros. r is the storage role's rows,
// mac that of the head. All of it follows from the epoch's outcome, so that it is
// the same each time.
func (s *Server) delivery(o *outcome, r rows, client uint32, d cell.Delivery, mac [cell.MACBytes]byte) {
	g := s.cfg.Geometry
	d.SetEpoch(o.epoch)
	d.SetAttempt(o.attempt)
	copy(d.Head(), o.head[:])
	copy(d.HeadMAC(), mac[:])
	if o.void {
		d.SetFlags(cell.FlagVoid)
		return
	}
	u, ok := r.of(client)
	if !ok {
		return
	}
	d.SetAckedThrough(binary.LittleEndian.Uint64(o.acked[8*u:]))
	storage.PutCells(g, o.boxes, u, d)
	width := g.Requests() * cell.AnswerBytes
	copy(d[g.DeliveryAnswer(0):], o.answers[u*width:(u+1)*width])
}

// result writes a client's result, over zeros. rows is the ingestion role's, mac
// that of the head. All of it follows from the epoch's outcome, so that it is the
// same each time.
func (s *Server) result(o *outcome, rows rows, client uint32, r cell.Result, mac [cell.MACBytes]byte) {
	r.SetEpoch(o.epoch)
	r.SetAttempt(o.attempt)
	copy(r.Head(), o.head[:])
	copy(r.HeadMAC(), mac[:])
	if o.void {
		r.SetFlags(cell.FlagVoid)
		return
	}
	u, ok := rows.of(client)
	if !ok {
		return
	}
	width := s.verdictBytes()
	v := o.verdicts[u*width : (u+1)*width]
	r.SetFlags(cell.FlagAccepted * uint16(v[0]))
	copy(r.AcceptedTag(), v[1:verdictHead])
	copy(r[s.cfg.Geometry.ResultStatus(0):], v[verdictHead:])
}
