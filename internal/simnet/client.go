package simnet

import (
	"fmt"
	"slices"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/session"
	"github.com/teems-go/teems/internal/wire"
)

// Behaviour is what a client says and hears: secret, but for what a corrupt
// client tells the adversary. Submit and Control fill in zeroed plaintexts;
// acknowledgements are filled in by the client.
type Behaviour interface {
	Submit(epoch uint64, s cell.Submission)
	Control(epoch uint64, c cell.Control)
	Result(epoch uint64, r cell.Result)
	Deliver(epoch uint64, d cell.Delivery)
}

// Client is a client with its two sessions.
type Client struct {
	ID      uint32
	Corrupt bool // the adversary reads what it receives
	world   *World
	behave  Behaviour
	key     [32]byte
	salt    [16]byte
	ends    [2]end // ingestion, storage
	results map[uint64]bool
	mails   map[uint64]bool
	heads   map[uint64][]byte
	Refused []session.Refusal
	Slow    time.Duration // that the client takes longer than others to send a cell
}

type end struct {
	role     uint8
	server   int
	session  uint64 // 0: not attached
	up, down session.AEAD
	sequence uint64
	sealed   uint64 // newest epoch that a cell was sealed for
	fresh    bool   // nothing was sent in this session
	plain    []byte // of that cell
	through  uint64 // newest epoch received; they come in order
}

// Add adds a client that exists, not connected yet.
func (w *World) Add(id uint32, b Behaviour) *Client {
	return w.AddRegistered(id, keys.SimulatedClientKey(w.bytes32("simulated"), id), b)
}

// AddRegistered adds a client that registered, with the key that it was given.
func (w *World) AddRegistered(id uint32, key [32]byte, b Behaviour) *Client {
	g := w.Geometry
	c := &Client{ID: id, key: key, world: w, behave: b, results: map[uint64]bool{}, mails: map[uint64]bool{}, heads: map[uint64][]byte{}}
	r := w.bytes32(fmt.Sprintf("client %d", id))
	copy(c.salt[:], r[:])
	c.ends[0] = end{role: cell.RoleIngestion, server: g.Ingestions()[g.IngestionOf(id)]}
	c.ends[1] = end{role: cell.RoleStorage, server: g.Storages()[g.StorageOf(id)]}
	w.clients = append(w.clients, c)
	return c
}

// Connect attaches the client to its two servers, as if by a gateway.
func (c *Client) Connect() {
	for role := range c.ends {
		c.attach(role)
	}
}

// Disconnect ends both sessions.
func (c *Client) Disconnect() {
	w := c.world
	for role := range c.ends {
		e := &c.ends[role]
		if e.session == 0 {
			continue
		}
		id, s := e.session, w.servers[e.server]
		delete(w.sessions, id)
		e.session = 0
		w.connections(c.ID, e.role, false)
		w.after(time.Millisecond, func() {
			if s.machine != nil {
				s.machine.Detach(id)
				w.pump(s)
			}
		})
	}
}

func (w *World) connections(id uint32, role uint8, up bool) {
	w.View.add(Seen{Kind: "connection", Text: fmt.Sprint(id, role, up)})
	w.coordinator.Connections(0, []wire.Connection{{Client: id, Role: role, Up: up}})
	w.after(time.Millisecond, w.coordinate)
}

func (c *Client) attach(role int) {
	w, e := c.world, &c.ends[role]
	w.session++
	id := w.session
	e.session, e.fresh = id, true
	w.sessions[id] = c
	w.connections(c.ID, e.role, true)
	s := w.servers[e.server]
	proof := keys.AttachProof(c.key, w.bytes32("cluster"), uint32(e.server), e.role, c.ID, c.salt)
	w.View.add(Seen{Kind: "attach", From: fmt.Sprint("client ", c.ID), To: server1(e.server), Size: geometry.AttachBytes})
	w.after(time.Millisecond, func() {
		if s.machine != nil && e.session == id {
			s.machine.Attach(id, c.ID, e.role, c.salt, proof)
			w.pump(s)
		}
	})
}

// lost tells that a server is gone: the client attaches anew later.
func (c *Client) lost(server int) {
	for role := range c.ends {
		e := &c.ends[role]
		if e.server != server || e.session == 0 {
			continue
		}
		delete(c.world.sessions, e.session)
		e.session = 0
		c.world.connections(c.ID, e.role, false)
		c.again(role)
	}
}

func (c *Client) again(role int) {
	c.world.after(50*time.Millisecond, func() {
		e := &c.ends[role]
		if e.session != 0 {
			return
		}
		if c.world.servers[e.server].machine == nil {
			c.again(role)
			return
		}
		c.attach(role)
	})
}

// toClient carries something from a server to the client of a session.
func (w *World) toClient(from int, id uint64, kind string, size int, do func(c *Client, role int)) {
	c := w.sessions[id]
	if c == nil {
		return
	}
	w.View.add(Seen{Kind: kind, From: server1(from), To: fmt.Sprint("client ", c.ID), Size: size})
	w.after(time.Millisecond, func() {
		for role := range c.ends {
			if c.ends[role].session == id {
				do(c, role)
			}
		}
	})
}

