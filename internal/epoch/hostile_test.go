package epoch_test

import (
	"bytes"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/session"
)

func fullRoster(n int) epoch.Roster {
	all := make([]byte, (n+7)/8)
	for i := range n {
		all[i/8] |= 1 << (i % 8)
	}
	return epoch.Roster{Limit: uint32(n), Ingestion: all, Storage: all}
}

type held struct {
	from int
	h    epoch.Header
	b    []byte
}

// drainTo carries frames; hold says which to keep back.
func (c *cluster) drainHold(hold func(from, to int, h epoch.Header) bool) (kept []held) {
	for busy := true; busy; {
		busy = false
		for i, s := range c.servers {
			for {
				r := s.Ready()
				if r.Empty() {
					break
				}
				if r.Stopped != nil {
					return
				}
				busy = true
				for k := range r.Peers {
					f := &r.Peers[k]
					var b []byte
					for _, p := range f.Parts {
						b = append(b, p...)
					}
					f.Sent()
					if hold(i, f.To, f.Header) {
						kept = append(kept, held{i, f.Header, b})
						continue
					}
					c.servers[f.To].Frame(i, f.Header, b)
				}
				for k := range r.Cells {
					r.Cells[k].Sent()
				}
			}
		}
	}
	return kept
}

// A link flaps while attempt 1 runs; the next proposal is held; a late frame of
// attempt 1 completes it.
func TestHeldProposal(t *testing.T) {
	c := newCluster(t, "token", 8, 3, 1)
	ros := fullRoster(8)
	for _, s := range c.servers {
		if err := s.Propose(1, 1, ros); err != nil {
			t.Fatal(err)
		}
	}
	late := c.drainHold(func(from, to int, h epoch.Header) bool { return to == 0 && from == 2 && h.Kind == epoch.Section })
	s := c.servers[0]
	s.PeerDown(1) // flaps, same boot
	if err := s.Propose(1, 2, ros); err != nil {
		t.Fatal(err)
	}
	for _, f := range late {
		s.Frame(f.from, f.h, f.b)
	}
	if s.Stopped() != nil {
		t.Fatal(s.Stopped())
	}
	s.PeerUp(1, [16]byte{1})
	c.drainHold(func(int, int, epoch.Header) bool { return false })
}

// A proposal that does not fit changes nothing.
func TestRefusedProposal(t *testing.T) {
	c := newCluster(t, "token", 8, 3, 1)
	ros := fullRoster(8)
	for _, s := range c.servers {
		if err := s.Propose(1, 1, ros); err != nil {
			t.Fatal(err)
		}
	}
	late := c.drainHold(func(from, to int, h epoch.Header) bool { return to == 0 && from == 2 && h.Kind == epoch.Section })
	s := c.servers[0]
	err := s.Propose(1, 2, epoch.Roster{Limit: 16, Ingestion: []byte{0, 0xff}, Storage: []byte{0, 0}})
	for _, f := range late {
		s.Frame(f.from, f.h, f.b)
	}
	if err == nil {
		t.Error("a roster of clients that do not exist was taken")
	}
	c.pump()
	if s.Status().Committed != 1 {
		t.Errorf("after a refused proposal attempt 1 was not committed; stopped: %v", s.Stopped())
	}
}

// Whoever proposes what, high void attempts do not split the servers for good.
func TestHighAttempts(t *testing.T) {
	c := newCluster(t, "token", 8, 2, 1)
	for i, s := range c.servers {
		r := epoch.Roster{Limit: uint32(i), Ingestion: make([]byte, (i+7)/8), Storage: make([]byte, (i+7)/8)}
		if err := s.Propose(1, 65535, r); (err == nil) != (i == 0) {
			t.Errorf("a void attempt with a roster of limit %d: %v", i, err)
		}
	}
	c.pump()
	if err := c.servers[1].Propose(1, 65535, epoch.Roster{}); err != nil {
		t.Fatal(err)
	}
	c.pump()
	for i, s := range c.servers {
		if s.Status().Committed != 1 {
			t.Errorf("server %d committed %d", i, s.Status().Committed)
		}
	}
}

