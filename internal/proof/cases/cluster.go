package cases

import (
	"crypto/rand"
	"encoding/binary"
	mrand "math/rand/v2"
	"unsafe"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/session"
)

// Marker marks memory secret and public; memcheck has one.
type Marker struct{ Secret, Public func([]byte) }

// Cluster is all servers of a deployment in memory, and its clients.
type Cluster struct {
	g        *geometry.Geometry
	schedule *keys.Schedule // the clients' and the test's own copy: public here
	id       [32]byte
	servers  []*epoch.Server
	n        int
	up       [][]session.AEAD // by client and home
	subs     [][]session.Cell // by server
	perm     []int            // who sends to whom
	kinds    []int            // and what
	epoch    uint64
	Sealed   int // cells sealed for clients
}

// forget is a store that keeps nothing: what a server stores is sealed on the
// way, outside of this package.
type forget struct{}

func (forget) Put(string, ...[]byte) error   { return nil }
func (forget) Get(string) ([]byte, error)    { return nil, commit.ErrNotFound }
func (forget) Delete(string) error           { return nil }
func boot(i int) (b [16]byte)                { b[0] = byte(i); return b }
func sessionOf(id uint32, role uint8) uint64 { return uint64(id)<<2 | uint64(role) }

// serverKeys are a server's keys, derived from a master secret that is marked
// secret; so then is every plaintext that it opens.
type serverKeys struct {
	*keys.Server
	mark Marker
	g    *geometry.Geometry
}

// AEAD makes an AEAD that marks as public, in what a client submits, the fields
// by which it acknowledges results (the first 8 bytes of a submission) and
// deliveries (the first 40 of a control cell: epoch and head).
//
// Argument: an honest client acknowledges what it received as soon as it has,
// whatever its user does, so the fields follow from who was connected when; a
// corrupt client's are the adversary's own. That a server lets go of an old
// epoch at a certain time, and sends a client that attaches anew what it lacks,
// may therefore depend on them.
func (k serverKeys) AEAD(key *session.Key) session.AEAD { return opener{k.Server.AEAD(key), k} }

// CheckAttach marks its answer public: whether an attachment was made with the
// client's key its author knows, and the server says so plainly.
func (k serverKeys) CheckAttach(clientKey, cluster [32]byte, server uint32, role uint8, client uint32, clientSalt, proof [16]byte) bool {
	ok := k.Server.CheckAttach(clientKey, cluster, server, role, client, clientSalt, proof)
	k.mark.Public(unsafe.Slice((*byte)(unsafe.Pointer(&ok)), 1))
	return ok
}

type opener struct {
	session.AEAD
	k serverKeys
}

func (o opener) Open(dst, nonce, sealed, ad []byte) ([]byte, error) {
	plain, err := o.AEAD.Open(dst, nonce, sealed, ad)
	if err != nil {
		return plain, err
	}
	said := plain[len(dst):]
	for _, role := range []uint8{cell.RoleIngestion, cell.RoleStorage, cell.RoleJoint} {
		if len(said) != cell.UpBytes(o.k.g, role) {
			continue
		}
		sub, control := cell.CutUp(o.k.g, role, said)
		if sub != nil {
			o.k.mark.Public(sub[:8])
		}
		if control != nil {
			o.k.mark.Public(control[:40])
		}
	}
	return plain, nil
}

// channelParams are those of a cluster of m servers with all roles, and one that
// only takes submissions: some clients have one session then, some two.
func channelParams(channel string, n, m int) geometry.Params {
	p := geometry.Params{Capacity: n, CellBytes: 64, DeliveryEpochs: 2}
	if channel != "token" {
		p.ID = geometry.IDChannel{Out: 1, Contact: 1, Stranger: 1}
	}
	if channel != "id" {
		p.Token = geometry.TokenChannel{Out: 1, In: 1}
	}
	for range m {
		p.Servers = append(p.Servers, geometry.Server{Roles: geometry.AllRoles, Weight: 1})
	}
	p.Servers = append(p.Servers, geometry.Server{Roles: geometry.Ingestion, Weight: 1})
	return p
}