func (w *World) sendCells(from int, batch *epoch.ClientCells) {
	if w.cfg.Cells != nil {
		w.cfg.Cells(from, batch)
	}
	for i, id := range batch.Sessions {
		sealed := slices.Clone(batch.Cell(i))
		typ, ep, attempt := batch.Type, batch.Epoch, batch.Attempt
		w.toClient(from, id, fmt.Sprint("cell ", typ, ep, attempt), len(sealed), func(c *Client, role int) {
			c.cell(role, typ, ep, attempt, sealed)
		})
	}
	batch.Sent()
}

func (c *Client) attached(role int, a epoch.Attached) {
	w, e := c.world, &c.ends[role]
	boot := w.servers[e.server].boot(w)
	e.up = keys.Session(c.key, cell.Up, e.role, c.salt, boot)
	e.down = keys.Session(c.key, cell.Down, e.role, c.salt, boot)
}

func (c *Client) refused(role int, r epoch.Refused) {
	c.Refused = append(c.Refused, r.Code)
}

// cell opens what a server sealed.
func (c *Client) cell(role int, typ uint16, ep uint64, attempt uint16, sealed []byte) {
	e := &c.ends[role]
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, ep, attempt, typ)
	cluster := c.world.bytes32("cluster")
	ad := cell.MakeAD(&cluster, cell.Down, e.role, typ, uint32(e.server))
	ad.SetEpoch(ep)
	ad.SetAttempt(attempt)
	ad.SetClient(c.ID)
	plain, err := e.down.Open(nil, nonce[:], sealed, ad[:])
	if err != nil {
		panic(fmt.Sprintf("simnet: client %d cannot open a cell of type %d, epoch %d: %v", c.ID, typ, ep, err))
	}
	if c.Corrupt {
		c.world.View.add(Seen{Kind: "plaintext", To: fmt.Sprint("client ", c.ID), Text: string(plain)})
	}
	switch typ {
	case cell.TypeAnnouncement:
		c.opened(role, cell.Announcement(plain).Open())
	case cell.TypeResult:
		if !c.results[ep] {
			c.results[ep] = true
			c.behave.Result(ep, plain)
		}
		e.through = max(e.through, ep)
		c.opened(role, cell.Result(plain).Open())
	case cell.TypeDelivery:
		c.heads[ep] = slices.Clone(cell.Delivery(plain).Head())
		if !c.mails[ep] {
			c.mails[ep] = true
			c.behave.Deliver(ep, plain)
		}
		e.through = max(e.through, ep)
		c.opened(role, cell.Delivery(plain).Open())
	}
}

// opened seals the one cell for an epoch and sends it; in a new session the same
// again.
func (c *Client) opened(role int, open uint64) {
	e := &c.ends[role]
	g := c.world.Geometry
	if open < e.sealed || open == e.sealed && !e.fresh {
		return
	}
	e.fresh = false
	typ := cell.TypeSubmission
	if open > e.sealed {
		e.sealed = open
		if role == 0 {
			e.plain = make([]byte, g.SubmissionBytes())
			c.behave.Submit(open, e.plain)
			cell.Submission(e.plain).SetResultsThrough(e.through)
		} else {
			e.plain = make([]byte, g.ControlBytes())
			c.behave.Control(open, e.plain)
			if head := c.heads[e.through]; head != nil {
				cell.Control(e.plain).SetAckEpoch(e.through)
				copy(cell.Control(e.plain).AckHead(), head)
			}
		}
	}
	if role == 1 {
		typ = cell.TypeControl
	}
	c.Send(role, typ, open, e.plain)
}

// Send seals a plaintext and sends it: tests use it to misbehave.
func (c *Client) Send(role int, typ uint16, ep uint64, plain []byte) {
	e := &c.ends[role]
	e.sequence++
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, e.sequence, typ)
	cluster := c.world.bytes32("cluster")
	ad := cell.MakeAD(&cluster, cell.Up, e.role, typ, uint32(e.server))
	ad.SetEpoch(ep)
	ad.SetClient(c.ID)
	c.SendSealed(role, typ, ep, e.sequence, e.up.Seal(nil, nonce[:], plain, ad[:]))
}

// SendSealed sends a sealed cell as it is.
func (c *Client) SendSealed(role int, typ uint16, ep, sequence uint64, sealed []byte) {
	w, e := c.world, &c.ends[role]
	w.View.add(Seen{Kind: fmt.Sprint("cell ", typ, ep), From: fmt.Sprint("client ", c.ID), To: server1(e.server), Size: len(sealed)})
	s, id := w.servers[e.server], e.session
	w.after(time.Millisecond+c.Slow, func() {
		if s.machine != nil {
			s.machine.Cells([]session.Cell{{Session: id, Type: typ, Epoch: ep, Sequence: sequence, Sealed: sealed}})
			w.pump(s)
		}
	})
}
