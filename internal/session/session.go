// Package session keeps the sealed conversations between one role of a server
// and its clients: which sessions are attached, which of them have proved that
// they hold their client's key, what was submitted for the open epoch, and the
// sealing of what goes down.
//
// It guarantees that at most one cell of its type is taken per client and
// epoch, that sequence numbers rise within a session, and that a nonce is used
// for one plaintext only as long as its callers give the same plaintext for the
// same type, epoch and attempt. A session that merely claims a client's ID
// displaces nothing: what is addressed to a client goes to the session that
// last sent a cell which authenticated, of the open epoch or the one before.
//
// Whether an outer cell authenticates is public, as are sessions and clients;
// the content of cells is not looked at here.
package session

import (
	"slices"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/record"
)

// Config describes one role of one server.
type Config struct {
	Cluster   [32]byte
	Role      uint8  // cell.RoleIngestion or cell.RoleStorage
	Server    uint32 // this server's index
	Type      uint16 // of the cells that clients send to this role
	CellBytes int    // plaintext bytes of such a cell
	Slots     int    // clients that this role can have
	Slot      func(client uint32) int
	AEAD      func(*Key) AEAD
	Memory    record.Memory // for the opened cells
	Workers   *oblivious.Workers
	Parallel  int
}

// Session is one attached session. It holds no pointers, so that a million of
// them cost the garbage collector nothing.
type Session struct {
	ID       uint64
	Client   uint32
	Role     uint8
	proved   bool   // it sent a cell that authenticated
	slot     int32  // the client's place
	at       int32  // its place in Table.order
	Sent     uint64 // newest epoch whose result or delivery was queued for it; the caller's
	Told     uint64 // newest epoch that it was told is open; the caller's
	salt     [16]byte
	up, down Key
}

// proof is the newest start of a client that proved itself, with the highest
// sequence number of its cells: they rise over all sessions of one start.
type proof struct {
	salt     [16]byte
	sequence uint64
}

// slab is how many sessions are allocated at a time, one behind the other.
const slab = 256

// Table is the sessions of one role. Its methods are for one goroutine.
type Table struct {
	cfg     Config
	order   []*Session // in a deterministic order, for announcements
	proofs  []proof    // by slot
	active  []*Session // by slot: the session that what is addressed to a client goes to
	fresh   []Session  // of a slab, not used yet
	open    uint64
	pending *Taken // of the open epoch; nil until the first cell for it comes
	spare   *Taken // for the next one, if clients submit while an epoch is routed
	lanes   []lane
}

// Taken is what clients submitted for one epoch, by slot.
type Taken struct {
	Count   int
	Cells   []byte // CellBytes each
	Present []bool
	Tag     [][cell.TagBytes]byte // of the sealed cell
}

// Cell is the plaintext that the client at the slot submitted; meaningless if
// it is not Present.
func (t *Taken) Cell(slot, width int) []byte { return t.Cells[slot*width : (slot+1)*width] }

// lane is what one worker keeps: scratch and the outcome of its share.
type lane struct {
	plain   []byte
	refused []Refused
	fresh   []*Session
	taken   int
}

// Refused is a cell that was not taken, and why.
type Refused struct {
	Session uint64
	Code    Refusal
	Epoch   uint64
}

// New makes the table of a role with no sessions; epoch is the first one open.
func New(cfg Config, epoch uint64) *Table {
	t := &Table{
		cfg:    cfg,
		proofs: make([]proof, cfg.Slots),
		active: make([]*Session, cfg.Slots),
		lanes:  make([]lane, max(1, cfg.Parallel)),
		open:   epoch,
	}
	for i := range t.lanes {
		t.lanes[i].plain = make([]byte, cfg.CellBytes+cell.TagBytes)
	}
	return t
}

// room makes the place for the open epoch's cells, if a batch brings one that
// may be taken. Most epochs have one place at a time: clients submit when the
// epoch before is final, and what it took is given back by then.
func (t *Table) room(batch []Arrived) {
	if t.pending != nil || !slices.ContainsFunc(batch, func(a Arrived) bool { return t.fits(a.Cell) == 0 }) {
		return
	}
	if t.pending, t.spare = t.spare, nil; t.pending != nil {
		return
	}
	n := t.cfg.Slots
	t.pending = &Taken{Cells: t.cfg.Memory.Get(n * t.cfg.CellBytes), Present: make([]bool, n), Tag: make([][cell.TagBytes]byte, n)}
}