// NewCluster makes m servers, and one that only takes submissions, with n clients
// attached. channel is id, token or both.
func NewCluster(channel string, n, m int, mark Marker) *Cluster {
	g, err := geometry.New(channelParams(channel, n, m))
	must(err)
	if g.ControlBytes() == g.SubmissionBytes() {
		panic("cells of the roles cannot be told apart by their length")
	}
	m = g.Servers()
	c := &Cluster{g: g, n: n, id: [32]byte{1}, subs: make([][]session.Cell, m)}
	c.schedule = keys.New(keys.Master{2}, c.id, era)
	master, seed := &keys.Master{2}, &[32]byte{3}
	mark.Secret(master[:])
	mark.Secret(seed[:])
	for i := range m {
		s, err := epoch.New(epoch.Config{
			Geometry: g, Self: i, Cluster: c.id, Era: era, Simulated: n, Boot: boot(i), Workers: 1,
			Keys:  serverKeys{keys.NewServer(keys.New(*master, c.id, era), *seed, 1), mark, g},
			Store: forget{}, Memory: record.Heap{},
			// State tags are fresh random bits that depend on nothing: public.
			Random: rand.Reader,
		})
		must(err)
		c.servers = append(c.servers, s)
	}
	for i, s := range c.servers {
		for j := range c.servers {
			if i != j {
				s.PeerUp(j, boot(j))
			}
		}
	}
	for id := range uint32(n) {
		key := keys.SimulatedClientKey([32]byte{3}, id)
		var up []session.AEAD
		for _, h := range cell.Assignments(g, id) {
			c.servers[h.Server].Attach(sessionOf(id, h.Role), id, h.Role, [16]byte{}, keys.AttachProof(key, c.id, uint32(h.Server), h.Role, id, [16]byte{}))
			up = append(up, keys.Session(key, cell.Up, h.Role, [16]byte{}, boot(h.Server)))
		}
		c.up = append(c.up, up)
	}
	c.pump()
	c.Draw(mrand.New(mrand.NewPCG(1, 2)))
	return c
}

// Draw draws what clients will send.
func (c *Cluster) Draw(r *mrand.Rand) {
	c.perm, c.kinds = r.Perm(c.n), make([]int, c.n)
	for i := range c.kinds {
		c.kinds[i] = r.IntN(8)
	}
}

// submit seals every client's cells for an epoch: of eight clients about one
// sends dummies, one a bad token, one to nobody, one to client 0.
func (c *Cluster) submit(e uint64) {
	for i := range c.subs {
		c.subs[i] = c.subs[i][:0]
	}
	both := make([]byte, c.g.JointSubmissionBytes())
	sub, ctl := cell.CutUp(c.g, cell.RoleJoint, both)
	for id := range uint32(c.n) {
		clear(both)
		sub.SetResultsThrough(e - 1)
		for j := range c.g.Outs() {
			m := sub.Message(c.g.SubmissionCell(j), c.g.MessageBytes())
			c.message(m, e, id, j >= c.g.Params().ID.Out)
		}
		for j := range c.g.Requests() {
			q := ctl.Request(c.g.ControlRequest(j))
			q.SetKind(uint8(c.kinds[id] % 3))
			q.SetSender(uint32(c.perm[id]))
			q.SetE1(e + 2)
			q.SetE2(e + 3)
		}
		for j, h := range cell.Assignments(c.g, id) {
			typ, plain := cell.UpType(h.Role), [][]byte{nil, sub, ctl, both}[h.Role]
			var nonce [cell.NonceBytes]byte
			cell.PutUpNonce(&nonce, e, typ)
			ad := cell.MakeAD(&c.id, cell.Up, h.Role, typ, uint32(h.Server))
			ad.SetEpoch(e)
			ad.SetClient(id)
			c.subs[h.Server] = append(c.subs[h.Server], session.Cell{
				Session: sessionOf(id, h.Role), Type: typ, Epoch: e, Sequence: e,
				Sealed: c.up[id][j].Seal(nil, nonce[:], plain, ad[:]),
			})
		}
	}
}

