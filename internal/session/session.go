// Package session keeps the sealed conversations between a server in one role
// (ingestion, storage, or both at once) and its clients: which sessions are
// attached, which of them have proved that they hold their client's key, what was
// submitted for the open epoch, and the sealing of what goes down.
//
// It guarantees that at most one cell of its type is taken per client and
// epoch, that sequence numbers rise within a session, and that a nonce is used
// for one plaintext only as long as its callers give the same plaintext for the
// same type, epoch and attempt. Its callers attach only who proved to have the
// client's key, once a start of the client: such a proof can be replayed, and
// then displaces nothing but a session of the same start. Nor does it get
// anything: what is addressed to a client goes to the session that last sent a
// cell which authenticated, of the open epoch or the one before.
//
// Whether an outer cell authenticates is public, as are sessions and clients;
// the content of cells is not looked at here. Memory is in arrays without
// pointers, so that a million sessions cost the garbage collector nothing, and
// how much there is follows from how many sessions and clients there are.
package session

import (
	"math/bits"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/record"
)

// Config describes one role of one server.
type Config struct {
	Cluster   [32]byte
	Role      uint8  // cell.RoleIngestion, cell.RoleStorage or both, cell.RoleJoint
	Server    uint32 // this server's index
	CellBytes int    // plaintext bytes of a cell that clients send to this role
	Slots     int    // clients that this role can have
	Slot      func(client uint32) int
	AEAD      func(*Key) AEAD
	Secret    [16]byte // against those who choose the sessions' IDs
	Memory    record.Memory
	Workers   *oblivious.Workers
	Parallel  int
}

// mostUnproved is how many sessions a client may have besides the one that it
// proved itself in last: one of each start, and of so many starts, of which the
// oldest gives way to a new one. Whoever replays attachments takes no more memory
// than that.
const mostUnproved = 4

// entry is one attached session: two cache lines, the first of them what taking
// a cell needs, the second what sealing one does.
type entry struct {
	id     uint64
	client uint32
	slot   int32 // the client's place
	salt   [16]byte
	up     Key

	sent  uint64 // newest epoch whose result or delivery was sealed or queued for it
	told  uint64 // newest epoch that it was told is open
	older Handle // the client's session before, and 1; 0 for none
	at    uint32 // its place among the sessions of its link
	live  bool
	down  Key
}

// proof is the newest start of a client that proved itself, with the highest
// sequence number of its cells: they rise over all sessions of one start.
type proof struct {
	salt     [16]byte
	sequence uint64
}

// client is what there is of a client besides its sessions.
type client struct {
	proof
	active Handle // the session that what is addressed to the client goes to, and 1; 0 for none
	newest Handle // of its sessions, and 1; 0 for none
}

// Table is the sessions of one role. Its methods are for one goroutine.
type Table struct {
	cfg     Config
	typ     uint16 // of the cells that clients send
	index   index
	slabs   [][]entry // by handle
	shift   int       // of a handle, to its slab
	free    []Handle
	made    Handle // handles ever used are below
	len     int
	clients []client // by slot
	links   []*link  // in the order in which they came

	open    uint64
	pending *Taken // of the open epoch; nil until the first cell for it comes
	spare   *Taken // for the next one, if clients submit while an epoch is routed
	lanes   []lane
	found   []Handle // of the cells of a batch
	refused []Refused
	fresh   []Handle
}

// lane is what one worker keeps: scratch and the outcome of its share.
type lane struct {
	plain       []byte
	nonce       [cell.NonceBytes]byte // here, as what an interface is given is else made anew
	ad          cell.AD
	refused     []Refused
	fresh       []Handle
	recipients  []Handle
	unannounced []Handle
	taken       int
}

// parts is into how many parts to cut work on n sessions.
func (t *Table) parts(n int) int { return min(len(t.lanes), max(1, n/32)) }

// none is no session.
const none = ^Handle(0)

// Sessions are allocated some at a time, one behind the other: 2 MiB of them at
// most, and not many more than there are clients.
const (
	leastShift = 5
	mostShift  = 14
)

// New makes the table of a role with no sessions; epoch is the first one open.
func New(cfg Config, epoch uint64) *Table {
	t := &Table{
		cfg:     cfg,
		typ:     cell.UpType(cfg.Role),
		index:   newIndex(cfg.Memory, cfg.Secret),
		shift:   max(leastShift, min(mostShift, bits.Len(uint(max(cfg.Slots, 1)-1)))),
		clients: record.Make[client](cfg.Memory, cfg.Slots),
		lanes:   make([]lane, max(1, cfg.Parallel)),
		open:    epoch,
	}
	for i := range t.lanes {
		t.lanes[i].plain = make([]byte, cfg.CellBytes+cell.TagBytes)
	}
	return t
}

