package client

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/wire"
)

// fake is a gateway and the servers of one client, which do what a test says.
// Tests name a session by a role that its server has: one or the other, or both
// for the one that is in both.
type fake struct {
	t     *testing.T
	m     *Manifest
	homes []cell.Assignment

	mu    sync.Mutex
	ends  [4]*fakeEnd       // guarded by mu: by role of the session, the newest connection
	boot  byte              // of the servers
	fork  byte              // changes heads
	sizes [4][]int          // of every write of the client, by role of the session
	got   [4]chan *fakeCell // cells as they come, by role of the session
	wg    sync.WaitGroup
}

type fakeEnd struct {
	conn     net.Conn
	up, down keys.AEAD
	server   uint32
}

type fakeCell struct {
	role            uint8
	epoch, sequence uint64
	plain           []byte
	submission      cell.Submission // in it; nil for none
	control         cell.Control
	tag             [cell.TagBytes]byte
}

func newFake(t *testing.T, m *Manifest) *fake {
	f := &fake{t: t, m: m, homes: cell.Assignments(m.g, self)}
	for role := range f.got {
		f.got[role] = make(chan *fakeCell, 64)
	}
	t.Cleanup(func() {
		for _, h := range f.homes {
			f.cut(h.Role)
		}
		f.wg.Wait()
	})
	return f
}

func (f *fake) joint() bool { return len(f.homes) == 1 }

// home is the first home with one of some roles.
func (f *fake) home(roles uint8) cell.Assignment {
	return f.homes[slices.IndexFunc(f.homes, func(h cell.Assignment) bool { return h.Role&roles != 0 })]
}

// start starts a client of the fake; it is ready when the first epoch is
// announced.
func (f *fake) start(change func(*Config)) *Client {
	f.t.Helper()
	id, err := SimulatedIdentity(f.m, self)
	must(f.t, err)
	cfg := Config{Manifest: f.m, Identity: id, Gateways: []string{"fake"}, Dial: f.dial, BackoffMin: time.Millisecond, BackoffMax: 5 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	c, err := Start(cfg)
	must(f.t, err)
	f.t.Cleanup(func() { c.Close() })
	return c
}

// recorder notes the size of every write.
type recorder struct {
	net.Conn
	f    *fake
	role uint8
}

func (r *recorder) Write(b []byte) (int, error) {
	r.f.mu.Lock()
	if r.role == 0 {
		r.role = b[6]
	}
	r.f.sizes[r.role] = append(r.f.sizes[r.role], len(b))
	r.f.mu.Unlock()
	return r.Conn.Write(b)
}

func (f *fake) dial(context.Context, string) (net.Conn, error) {
	near, far := net.Pipe()
	f.wg.Go(func() { f.serve(far) })
	return &recorder{Conn: near, f: f}, nil
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	r := wire.NewReader(conn, 4096)
	p, err := r.Preamble()
	if err != nil {
		return
	}
	limits := wire.FromClient(f.m.g)
	_, payload, err := r.ReadFrame(limits)
	var attach wire.Attach
	if err != nil || attach.Parse(payload) != nil {
		return
	}
	f.mu.Lock()
	salt := [16]byte{f.boot, p.Role}
	key := keys.SimulatedClientKey([32]byte{}, attach.Client)
	e := &fakeEnd{conn: conn, server: uint32(f.home(p.Role).Server), up: keys.Session(key, cell.Up, p.Role, attach.Salt, salt), down: keys.Session(key, cell.Down, p.Role, attach.Salt, salt)}
	f.mu.Unlock()
	if p.Role != f.home(p.Role).Role {
		f.t.Errorf("a session of role %d, with the homes %v", p.Role, f.homes)
	}
	if !keys.CheckAttach(key, f.m.cluster, e.server, p.Role, attach.Client, attach.Salt, attach.Proof) {
		f.t.Errorf("an attachment of role %d without a proof", p.Role)
	}
	if _, err := conn.Write((&wire.Attached{Server: e.server, Salt: salt}).Append(nil)); err != nil {
		return
	}
	f.mu.Lock()
	f.ends[p.Role] = e
	f.mu.Unlock()
	for {
		_, payload, err := r.ReadFrame(limits)
		var m wire.CellUp
		if err != nil || m.Parse(payload) != nil {
			return
		}
		ad := cell.MakeAD(&f.m.cluster, cell.Up, p.Role, m.Type, e.server)
		ad.SetEpoch(m.Epoch)
		ad.SetClient(attach.Client)
		var nonce [cell.NonceBytes]byte
		cell.PutUpNonce(&nonce, m.Sequence, m.Type)
		plain, err := e.up.Open(nil, nonce[:], m.Sealed, ad[:])
		if err != nil {
			f.t.Errorf("a cell of role %d does not authenticate", p.Role)
			return
		}
		if m.Type != cell.UpType(p.Role) || len(plain) != cell.UpBytes(f.m.g, p.Role) {
			f.t.Errorf("a cell of type %d and %d bytes in a session of role %d", m.Type, len(plain), p.Role)
			return
		}
		s, k := cell.CutUp(f.m.g, p.Role, plain)
		f.got[p.Role] <- &fakeCell{p.Role, m.Epoch, m.Sequence, plain, s, k, cell.Tag(m.Sealed)}
	}
}

// end waits for a connection of a role.
func (f *fake) end(role uint8) *fakeEnd {
	f.t.Helper()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		f.mu.Lock()
		e := f.ends[f.home(role).Role]
		f.mu.Unlock()
		if e != nil {
			return e
		}
		if time.Now().After(until) {
			f.t.Fatalf("no connection of role %d", role)
		}
	}
}

