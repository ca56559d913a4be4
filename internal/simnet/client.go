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

// Client is a client with its sessions: two, or one with a server that is both
// its ingestion and its storage server.
type Client struct {
	ID      uint32
	Corrupt bool // the adversary reads what it receives
	world   *World
	behave  Behaviour
	key     [32]byte
	salt    [16]byte
	ends    []end // ingestion, storage; or both in one
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
	for _, h := range cell.Assignments(g, id) {
		c.ends = append(c.ends, end{role: h.Role, server: h.Server})
	}
	w.clients = append(w.clients, c)
	return c
}

// Connect attaches the client to its servers, as if by a gateway.
func (c *Client) Connect() {
	for at := range c.ends {
		c.attach(at)
	}
}

// Disconnect ends all sessions.
func (c *Client) Disconnect() {
	w := c.world
	for at := range c.ends {
		e := &c.ends[at]
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

func (c *Client) attach(at int) {
	w, e := c.world, &c.ends[at]
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
	for at := range c.ends {
		e := &c.ends[at]
		if e.server != server || e.session == 0 {
			continue
		}
		delete(c.world.sessions, e.session)
		e.session = 0
		c.world.connections(c.ID, e.role, false)
		c.again(at)
	}
}

func (c *Client) again(at int) {
	c.world.after(50*time.Millisecond, func() {
		e := &c.ends[at]
		if e.session != 0 {
			return
		}
		if c.world.servers[e.server].machine == nil {
			c.again(at)
			return
		}
		c.attach(at)
	})
}

// toClient carries something from a server to the client of a session.
func (w *World) toClient(from int, id uint64, kind string, size int, do func(c *Client, at int)) {
	c := w.sessions[id]
	if c == nil {
		return
	}
	w.View.add(Seen{Kind: kind, From: server1(from), To: fmt.Sprint("client ", c.ID), Size: size})
	w.after(time.Millisecond, func() {
		for at := range c.ends {
			if c.ends[at].session == id {
				do(c, at)
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
		w.toClient(from, id, fmt.Sprint("cell ", typ, ep, attempt), len(sealed), func(c *Client, at int) {
			c.cell(at, typ, ep, attempt, sealed)
		})
	}
	batch.Sent()
}

func (c *Client) attached(at int) {
	w, e := c.world, &c.ends[at]
	boot := w.servers[e.server].boot(w)
	e.up = keys.Session(c.key, cell.Up, e.role, c.salt, boot)
	e.down = keys.Session(c.key, cell.Down, e.role, c.salt, boot)
}

// cell opens what a server sealed.
func (c *Client) cell(at int, typ uint16, ep uint64, attempt uint16, sealed []byte) {
	e := &c.ends[at]
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
		c.opened(at, cell.Announcement(plain).Open())
	case cell.DownType(e.role):
		r, d := cell.CutDown(c.world.Geometry, e.role, plain)
		if r != nil && !c.results[ep] {
			c.results[ep] = true
			c.behave.Result(ep, r)
		}
		if d != nil {
			c.heads[ep] = slices.Clone(d.Head())
			if !c.mails[ep] {
				c.mails[ep] = true
				c.behave.Deliver(ep, d)
			}
		}
		e.through = max(e.through, ep)
		c.opened(at, ep+1)
	default:
		panic(fmt.Sprintf("simnet: client %d got a cell of type %d from a server in role %d", c.ID, typ, e.role))
	}
}

// opened seals the one cell for an epoch and sends it; in a new session the same
// again.
func (c *Client) opened(at int, open uint64) {
	e := &c.ends[at]
	g := c.world.Geometry
	if open < e.sealed || open == e.sealed && !e.fresh {
		return
	}
	e.fresh = false
	if open > e.sealed {
		e.sealed = open
		e.plain = make([]byte, cell.UpBytes(g, e.role))
		s, k := cell.CutUp(g, e.role, e.plain)
		if s != nil {
			c.behave.Submit(open, s)
			s.SetResultsThrough(e.through)
		}
		if k != nil {
			c.behave.Control(open, k)
			if head := c.heads[e.through]; head != nil {
				k.SetAckEpoch(e.through)
				copy(k.AckHead(), head)
			}
		}
	}
	c.Send(at, open, e.plain)
}

// end is the client's end towards its server of a role.
func (c *Client) end(role uint8) int {
	return slices.IndexFunc(c.ends, func(e end) bool { return e.role&role != 0 })
}

// control is the control cell that the client sealed last; nil if none yet.
func (c *Client) control() cell.Control {
	e := &c.ends[c.end(cell.RoleStorage)]
	if e.plain == nil {
		return nil
	}
	_, k := cell.CutUp(c.world.Geometry, e.role, e.plain)
	return k
}

// Send seals a plaintext and sends it at an end: tests use it to misbehave.
func (c *Client) Send(at int, ep uint64, plain []byte) {
	e := &c.ends[at]
	e.sequence++
	typ := cell.UpType(e.role)
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, e.sequence, typ)
	cluster := c.world.bytes32("cluster")
	ad := cell.MakeAD(&cluster, cell.Up, e.role, typ, uint32(e.server))
	ad.SetEpoch(ep)
	ad.SetClient(c.ID)
	c.SendSealed(at, typ, ep, e.sequence, e.up.Seal(nil, nonce[:], plain, ad[:]))
}

// SendSealed sends a sealed cell as it is.
func (c *Client) SendSealed(at int, typ uint16, ep, sequence uint64, sealed []byte) {
	w, e := c.world, &c.ends[at]
	w.View.add(Seen{Kind: fmt.Sprint("cell ", typ, ep), From: fmt.Sprint("client ", c.ID), To: server1(e.server), Size: len(sealed)})
	s, id := w.servers[e.server], e.session
	w.after(time.Millisecond+c.Slow, func() {
		if s.machine != nil {
			s.machine.Cells([]session.Cell{{Session: id, Type: typ, Epoch: ep, Sequence: sequence, Sealed: sealed}})
			w.pump(s)
		}
	})
}
