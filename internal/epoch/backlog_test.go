package epoch_test

import (
	"slices"
	"testing"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/session"
)

// Who comes back gets what it has not acknowledged: of one session for both the
// cells of which it lacks the result or the delivery, whole; of two sessions, in
// each what is of it.
func TestBacklog(t *testing.T) {
	all, newest := []uint64{1, 2, 3, 4}, []uint64{4}
	t.Run("joint", func(t *testing.T) {
		backlog(t, newCluster(t, "token", 8, 1, 1), [][][]uint64{{newest}, {all}, {all}})
	})
	t.Run("apart", func(t *testing.T) {
		backlog(t, newClusterOf(t, "token", 8, apart, 1, nil), [][][]uint64{{newest, newest}, {all, newest}, {newest, all}})
	})
}

// backlog lets client 0 acknowledge everything, client 1 no results, and client 2
// no deliveries: rosters leave them out. want is by client and home.
func backlog(t *testing.T, c *cluster, want [][][]uint64) {
	for e := uint64(1); e <= 4; e++ {
		c.give(e)
		roster := fullRoster(8)
		roster.Ingestion, roster.Storage = []byte{^byte(1 << 1)}, []byte{^byte(1 << 2)}
		for _, s := range c.servers {
			if err := s.Propose(e, 1, roster); err != nil {
				t.Fatal(err)
			}
		}
		c.drain()
	}
	c.submit(5)
	for id, homes := range want {
		for i, h := range cell.Assignments(c.g, uint32(id)) {
			s, again := c.servers[h.Server], uint64(99)<<34+uint64(id)
			s.Attach(again, uint32(id), h.Role, [16]byte{}, attachProof(h.Server, uint32(id), h.Role, [16]byte{}))
			for _, x := range c.subs[h.Server] {
				if x.Session == c.session(uint32(id), h.Role) {
					x.Session = again
					s.Cells([]session.Cell{x})
				}
			}
			var got []uint64
			for _, x := range c.drain() {
				if x.session == again && x.typ == cell.DownType(h.Role) {
					got = append(got, x.epoch)
				}
			}
			if !slices.Equal(got, homes[i]) {
				t.Errorf("client %d in role %d got the epochs %v, want %v", id, h.Role, got, homes[i])
			}
		}
	}
}