// Frames of an attempt that died, not written yet, keep their bytes whatever
// begins in the meantime.
func TestFramesOfDeadAttempts(t *testing.T) {
	c := newCluster(t, "token", 64, 3, 1)
	ros := fullRoster(64)
	c.submit(1)
	for i, s := range c.servers {
		s.Cells(c.subs[i])
	}
	c.pump()
	for _, s := range c.servers {
		if err := s.Propose(1, 1, ros); err != nil {
			t.Fatal(err)
		}
	}
	votes := c.drainHold(func(from, to int, h epoch.Header) bool {
		return to == 0 && h.Kind == epoch.Committed || to == 0 && from == 2 && h.Kind == epoch.Prepared
	})
	s := c.servers[0]
	if err := s.Propose(1, 2, ros); err != nil {
		t.Fatal(err)
	}
	var queued []epoch.PeerFrame // not written yet: no Sent
	var was [][]byte
	for r := s.Ready(); !r.Empty(); r = s.Ready() {
		for _, f := range r.Peers {
			if f.Header.Kind == epoch.Deal {
				queued = append(queued, f)
				was = append(was, bytes.Clone(bytes.Join(f.Parts, nil)))
			}
		}
	}
	for _, f := range votes {
		s.Frame(f.from, f.h, f.b)
	}
	// The others ask again, as their ticks do.
	c.servers[1].Tick()
	c.servers[2].Tick()
	c.drainHold(func(int, int, epoch.Header) bool { return false })
	if s.Status().Committed != 1 || len(queued) == 0 {
		t.Fatalf("committed %d, %d frames queued", s.Status().Committed, len(queued))
	}
	if err := s.Propose(2, 1, ros); err != nil {
		t.Fatal(err)
	}
	for i, f := range queued {
		if !bytes.Equal(bytes.Join(f.Parts, nil), was[i]) {
			t.Errorf("frame %d (epoch %d attempt %d) changed while it was queued", i, f.Header.Epoch, f.Header.Attempt)
		}
	}
}

// A client that sends on two sessions in turn gets each epoch once in each.
func TestBacklogIsSentOnce(t *testing.T) {
	c := newCluster(t, "token", 8, 1, 1)
	s := c.servers[0]
	const epochs = 10
	for e := uint64(1); e <= epochs; e++ {
		if err := s.Propose(e, 1, fullRoster(8)); err != nil {
			t.Fatal(err)
		}
		c.pump()
	}
	key := keys.SimulatedClientKey([32]byte{3}, 0)
	up := keys.Session(key, cell.Up, cell.RoleJoint, [16]byte{}, [16]byte{})
	var batch []session.Cell
	const cells = 100
	for i := range uint64(cells) {
		var nonce [cell.NonceBytes]byte
		cell.PutUpNonce(&nonce, 100+i, cell.TypeJointSubmission)
		ad := cell.MakeAD(&c.id, cell.Up, cell.RoleJoint, cell.TypeJointSubmission, 0)
		ad.SetEpoch(epochs + 1)
		x := session.Cell{Session: []uint64{999, c.session(0, cell.RoleJoint)}[i%2], Type: cell.TypeJointSubmission, Epoch: epochs + 1, Sequence: 100 + i,
			Sealed: up.Seal(nil, nonce[:], make([]byte, c.g.JointSubmissionBytes()), ad[:])}
		batch = append(batch, x)
	}
	s.Cells(batch[1:2]) // the first session is proved, and stays when another one comes
	batch = append(batch[:1], batch[2:]...)
	s.Attach(999, 0, cell.RoleJoint, [16]byte{}, attachProof(0, 0, cell.RoleJoint, [16]byte{}))
	for i := range batch {
		s.Cells(batch[i : i+1])
	}
	sent := 0
	for r := s.Ready(); !r.Empty(); r = s.Ready() {
		for k := range r.Cells {
			if r.Cells[k].Type == cell.TypeJointDelivery {
				sent += len(r.Cells[k].Sessions)
			}
			r.Cells[k].Sent()
		}
	}
	if sent != 2*epochs {
		t.Errorf("%d deliveries were sent, want %d", sent, 2*epochs)
	}
}

// A sealed cell that was seen on the way is replayed in another session with
// the same salt.
func TestReplayTakesNothingOver(t *testing.T) {
	c := newCluster(t, "token", 8, 1, 1)
	c.submit(1)
	s := c.servers[0]
	s.Cells(c.subs[0])
	s.Ready()
	var victim session.Cell
	for _, x := range c.subs[0] {
		if x.Session == c.session(0, cell.RoleJoint) {
			victim = x
		}
	}
	s.Attach(999, 0, cell.RoleJoint, [16]byte{}, attachProof(0, 0, cell.RoleJoint, [16]byte{}))
	victim.Session = 999
	s.Cells([]session.Cell{victim})
	for r := s.Ready(); !r.Empty(); r = s.Ready() {
		for _, x := range r.Refused {
			if x.Code != session.OldSequence {
				t.Errorf("the replayed cell was refused with %d", x.Code)
			}
		}
	}
	if err := s.Propose(1, 1, fullRoster(8)); err != nil {
		t.Fatal(err)
	}
	deliveries := 0
	for r := s.Ready(); !r.Empty(); r = s.Ready() {
		for _, x := range r.Cells {
			if x.Type == cell.TypeJointDelivery {
				deliveries += len(x.Sessions)
				for _, id := range x.Sessions {
					if id == 999 {
						t.Error("the replayer's session displaced the client's")
					}
				}
			}
		}
	}
	if deliveries != 8 {
		t.Errorf("%d deliveries, want 8", deliveries)
	}
}
