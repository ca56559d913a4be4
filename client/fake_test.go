package client

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/wire"
)

const self = 3 // the simulated client that tests are

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testManifest(t testing.TB, change func(*manifest.Parameters)) *Manifest {
	t.Helper()
	p := manifest.DefaultParameters(16)
	p.CellBytes = 64
	if change != nil {
		change(&p)
	}
	operator := ed25519.NewKeyFromSeed(make([]byte, 32))
	o := manifest.Options{
		Servers: manifest.LocalServers(2, "127.0.0.1", 7000, 1), Parameters: p, Policy: simulated.Policy([32]byte{1}),
		Operators:        []ed25519.PublicKey{operator.Public().(ed25519.PublicKey)},
		SimulatedClients: &manifest.SimulatedClients{Count: 8, Seed: make([]byte, 32)},
	}
	first, err := manifest.NewDefault(o)
	must(t, err)
	second, err := first.Successor()
	must(t, err)
	second.Manifest.ClusterKey = manifest.Hex(operator.Public().(ed25519.PublicKey))
	must(t, second.Sign(operator))
	m, err := FromSigned(second)
	must(t, err)
	return m
}

// fake is a gateway and both servers of one client, which do what a test says.
type fake struct {
	t *testing.T
	m *Manifest

	mu    sync.Mutex
	ends  [3]*fakeEnd       // guarded by mu: by role, the newest connection
	boot  byte              // of the servers
	fork  byte              // changes heads
	sizes [3][]int          // of every write of the client, by role
	got   [3]chan *fakeCell // cells as they come, by role
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
	tag             [cell.TagBytes]byte
}

func newFake(t *testing.T, m *Manifest) *fake {
	f := &fake{t: t, m: m}
	for role := range f.got {
		f.got[role] = make(chan *fakeCell, 64)
	}
	t.Cleanup(func() {
		f.cut(1)
		f.cut(2)
		f.wg.Wait()
	})
	return f
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
	e := &fakeEnd{conn: conn, up: keys.Session(key, cell.Up, p.Role, attach.Salt, salt), down: keys.Session(key, cell.Down, p.Role, attach.Salt, salt)}
	e.server = uint32(f.m.g.Ingestions()[f.m.g.IngestionOf(self)])
	if p.Role == cell.RoleStorage {
		e.server = uint32(f.m.g.Storages()[f.m.g.StorageOf(self)])
	}
	f.mu.Unlock()
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
		f.got[p.Role] <- &fakeCell{p.Role, m.Epoch, m.Sequence, plain, cell.Tag(m.Sealed)}
	}
}

// end waits for a connection of a role.
func (f *fake) end(role uint8) *fakeEnd {
	f.t.Helper()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		f.mu.Lock()
		e := f.ends[role]
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
	if e := f.ends[role]; e != nil {
		e.conn.Close()
		f.ends[role] = nil
	}
}

func (f *fake) head(epoch uint64) [32]byte {
	return sha256.Sum256(binary.LittleEndian.AppendUint64([]byte{f.fork}, epoch))
}

// down seals a cell for the client and sends it.
func (f *fake) down(role uint8, typ uint16, epoch uint64, plain []byte) {
	f.t.Helper()
	e := f.end(role)
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
	case c := <-f.got[role]:
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

// result sends the result of an epoch; of nil: nothing was accepted.
func (f *fake) result(epoch uint64, of *fakeCell, flags uint16, status ...uint8) {
	f.t.Helper()
	r := cell.Result(make([]byte, f.m.g.ResultBytes()))
	r.SetEpoch(epoch)
	r.SetFlags(flags)
	h := f.head(epoch)
	copy(r.Head(), h[:])
	if of != nil {
		r.SetFlags(flags | cell.FlagAccepted)
		copy(r.AcceptedTag(), of.tag[:])
	}
	for i, s := range status {
		r.SetStatus(f.m.g.ResultStatus(i), s)
	}
	f.down(cell.RoleIngestion, cell.TypeResult, epoch, r)
}

// deliver sends the delivery of an epoch.
func (f *fake) deliver(epoch uint64, fill func(cell.Delivery)) {
	f.t.Helper()
	d := cell.Delivery(make([]byte, f.m.g.DeliveryBytes()))
	d.SetEpoch(epoch)
	h := f.head(epoch)
	copy(d.Head(), h[:])
	if fill != nil {
		fill(d)
	}
	f.down(cell.RoleStorage, cell.TypeDelivery, epoch, d)
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
		m := cell.Submission(c.plain).Message(f.m.g.SubmissionCell(i), f.m.g.MessageBytes())
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

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