// fits says whether a cell may be one for the open epoch, or why not; WrongEpoch
// of one that is right but for its epoch.
func (t *Table) fits(c *Cell) Refusal {
	switch {
	case c.Type != t.cfg.Type || len(c.Sealed) != t.cfg.CellBytes+cell.TagBytes:
		return WrongSize
	case c.Sequence == 0:
		return OldSequence
	case c.Epoch != t.open:
		return WrongEpoch
	}
	return 0
}

// Open is the epoch that takes submissions.
func (t *Table) Open() uint64 { return t.open }

// Submissions is the number of cells taken for the open epoch.
func (t *Table) Submissions() int {
	if t.pending == nil {
		return 0
	}
	return t.pending.Count
}

// Len is the number of attached sessions.
func (t *Table) Len() int { return len(t.order) }

// Attach adds a session of a client's start, which its salt tells, with the keys
// of its two directions.
func (t *Table) Attach(id uint64, client uint32, salt [16]byte, up, down Key) *Session {
	if len(t.fresh) == 0 {
		t.fresh = make([]Session, slab)
	}
	s := &t.fresh[0]
	t.fresh = t.fresh[1:]
	*s = Session{
		ID: id, Client: client, Role: t.cfg.Role, salt: salt, up: up, down: down,
		slot: int32(t.cfg.Slot(client)), at: int32(len(t.order)),
	}
	t.order = append(t.order, s)
	if t.active[s.slot] == nil {
		t.active[s.slot] = s
	}
	return s
}

// Detach removes a session.
func (t *Table) Detach(s *Session) {
	last := int32(len(t.order) - 1)
	t.order[s.at] = t.order[last]
	t.order[s.at].at = s.at
	t.order[last] = nil
	t.order = t.order[:last]
	if t.active[s.slot] == s {
		t.active[s.slot] = nil
	}
}

// Forget returns the sessions of a client whose keys are of the past, to be
// detached, and forgets what it proved under them.
func (t *Table) Forget(client uint32) (of []*Session) {
	t.proofs[t.cfg.Slot(client)] = proof{}
	for _, s := range t.order {
		if s.Client == client {
			of = append(of, s)
		}
	}
	return of
}

// Active returns the sessions that deliveries and results go to: those
// whose client proved itself in them, by slot.
func (t *Table) Active() []*Session {
	dst := make([]*Session, 0, len(t.order))
	for _, s := range t.active {
		if s != nil && s.proved {
			dst = append(dst, s)
		}
	}
	return dst
}

// Untold returns the attached sessions that were not told that the open epoch
// is open.
func (t *Table) Untold() (to []*Session) {
	for _, s := range t.order {
		if s.Told < t.open {
			to = append(to, s)
		}
	}
	return to
}

// Take ends submission for the open epoch and opens the next one. What it
// returns, nil if nothing came, is valid until it is given back with Return.
func (t *Table) Take() *Taken {
	taken := t.pending
	t.open++
	t.pending = nil
	return taken
}

// Return gives back what Take returned. Its memory is kept for the next epoch,
// and a second one as long as somebody submits while an epoch is routed.
func (t *Table) Return(taken *Taken) {
	if taken == nil {
		return
	}
	if t.spare != nil {
		t.cfg.Memory.Put(t.spare.Cells)
	}
	clear(taken.Present)
	taken.Count = 0
	t.spare = taken
}

// Arrived is a cell with the session of this table that it came from.
type Arrived struct {
	From *Session
	*Cell
}

