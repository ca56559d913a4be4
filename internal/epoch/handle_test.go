package epoch_test

import (
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/session"
)

// What a session was owed when it ended does not go to the one that attaches in
// its place: that one has proved nothing, and would get epochs out of order.
func TestBacklogOfASessionThatIsGone(t *testing.T) {
	c := newCluster(t, "token", 8, 1, 1)
	s := c.servers[0]
	for e := uint64(1); e <= 3; e++ {
		c.propose(t, e)
		c.drain()
	}
	const link = 7 << 32
	s.Attach(link|1, 0, cell.RoleJoint, [16]byte{}, attachProof(0, 0, cell.RoleJoint, [16]byte{}))
	c.drain()
	s.Hold(7, true)
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, 1, cell.TypeJointSubmission)
	ad := cell.MakeAD(&c.id, cell.Up, cell.RoleJoint, cell.TypeJointSubmission, 0)
	ad.SetEpoch(4)
	up := keys.Session(keys.SimulatedClientKey([32]byte{3}, 0), cell.Up, cell.RoleJoint, [16]byte{}, [16]byte{})
	s.Cells([]session.Cell{{Session: link | 1, Type: cell.TypeJointSubmission, Epoch: 4, Sequence: 1,
		Sealed: up.Seal(nil, nonce[:], make([]byte, c.g.JointSubmissionBytes()), ad[:])}})
	s.Detach(link | 1)
	s.Attach(link|2, 1, cell.RoleJoint, [16]byte{}, attachProof(0, 1, cell.RoleJoint, [16]byte{}))
	s.Hold(7, false)
	for _, x := range c.drain() {
		if x.session == link|2 && x.typ == cell.TypeJointDelivery {
			t.Errorf("the delivery of epoch %d went to a session that has proved nothing", x.epoch)
		}
	}
}
