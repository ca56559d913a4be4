package epoch_test

import (
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/session"
)

// answers are what became of attachments: sessions attached, and refused with a
// code.
func answers(s *epoch.Server) (attached []uint64, refused map[uint64]session.Refusal) {
	refused = map[uint64]session.Refusal{}
	for r := s.Ready(); !r.Empty(); r = s.Ready() {
		for _, a := range r.Attached {
			attached = append(attached, a.Session)
		}
		for _, x := range r.Refused {
			refused[x.Session] = x.Code
		}
		for i := range r.Cells {
			r.Cells[i].Sent()
		}
	}
	return attached, refused
}

// A forged attachment, or one that was made for something else, is refused as
// an unknown client's is, and however many come, no session gives way: not even
// one whose client has not proved itself in it yet.
func TestForgedAttachments(t *testing.T) {
	c := newCluster(t, "token", 8, 2, 1)
	victim := uint32(1)
	at := c.mailbox(victim).Server
	s := c.servers[at]
	salt, old := [16]byte{7}, [16]byte{6}
	id := uint64(100)
	s.Attach(id, victim, cell.RoleJoint, salt, attachProof(at, victim, cell.RoleJoint, salt))
	if attached, refused := answers(s); len(attached) != 1 || len(refused) != 0 {
		t.Fatalf("attached %v, refused %v", attached, refused)
	}
	good := attachProof(at, victim, cell.RoleJoint, salt)
	flipped := good
	flipped[15] ^= 1
	key := keys.SimulatedClientKey([32]byte{3}, victim)
	friend := victim + 2 // of the same server
	if c.mailbox(friend).Server != at {
		t.Fatal("the test is wrong")
	}
	before := s.Status().Attached
	for i := range uint64(20) {
		for name, a := range map[string]struct {
			client uint32
			role   uint8
			salt   [16]byte
			proof  [16]byte
		}{
			"no proof":             {victim, cell.RoleJoint, salt, [16]byte{}},
			"one bit":              {victim, cell.RoleJoint, salt, flipped},
			"another salt":         {victim, cell.RoleJoint, [16]byte{8, byte(i)}, good},
			"another role":         {victim, cell.RoleJoint, salt, attachProof(at, victim, cell.RoleIngestion, salt)},
			"its part, submission": {victim, cell.RoleIngestion, salt, attachProof(at, victim, cell.RoleIngestion, salt)},
			"its part, mailbox":    {victim, cell.RoleStorage, salt, attachProof(at, victim, cell.RoleStorage, salt)},
			"another server":       {victim, cell.RoleJoint, salt, attachProof(1-at, victim, cell.RoleJoint, salt)},
			"another's key":        {victim, cell.RoleJoint, salt, attachProof(at, friend, cell.RoleJoint, salt)},
			"another client":       {friend, cell.RoleJoint, salt, good},
			"another cluster":      {victim, cell.RoleJoint, salt, keys.AttachProof(key, [32]byte{2}, uint32(at), cell.RoleJoint, victim, salt)},
			"no such client":       {999, cell.RoleJoint, salt, attachProof(at, 999, cell.RoleJoint, salt)},
		} {
			s.Attach(1000+i, a.client, a.role, a.salt, a.proof)
			attached, refused := answers(s)
			if len(attached) != 0 || len(refused) != 1 || refused[1000+i] != session.UnknownClient {
				t.Fatalf("%s: attached %v, refused %v", name, attached, refused)
			}
		}
	}
	if now := s.Status().Attached; now != before {
		t.Errorf("%d sessions, %d before", now, before)
	}

	// What was seen on the way is a proof still: it takes the place of the session
	// of its own start, as the client does that comes back on a new connection.
	other := uint64(101)
	s.Attach(other, victim, cell.RoleJoint, old, attachProof(at, victim, cell.RoleJoint, old))
	answers(s)
	for i := range uint64(20) {
		s.Attach(2000+i, victim, cell.RoleJoint, old, attachProof(at, victim, cell.RoleJoint, old))
		attached, refused := answers(s)
		if len(attached) != 1 || len(refused) != 1 || refused[other] != session.NotAttached {
			t.Fatalf("a replay: attached %v, refused %v", attached, refused)
		}
		other = 2000 + i
	}
	s.Attach(102, victim, cell.RoleJoint, salt, good)
	if attached, refused := answers(s); len(attached) != 1 || len(refused) != 1 || refused[id] != session.NotAttached {
		t.Errorf("the client on a new connection: attached %v, refused %v", attached, refused)
	}
	if now := s.Status().Attached; now != before+1 {
		t.Errorf("%d sessions, want %d", now, before+1)
	}
}
