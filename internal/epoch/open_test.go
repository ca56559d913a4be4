package epoch_test

import (
	"bytes"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/session"
)

// got is one sealed cell as a session got it.
type got struct {
	session uint64
	typ     uint16
	epoch   uint64
	sealed  string
}

// drain carries frames until nothing is left to do, and returns the sealed cells.
func (c *cluster) drain() (cells []got) {
	for busy := true; busy; {
		busy = false
		for i, s := range c.servers {
			for r := s.Ready(); !r.Empty(); r = s.Ready() {
				busy = true
				for k := range r.Peers {
					f := &r.Peers[k]
					c.servers[f.To].Frame(i, f.Header, bytes.Join(f.Parts, nil))
					f.Sent()
				}
				for k := range r.Cells {
					b := &r.Cells[k]
					for n, id := range b.Sessions {
						cells = append(cells, got{id, b.Type, b.Epoch, string(b.Cell(n))})
					}
					c.read(b)
					b.Sent()
				}
			}
		}
	}
	return cells
}

func (c *cluster) give(e uint64) {
	c.submit(e)
	for i, s := range c.servers {
		s.Cells(c.subs[i])
	}
}

func (c *cluster) propose(tb testing.TB, e uint64) {
	tb.Helper()
	for _, s := range c.servers {
		if err := s.Propose(e, 1, fullRoster(c.n)); err != nil {
			tb.Fatal(err)
		}
	}
}

// open opens a cell of a session of a client's with the server of its mailbox,
// whose salt is zero: an announcement, or the delivery in it.
func (c *cluster) open(tb testing.TB, x got, client uint32) []byte {
	tb.Helper()
	if x.typ != cell.TypeAnnouncement {
		d := c.delivery(client, x.typ, x.epoch, 1, []byte(x.sealed))
		if d == nil {
			tb.Fatal("a delivery does not open")
		}
		return d
	}
	h := c.mailbox(client)
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, x.epoch, 0, x.typ)
	ad := cell.MakeAD(&c.id, cell.Down, h.Role, x.typ, uint32(h.Server))
	ad.SetEpoch(x.epoch)
	ad.SetClient(client)
	plain, err := c.down(client).Open(nil, nonce[:], []byte(x.sealed), ad[:])
	if err != nil {
		tb.Fatal(err)
	}
	return plain
}

// Who gets a result or a delivery learns from it that the next epoch is open, and
// the head with its MAC; nobody is told twice.
func TestOutcomeOpensNextEpoch(t *testing.T) {
	t.Run("joint", func(t *testing.T) { outcomeOpensNextEpoch(t, newCluster(t, "token", 8, 2, 1), 1) })
	t.Run("apart", func(t *testing.T) { outcomeOpensNextEpoch(t, newClusterOf(t, "token", 8, apart, 1, nil), 2) })
}

func outcomeOpensNextEpoch(t *testing.T, c *cluster, sessions int) {
	for e := uint64(1); e <= 3; e++ {
		c.give(e)
		if cells := c.drain(); len(cells) != 0 {
			t.Fatalf("epoch %d: %d cells before its outcome", e, len(cells))
		}
		c.propose(t, e)
		cells := c.drain()
		if len(cells) != 8*sessions {
			t.Errorf("epoch %d: %d cells for 8 clients with %d sessions each", e, len(cells), sessions)
		}
		for _, x := range cells {
			if !delivers(x.typ) {
				continue
			}
			d := cell.Delivery(c.open(t, x, c.client(x.session)))
			mac := c.schedule.HeadMAC(e, [32]byte(d.Head()))
			if d.Open() != e+1 || !bytes.Equal(d.HeadMAC(), mac[:]) {
				t.Errorf("the delivery of epoch %d opens %d, with head MAC %x, want %x", e, d.Open(), d.HeadMAC(), mac)
			}
		}
	}
}

