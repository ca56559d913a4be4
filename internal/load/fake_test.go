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
	got  map[uint32][cell.TagBytes]byte // tag of the newest cell with a submission
	asks map[uint64]map[uint32]cell.Request
}

type mail struct {
	sender uint32
	cell   int
	body   []byte
}

// layout is the roles of two servers.
type layout [2][]manifest.Role

var (
	all      = []manifest.Role{manifest.Ingestion, manifest.Routing, manifest.Storage}
	joint    = layout{all, all}                                                   // an end each
	separate = layout{{manifest.Ingestion, manifest.Routing}, {manifest.Storage}} // two
	mixed    = layout{all, {manifest.Routing, manifest.Storage}}                  // one or two
	layouts  = map[string]layout{"joint": joint, "separate": separate, "mixed": mixed}
)

// testManifest is that of two servers and n simulated clients.
func testManifest(t *testing.T, l layout, n int) *manifest.Manifest {
	t.Helper()
	servers := manifest.LocalServers(2, "127.0.0.1", 1000, 1)
	for i := range servers {
		servers[i].Roles = l[i]
	}
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	first, err := manifest.NewDefault(manifest.Options{
		Servers: servers, Operators: []ed25519.PublicKey{key},
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

func newFake(t *testing.T, l layout, n int, cfg Config, out io.Writer) *fake {
	t.Helper()
	m := testManifest(t, l, n)
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
	for i := range s.ends {
		e := &s.ends[i]
		m := wire.Attached{Server: e.server, Salt: f.salt}
		f.frame(e, m.Append(nil))
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

// down gives a client a sealed cell.
func (f *fake) down(e *end, typ uint16, epoch uint64, plain []byte) {
	f.t.Helper()
	m := f.seal(e, typ, epoch, plain)
	f.frame(e, m.Append(nil))
}

// seal seals a cell for a client.
func (f *fake) seal(e *end, typ uint16, epoch uint64, plain []byte) wire.CellDown {
	ad := cell.MakeAD(&f.s.cluster, cell.Down, e.role, typ, e.server)
	ad.SetEpoch(epoch)
	ad.SetClient(e.c.id)
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, epoch, 0, typ)
	aead := keys.Session(e.c.key, cell.Down, e.role, e.salt, f.salt)
	return wire.CellDown{Type: typ, Epoch: epoch, Sealed: aead.Seal(nil, nonce[:], plain, ad[:])}
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
	if m.Type != cell.UpType(e.role) || len(plain) != cell.UpBytes(f.s.g, e.role) {
		f.t.Fatalf("a cell of type %d and %d bytes to role %d", m.Type, len(plain), e.role)
	}
	submission, control := cell.CutUp(f.s.g, e.role, plain)
	if control != nil {
		if control.AckEpoch() != m.Epoch-1 {
			f.t.Errorf("the control cell for epoch %d has deliveries up to %d", m.Epoch, control.AckEpoch())
		}
		if f.asks[m.Epoch] == nil {
			f.asks[m.Epoch] = map[uint32]cell.Request{}
		}
		f.asks[m.Epoch][e.c.id] = control.Request(f.s.g.ControlRequest(0))
	}
	if submission == nil {
		return
	}
	if submission.ResultsThrough() != m.Epoch-1 {
		f.t.Errorf("the submission for epoch %d has results up to %d", m.Epoch, submission.ResultsThrough())
	}
	f.got[e.c.id] = cell.Tag(m.Sealed)
	if f.sent[m.Epoch] == nil {
		f.sent[m.Epoch] = map[uint32][]mail{}
	}
	for i := range f.s.g.Outs() {
		c := submission.Message(f.s.g.SubmissionCell(i), f.s.g.MessageBytes())
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
	for i := range f.s.ends {
		if epoch > 1 {
			break
		}
		plain := make([]byte, cell.AnnouncementBytes)
		cell.Announcement(plain).SetOpen(epoch)
		f.down(&f.s.ends[i], cell.TypeAnnouncement, epoch, plain)
	}
	for i := range f.s.ends {
		e := &f.s.ends[i]
		f.down(e, cell.DownType(e.role), epoch, f.outcome(e, epoch))
	}
}

// outcome is what an epoch has for an end.
func (f *fake) outcome(e *end, epoch uint64) []byte {
	g := f.s.g
	plain := make([]byte, cell.DownBytes(g, e.role))
	r, d := cell.CutDown(g, e.role, plain)
	if r != nil {
		r.SetEpoch(epoch)
		r.SetFlags(cell.FlagAccepted)
		tag := f.got[e.c.id]
		copy(r.AcceptedTag(), tag[:])
		if epoch >= f.s.cfg.First {
			r.SetStatus(g.ResultStatus(0), cell.StatusTaken)
			r.SetStatus(g.ResultStatus(1), cell.StatusTaken)
		}
	}
	if d == nil {
		return plain
	}
	d.SetEpoch(epoch)
	for _, m := range f.sent[epoch][e.c.id] {
		box := d.Cell(g.DeliveryCell(m.cell), g.DeliveryCellBytes())
		box.SetKind(cell.Real)
		box.SetSender(m.sender)
		copy(box.Body(), m.body)
	}
	if q, ok := f.asks[epoch][e.c.id]; ok && q.Kind() == cell.KindToken {
		a := d.Answer(g.DeliveryAnswer(0))
		a.SetStatus(cell.AnswerIssued)
		a.SetKind(cell.KindToken)
		a.SetSender(q.Sender())
		a.SetE1(q.E1())
		a.SetE2(q.E2())
	}
	return plain
}