func (t *Table) entry(h Handle) *entry { return &t.slabs[h>>t.shift][h&(1<<t.shift-1)] }

func (t *Table) idOf(h Handle) uint64 { return t.entry(h).id }

// Role is the role whose sessions these are.
func (t *Table) Role() uint8 { return t.cfg.Role }

// Type is the type of the cells that clients send in these sessions.
func (t *Table) Type() uint16 { return t.typ }

// CellBytes is the length of the plaintext of such a cell.
func (t *Table) CellBytes() int { return t.cfg.CellBytes }

// Find returns the session with an ID.
func (t *Table) Find(id uint64) (Handle, bool) {
	return t.index.find(id, func(h Handle) bool { return t.entry(h).id == id })
}

// ID is a session's.
func (t *Table) ID(h Handle) uint64 { return t.entry(h).id }

// Client is who a session claims to be, and is once it is Active.
func (t *Table) Client(h Handle) uint32 { return t.entry(h).client }

// Sent is the newest epoch whose result or delivery a session got, and SetSent
// notes it.
func (t *Table) Sent(h Handle) uint64 { return t.entry(h).sent }

// SetSent notes the newest epoch whose result or delivery a session got.
func (t *Table) SetSent(h Handle, epoch uint64) { t.entry(h).sent = epoch }

// Active says whether what is addressed to its client goes to the session.
func (t *Table) Active(h Handle) bool {
	e := t.entry(h)
	return e.live && t.clients[e.slot].active == h+1
}

// Len is the number of attached sessions.
func (t *Table) Len() int { return t.len }

// Attach adds a session of a client's start, which its salt tells, with the keys
// of its two directions. Another session with its ID must have been detached. A
// session of the same start gives way to it, but for the one that the client
// proved itself in last: a client that lost its connection comes back before the
// lost one is known to be. So does the oldest if there are too many of others. The
// one that gave way is displaced.
func (t *Table) Attach(id uint64, client uint32, salt [16]byte, up, down Key) (h Handle, displaced uint64, gaveWay bool) {
	slot := int32(t.cfg.Slot(client))
	displaced, gaveWay = t.makeWay(&t.clients[slot], salt)
	c := &t.clients[slot]
	h = t.handle()
	l := t.link(LinkOf(id))
	*t.entry(h) = entry{
		id: id, client: client, slot: slot, salt: salt, up: up, down: down,
		older: c.newest, at: uint32(len(l.members)), live: true,
	}
	c.newest = h + 1
	l.members = append(l.members, h)
	t.len++
	t.index.add(id, h, t.idOf)
	return h, displaced, gaveWay
}

// handle returns one that is free.
func (t *Table) handle() Handle {
	if n := len(t.free); n > 0 {
		h := t.free[n-1]
		t.free = t.free[:n-1]
		return h
	}
	if int(t.made)>>t.shift == len(t.slabs) {
		t.slabs = append(t.slabs, record.Make[entry](t.cfg.Memory, 1<<t.shift))
	}
	t.made++
	return t.made - 1
}

// makeWay detaches the session of a client's start, if there is one that is not
// active, or else the oldest if the client has too many.
func (t *Table) makeWay(c *client, salt [16]byte) (displaced uint64, gaveWay bool) {
	n, goes := 0, none
	for x := c.newest; x != 0; x = t.entry(x - 1).older {
		if x == c.active {
			continue
		}
		n, goes = n+1, x-1
		if t.entry(goes).salt == salt {
			n = mostUnproved
			break
		}
	}
	if n < mostUnproved {
		return 0, false
	}
	displaced = t.entry(goes).id
	t.detach(goes)
	return displaced, true
}

// Detach removes the session with an ID, if there is one.
func (t *Table) Detach(id uint64) {
	if h, ok := t.Find(id); ok {
		t.detach(h)
	}
}

func (t *Table) detach(h Handle) {
	e := t.entry(h)
	t.index.remove(e.id, func(x Handle) bool { return x == h }, t.idOf)
	t.leave(e)
	c := &t.clients[e.slot]
	if c.active == h+1 {
		c.active = 0
	}
	for x := &c.newest; *x != 0; x = &t.entry(*x - 1).older {
		if *x == h+1 {
			*x = e.older
			break
		}
	}
	*e = entry{} // the keys above all
	t.len--
	t.free = append(t.free, h)
}

// Forget detaches the sessions of a client whose keys are of the past, and
// forgets what it proved under them.
func (t *Table) Forget(id uint32) {
	c := &t.clients[t.cfg.Slot(id)]
	for c.newest != 0 {
		t.detach(c.newest - 1)
	}
	c.proof = proof{}
}