func (f *fake) cut(role uint8) {
	f.mu.Lock()
	defer f.mu.Unlock()
	role = f.home(role).Role
	if e := f.ends[role]; e != nil {
		e.conn.Close()
		f.ends[role] = nil
	}
}

// gone waits until the client has left a connection, which it has no reason to
// make again before.
func (f *fake) gone(role uint8) {
	f.t.Helper()
	e := f.end(role)
	for f.end(role) == e {
		if _, err := e.conn.Write(nil); err != nil {
			f.cut(role)
			return
		}
	}
}

func (f *fake) head(epoch uint64) [32]byte {
	return sha256.Sum256(binary.LittleEndian.AppendUint64([]byte{f.fork}, epoch))
}

// down seals a cell for the client and sends it.
func (f *fake) down(role uint8, typ uint16, epoch uint64, plain []byte) {
	f.t.Helper()
	e, role := f.end(role), f.home(role).Role
	ad := cell.MakeAD(&f.m.cluster, cell.Down, role, typ, e.server)
	ad.SetEpoch(epoch)
	ad.SetClient(self)
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, epoch, 0, typ)
	m := wire.CellDown{Type: typ, Epoch: epoch, Sealed: e.down.Seal(nil, nonce[:], plain, ad[:])}
	e.conn.Write(m.Append(nil)) // the client may have gone
}

func (f *fake) announce(role uint8, open uint64) {
	f.t.Helper()
	a := cell.Announcement(make([]byte, cell.AnnouncementBytes))
	a.SetOpen(open)
	h := f.head(a.HeadEpoch())
	copy(a.Head(), h[:])
	f.down(role, cell.TypeAnnouncement, open, a)
}

// take waits for the next cell of a role.
func (f *fake) take(role uint8) *fakeCell {
	f.t.Helper()
	select {
	case c := <-f.got[f.home(role).Role]:
		return c
	case <-time.After(10 * time.Second):
		f.t.Fatalf("no cell of role %d", role)
	}
	return nil
}

// quiet checks that no cell comes.
func (f *fake) quiet() {
	f.t.Helper()
	var c *fakeCell
	select {
	case c = <-f.got[1]:
	case c = <-f.got[2]:
	case c = <-f.got[3]:
	case <-time.After(20 * time.Millisecond):
		return
	}
	f.t.Errorf("a cell of role %d for epoch %d, sequence %d", c.role, c.epoch, c.sequence)
}

// ask announces an epoch for a role, which the client may know from the outcome
// of the epoch before, and takes the client's cell for it.
func (f *fake) ask(role uint8, open uint64) *fakeCell {
	f.t.Helper()
	f.announce(role, open)
	c := f.take(role)
	if c.epoch != open {
		f.t.Fatalf("a cell for epoch %d, not %d", c.epoch, open)
	}
	return c
}

// bring sends the sessions of some roles what an epoch brought. To a server in
// both roles the other part is one in which nothing happened.
func (f *fake) bring(roles uint8, epoch uint64, result func(cell.Result), delivery func(cell.Delivery)) {
	f.t.Helper()
	head := f.head(epoch)
	for _, h := range f.homes {
		if h.Role&roles == 0 {
			continue
		}
		plain := make([]byte, cell.DownBytes(f.m.g, h.Role))
		r, d := cell.CutDown(f.m.g, h.Role, plain)
		if r != nil {
			r.SetEpoch(epoch)
			copy(r.Head(), head[:])
			if result != nil {
				result(r)
			}
		}
		if d != nil {
			d.SetEpoch(epoch)
			copy(d.Head(), head[:])
			if delivery != nil {
				delivery(d)
			}
		}
		f.down(h.Role, cell.DownType(h.Role), epoch, plain)
	}
}

// settling fills a result; of nil: nothing was accepted.
func (f *fake) settling(of *fakeCell, flags uint16, status ...uint8) func(cell.Result) {
	return func(r cell.Result) {
		r.SetFlags(flags)
		if of != nil {
			r.SetFlags(flags | cell.FlagAccepted)
			copy(r.AcceptedTag(), of.tag[:])
		}
		for i, s := range status {
			r.SetStatus(f.m.g.ResultStatus(i), s)
		}
	}
}

// result sends the result of an epoch.
func (f *fake) result(epoch uint64, of *fakeCell, flags uint16, status ...uint8) {
	f.t.Helper()
	f.bring(cell.RoleIngestion, epoch, f.settling(of, flags, status...), nil)
}

// deliver sends the delivery of an epoch.
func (f *fake) deliver(epoch uint64, fill func(cell.Delivery)) {
	f.t.Helper()
	f.bring(cell.RoleStorage, epoch, nil, fill)
}

// put puts a message into a cell of a delivery.
func (f *fake) put(d cell.Delivery, i int, sender uint32, text string) {
	box := d.Cell(f.m.g.DeliveryCell(i), f.m.g.DeliveryCellBytes())
	box.SetKind(cell.Real)
	box.SetSender(sender)
	putBody(box.Body(), []byte(text))
}

// messages returns the texts in a submission, "" for dummies.
func (f *fake) messages(c *fakeCell) (texts []string) {
	for i := range f.m.g.Outs() {
		m := c.submission.Message(f.m.g.SubmissionCell(i), f.m.g.MessageBytes())
		text := ""
		if m.Kind() == cell.Real {
			body, ok := getBody(m.Body())
			if !ok {
				f.t.Error("a body breaks its layout")
			}
			text = string(body)
		}
		texts = append(texts, text)
	}
	return texts
}
