package load

import (
	"crypto/ed25519"
	"io"
	"testing"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/wire"
)

// fake is servers that do in plain sight what real ones do, for clients in the
// same process: no two messages to one recipient, no losses.
type fake struct {
	t    *testing.T
	s    *simulation
	sc   *scratch
	salt [16]byte
	sent map[uint64]map[uint32][]mail   // by epoch and recipient
	got  map[uint32][cell.TagBytes]byte // tag of the newest submission
	asks map[uint64]map[uint32]cell.Request
}

type mail struct {
	sender uint32
	cell   int
	body   []byte
}

// testManifest is that of two servers and n simulated clients.
func testManifest(t *testing.T, n int) *manifest.Manifest {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	first, err := manifest.NewDefault(manifest.Options{
		Servers: manifest.LocalServers(2, "127.0.0.1", 1000, 1), Operators: []ed25519.PublicKey{key},
		Policy: simulated.Policy([32]byte{1}), Parameters: manifest.ExperimentParameters(n),
		SimulatedClients: &manifest.SimulatedClients{Count: n, Seed: make([]byte, 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Successor()
	if err != nil {
		t.Fatal(err)
	}
	second.Manifest.ClusterKey = manifest.Hex(key)
	return &second.Manifest
}

func newFake(t *testing.T, n int, cfg Config, out io.Writer) *fake {
	t.Helper()
	m := testManifest(t, n)
	g, err := m.Geometry()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Gateways = []string{"nowhere"}
	s, err := newSimulation(cfg, m, g, newTeller(out))
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		t: t, s: s, sc: s.newScratch(), salt: [16]byte{9},
		sent: map[uint64]map[uint32][]mail{}, got: map[uint32][cell.TagBytes]byte{}, asks: map[uint64]map[uint32]cell.Request{},
	}
	for i := range s.clients {
		for j := range s.clients[i].ends {
			e := &s.clients[i].ends[j]
			m := wire.Attached{Server: e.server, Salt: f.salt}
			f.frame(e, m.Append(nil))
		}
	}
	return f
}

// frame gives a frame to a client, and takes what it sends.
func (f *fake) frame(e *end, frame []byte) {
	f.t.Helper()
	f.sc.out = f.sc.out[:0]
	if err := f.s.frame(e, wire.Type(frame[4]), frame[wire.HeaderBytes:], -1, f.sc); err != nil {
		f.t.Fatal(err)
	}
	if len(f.sc.out) > 0 {
		f.take(e, f.sc.out[wire.HeaderBytes:])
	}
}

// down seals a cell for a client and gives it to it.
func (f *fake) down(e *end, typ uint16, epoch uint64, plain []byte) {
	f.t.Helper()
	ad := cell.MakeAD(&f.s.cluster, cell.Down, e.role, typ, e.server)
	ad.SetEpoch(epoch)
	ad.SetClient(e.c.id)
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, epoch, 0, typ)
	aead := keys.Session(e.c.key, cell.Down, e.role, e.salt, f.salt)
	m := wire.CellDown{Type: typ, Epoch: epoch, Sealed: aead.Seal(nil, nonce[:], plain, ad[:])}
	f.frame(e, m.Append(nil))
}

// take opens what a client sent.
func (f *fake) take(e *end, payload []byte) {
	f.t.Helper()
	var m wire.CellUp
	if err := m.Parse(payload); err != nil {
		f.t.Fatal(err)
	}
	ad := cell.MakeAD(&f.s.cluster, cell.Up, e.role, m.Type, e.server)
	ad.SetEpoch(m.Epoch)
	ad.SetClient(e.c.id)
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, m.Sequence, m.Type)
	plain, err := keys.Session(e.c.key, cell.Up, e.role, e.salt, f.salt).Open(nil, nonce[:], m.Sealed, ad[:])
	if err != nil {
		f.t.Fatal(err)
	}
	if m.Type == cell.TypeControl {
		if f.asks[m.Epoch] == nil {
			f.asks[m.Epoch] = map[uint32]cell.Request{}
		}
		f.asks[m.Epoch][e.c.id] = cell.Control(plain).Request(f.s.g.ControlRequest(0))
		return
	}
	f.got[e.c.id] = cell.Tag(m.Sealed)
	if f.sent[m.Epoch] == nil {
		f.sent[m.Epoch] = map[uint32][]mail{}
	}
	for i := range f.s.g.Outs() {
		c := cell.Submission(plain).Message(f.s.g.SubmissionCell(i), f.s.g.MessageBytes())
		if c.Kind() != cell.Real {
			continue
		}
		if i == 1 && (m.Epoch < c.E1() || m.Epoch >= c.E2()) {
			f.t.Errorf("epoch %d: a token of epochs %d to %d", m.Epoch, c.E1(), c.E2())
		}
		box := f.sent[m.Epoch]
		box[c.Recipient()] = append(box[c.Recipient()], mail{e.c.id, i, append([]byte(nil), c.Body()...)})
	}
}

// epoch carries one epoch: results and deliveries, which open the next one, and
// for the first one announcements.
func (f *fake) epoch(epoch uint64) {
	f.t.Helper()
	g := f.s.g
	for i := range f.s.clients {
		for j := range f.s.clients[i].ends {
			if epoch > 1 {
				break
			}
			plain := make([]byte, cell.AnnouncementBytes)
			cell.Announcement(plain).SetOpen(epoch)
			f.down(&f.s.clients[i].ends[j], cell.TypeAnnouncement, epoch, plain)
		}
	}
	for i := range f.s.clients {
		c := &f.s.clients[i]
		r := cell.Result(make([]byte, g.ResultBytes()))
		r.SetEpoch(epoch)
		r.SetFlags(cell.FlagAccepted)
		tag := f.got[c.id]
		copy(r.AcceptedTag(), tag[:])
		d := cell.Delivery(make([]byte, g.DeliveryBytes()))
		d.SetEpoch(epoch)
		if epoch >= f.s.cfg.First {
			r.SetStatus(g.ResultStatus(0), cell.StatusTaken)
			r.SetStatus(g.ResultStatus(1), cell.StatusTaken)
		}
		for _, m := range f.sent[epoch][c.id] {
			box := d.Cell(g.DeliveryCell(m.cell), g.DeliveryCellBytes())
			box.SetKind(cell.Real)
			box.SetSender(m.sender)
			copy(box.Body(), m.body)
		}
		if q := f.asks[epoch][c.id]; q.Kind() == cell.KindToken {
			a := d.Answer(g.DeliveryAnswer(0))
			a.SetStatus(cell.AnswerIssued)
			a.SetKind(cell.KindToken)
			a.SetSender(q.Sender())
			a.SetE1(q.E1())
			a.SetE2(q.E2())
		}
		f.down(&c.ends[0], cell.TypeResult, epoch, r)
		f.down(&c.ends[1], cell.TypeDelivery, epoch, d)
	}
}