func (c *Cluster) message(m cell.Message, e uint64, id uint32, onToken bool) {
	kindOf := c.kinds[id]
	if kindOf == 0 {
		return
	}
	m.SetKind(cell.Real)
	m.SetRecipient(uint32(c.perm[id]))
	m.SetE1(e)
	m.SetE2(e + 9)
	m.SetEra(era)
	m.SetPriority(id)
	binary.LittleEndian.PutUint32(m.Body(), id)
	if !onToken && kindOf == 1 {
		m.SetRecipient(0)
	}
	kind := cell.KindPass
	if onToken {
		kind = cell.KindToken
	}
	var in [cell.MACInputBytes]byte
	m.PutMACInput(in[:], kind, cell.ChannelOf(kind), id)
	c.schedule.Tags(kind, in[:], m.MAC())
	if kindOf == 2 {
		m.MAC()[0]++
	}
	if kindOf == 3 {
		m.SetRecipient(uint32(c.n) + id)
	}
}

// pump carries frames until nothing is left to do. Every frame's header, size
// and order must be public, or memcheck reports this function.
func (c *Cluster) pump() {
	var buf []byte
	for busy := true; busy; {
		busy = false
		for i, s := range c.servers {
			for {
				r := s.Ready()
				if r.Empty() {
					break
				}
				busy = true
				for k := range r.Peers {
					f := &r.Peers[k]
					buf = buf[:0]
					for _, p := range f.Parts {
						buf = append(buf, p...)
					}
					c.servers[f.To].Frame(i, f.Header, buf)
					f.Sent()
				}
				for k := range r.Cells {
					c.Sealed += len(r.Cells[k].Sessions)
					r.Cells[k].Sent()
				}
				if r.Stopped != nil {
					panic(r.Stopped)
				}
			}
		}
	}
}

// Run plays an epoch, from submission to the sealed results and deliveries.
func (c *Cluster) Run() {
	c.Submit()
	c.Play()
}

// Submit is the clients' part of the next epoch.
func (c *Cluster) Submit() {
	c.epoch++
	c.submit(c.epoch)
}

// Play is the servers' part.
func (c *Cluster) Play() {
	e := c.epoch
	for i, s := range c.servers {
		for from := 0; from < len(c.subs[i]); from += 1024 {
			s.Cells(c.subs[i][from:min(from+1024, len(c.subs[i]))])
		}
	}
	c.pump()
	all := make([]byte, (c.n+7)/8)
	for i := range c.n {
		all[i/8] |= 1 << (i % 8)
	}
	for _, s := range c.servers {
		must(s.Propose(e, 1, epoch.Roster{Limit: uint32(c.n), Ingestion: all, Storage: all}))
	}
	c.pump()
	for _, s := range c.servers {
		if got := s.Status().Committed; got != e {
			panic("the epoch was not committed")
		}
	}
}

// Mark is how the case of the whole epoch marks its secrets: as nothing, unless
// memcheck looks.
var Mark = Marker{func([]byte) {}, func([]byte) {}}

// Epoch is all roles of all servers in a whole epoch.
var Epoch = []Case{{Name: "epoch.Server", make: func(b *Builder) func() {
	c := NewCluster("both", max(b.N, 2), 2, Mark)
	// Old epochs are kept up to a limit: reach it.
	for range 4 {
		c.Run()
	}
	b.fills = append(b.fills, func(r *mrand.Rand) {
		c.Draw(r)
		c.Submit()
	})
	return c.Play
}}}