// Cells opens a batch of cells in parallel. It returns those that were refused,
// in the order of their workers, and the sessions that results and deliveries go
// to from now on. Visible: which cells authenticate.
func (t *Table) Cells(batch []Arrived) (refused []Refused, fresh []*Session) {
	t.room(batch)
	parts := min(len(t.lanes), max(1, len(batch)/32))
	t.cfg.Workers.Each(parts, func(p int) {
		l := &t.lanes[p]
		l.refused, l.fresh, l.taken = l.refused[:0], l.fresh[:0], 0
		for i := range batch {
			s, c := batch[i].From, batch[i].Cell
			// All cells of a client are one worker's.
			if int(s.slot)%parts != p {
				continue
			}
			if code := t.take(l, s, c); code != 0 {
				l.refused = append(l.refused, Refused{c.Session, code, c.Epoch})
			}
		}
	})
	for p := range parts {
		l := &t.lanes[p]
		if l.taken > 0 {
			t.pending.Count += l.taken
		}
		refused = append(refused, l.refused...)
		fresh = append(fresh, l.fresh...)
	}
	return refused, fresh
}

// take opens one cell into its client's place, or says why not. One that is an
// epoch late is not taken, and proves its client nevertheless: who always is, as
// clients on slow connections may be, gets deliveries.
func (t *Table) take(l *lane, s *Session, c *Cell) Refusal {
	slot := int(s.slot)
	last := &t.proofs[slot]
	code := t.fits(c)
	late := code == WrongEpoch && c.Epoch+1 == t.open
	if code != 0 && !late {
		return code
	}
	if s.salt == last.salt && c.Sequence <= last.sequence {
		return OldSequence
	}
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, c.Sequence, c.Type)
	ad := cell.MakeAD(&t.cfg.Cluster, cell.Up, t.cfg.Role, c.Type, t.cfg.Server)
	ad.SetEpoch(c.Epoch)
	ad.SetClient(s.Client)
	// The first cell of an epoch is opened where it stays; what does not
	// authenticate leaves zeros there.
	taken := !late && t.pending.Present[slot]
	to := l.plain[:0]
	if !taken && !late {
		to = t.pending.Cell(slot, t.cfg.CellBytes)[:0]
	}
	if _, err := t.cfg.AEAD(&s.up).Open(to, nonce[:], c.Sealed, ad[:]); err != nil {
		return BadTag
	}
	// The cell is new, and its client's: what is addressed to the client comes
	// here from now on.
	*last = proof{s.salt, c.Sequence}
	if !s.proved || t.active[slot] != s {
		s.proved = true
		t.active[slot] = s
		l.fresh = append(l.fresh, s)
	}
	if late {
		return WrongEpoch
	}
	if taken {
		return AlreadySubmitted
	}
	t.pending.Present[slot] = true
	t.pending.Tag[slot] = cell.Tag(c.Sealed)
	l.taken++
	return 0
}

// Seal seals one cell of the given type for each session, one behind the other
// in dst, which holds len(to) * (width + tag) bytes. compose writes the
// plaintext for a client; it is called by several goroutines at once. The same
// type, epoch and attempt must always get the same plaintext.
func (t *Table) Seal(dst []byte, to []*Session, typ uint16, epoch uint64, attempt uint16, width int, compose func(client uint32, plain []byte)) {
	parts := min(len(t.lanes), max(1, len(to)/32))
	t.cfg.Workers.Each(parts, func(p int) {
		l := &t.lanes[p]
		if cap(l.plain) < width+cell.TagBytes {
			l.plain = make([]byte, width+cell.TagBytes)
		}
		plain := l.plain[:width]
		ad := cell.MakeAD(&t.cfg.Cluster, cell.Down, t.cfg.Role, typ, t.cfg.Server)
		ad.SetEpoch(epoch)
		ad.SetAttempt(attempt)
		var nonce [cell.NonceBytes]byte
		cell.PutDownNonce(&nonce, epoch, attempt, typ)
		sealed := width + cell.TagBytes
		for i := len(to) * p / parts; i < len(to)*(p+1)/parts; i++ {
			clear(plain)
			compose(to[i].Client, plain)
			ad.SetClient(to[i].Client)
			out := dst[i*sealed : i*sealed : (i+1)*sealed]
			t.cfg.AEAD(&to[i].down).Seal(out, nonce[:], plain, ad[:])
		}
	})
}