// A session without a proof, and one that another displaced, are told of every
// epoch by an announcement, once; one that attaches while an epoch is routed is
// told at once, and by the outcome alone from then on.
func TestAnnouncedToTheRest(t *testing.T) {
	c := newCluster(t, "token", 8, 1, 1)
	s := c.servers[0]
	count := func(cells []got, session uint64) (announced []uint64, delivered int) {
		for _, x := range cells {
			if x.session == session && x.typ == cell.TypeAnnouncement {
				announced = append(announced, x.epoch)
			} else if x.session == session {
				delivered++
			}
		}
		return announced, delivered
	}
	want := func(what string, cells []got, session, announced uint64, delivered int) {
		t.Helper()
		a, d := count(cells, session)
		if d != delivered || len(a) > 1 || (len(a) == 1) != (announced != 0) || len(a) == 1 && a[0] != announced {
			t.Errorf("%s: announced %v, %d deliveries; want %d and %d", what, a, d, announced, delivered)
		}
	}
	const claims, moved = 999, 1000
	s.Attach(claims, 0, cell.RoleJoint, [16]byte{7}, attachProof(0, 0, cell.RoleJoint, [16]byte{7}))
	c.give(1)
	want("attached", c.drain(), claims, 1, 0)
	c.propose(t, 1)
	s.Attach(moved, 1, cell.RoleJoint, [16]byte{}, attachProof(0, 1, cell.RoleJoint, [16]byte{}))
	cells := c.drain()
	want("without a proof", cells, claims, 2, 0)
	want("attached when the epoch was final", cells, moved, 2, 0)
	c.submit(2)
	batch := c.subs[0]
	for i := range batch {
		if batch[i].Session == c.session(1, cell.RoleJoint) {
			batch[i].Session = moved
		}
	}
	s.Cells(batch)
	want("moved", c.drain(), moved, 0, 1) // what is not acknowledged yet
	c.propose(t, 2)
	cells = c.drain()
	want("moved", cells, moved, 0, 1)
	want("displaced", cells, c.session(1, cell.RoleJoint), 3, 0)
	want("without a proof", cells, claims, 3, 0)
}

// While an epoch is routed the next one takes cells from who attached meanwhile.
func TestAttachedWhileRouted(t *testing.T) {
	c := newCluster(t, "token", 8, 2, 1)
	c.give(1)
	c.drain()
	c.propose(t, 1)
	at := c.mailbox(3).Server
	s := c.servers[at]
	if s.Status().Committed != 0 || s.Status().Open != 2 {
		t.Fatalf("%+v", s.Status())
	}
	s.Attach(999, 3, cell.RoleJoint, [16]byte{}, attachProof(at, 3, cell.RoleJoint, [16]byte{}))
	c.submit(2)
	var mine []session.Cell
	for _, x := range c.subs[at] {
		if x.Session == c.session(3, cell.RoleJoint) {
			x.Session = 999
			mine = append(mine, x)
		}
	}
	s.Cells(mine)
	if s.Status().Controls != 1 {
		t.Fatalf("%+v", s.Status())
	}
	opened := 0
	for _, x := range c.drain() {
		if x.session == 999 {
			opened++
			switch plain := c.open(t, x, 3); x.typ {
			case cell.TypeAnnouncement:
				if a := cell.Announcement(plain); a.Open() != 2 || a.HeadEpoch() != 0 {
					t.Errorf("announced: open %d, head of %d", a.Open(), a.HeadEpoch())
				}
			default:
				if d := cell.Delivery(plain); d.Epoch() != 1 || d.Open() != 2 {
					t.Errorf("the delivery of %d", d.Epoch())
				}
			}
		}
	}
	if opened != 2 || s.Status().Committed != 1 || s.Status().Controls != 1 {
		t.Errorf("%d cells, %+v", opened, s.Status())
	}
}

// What is sent again to a session with the same keys is the same to the last
// byte: one plaintext a nonce.
func TestSentAgainIsTheSame(t *testing.T) {
	t.Run("joint", func(t *testing.T) { sentAgainIsTheSame(t, newCluster(t, "token", 8, 1, 1), 3) })
	t.Run("apart", func(t *testing.T) { sentAgainIsTheSame(t, newClusterOf(t, "token", 8, apart, 1, nil), 6) })
}

func sentAgainIsTheSame(t *testing.T, c *cluster, least int) {
	first := map[[2]uint64]string{}
	for e := uint64(1); e <= 4; e++ {
		c.submit(e)
		for i, s := range c.servers {
			for _, x := range c.subs[i] {
				if e == 1 || c.client(x.Session) != 5 { // client 5 acknowledges nothing
					s.Cells([]session.Cell{x})
				}
			}
		}
		c.propose(t, e)
		for _, x := range c.drain() {
			if c.client(x.session) == 5 && x.typ != cell.TypeAnnouncement {
				first[[2]uint64{uint64(x.typ), x.epoch}] = x.sealed
			}
		}
	}
	again := 0
	for _, h := range cell.Assignments(c.g, 5) {
		s, id := c.servers[h.Server], 1001+uint64(h.Role)
		s.Attach(id, 5, h.Role, [16]byte{}, attachProof(h.Server, 5, h.Role, [16]byte{}))
		c.submit(5)
		for _, x := range c.subs[h.Server] {
			if x.Session == c.session(5, h.Role) {
				x.Session = id
				s.Cells([]session.Cell{x})
			}
		}
	}
	for _, x := range c.drain() {
		if x.session < 1001 || x.typ == cell.TypeAnnouncement {
			continue
		}
		again++
		if x.sealed != first[[2]uint64{uint64(x.typ), x.epoch}] {
			t.Errorf("the cell of type %d of epoch %d is not what it was", x.typ, x.epoch)
		}
	}
	if again < least {
		t.Errorf("%d cells were sent again", again)
	}
}
