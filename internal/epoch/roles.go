package epoch

import (
	"io"
	"slices"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/ingest"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/route"
	"github.com/teems-go/teems/internal/session"
	"github.com/teems-go/teems/internal/store"
)

// makeRoles makes the machines of this server's roles, with arrays of their own.
func (s *Server) makeRoles() {
	g := s.cfg.Geometry
	if s.i >= 0 {
		s.ingest = ingest.New(g, s.i, s.cfg.Keys, s.cfg.Era, s.workers, s.cfg.Memory)
	}
	if s.r >= 0 {
		s.route = route.New(g, s.r, s.workers, s.cfg.Memory)
	}
	if s.d >= 0 {
		s.store = store.New(g, s.d, s.cfg.Keys, s.cfg.Era, s.workers, s.cfg.Memory)
	}
}

// retire sets the arrays of the roles aside until their frames are sent.
func (s *Server) retire() {
	s.retired = append(s.retired, retired{s.views, s.ingest, s.route, s.store})
	s.makeRoles()
}

// retired is machines of an aborted attempt, of which frames are still unsent.
type retired struct {
	lease  *lease
	ingest *ingest.Machine
	route  *route.Machine
	store  *store.Machine
}

// sending is a table that its role is done with, of which frames may still be
// unsent.
type sending struct {
	lease *lease
	table record.Table
}

// reclaim gives back the tables whose frames have all been sent, so that the
// next table takes their memory.
func (s *Server) reclaim() {
	s.sending = slices.DeleteFunc(s.sending, func(t sending) bool {
		if !t.lease.free() {
			return false
		}
		t.table.Free(s.cfg.Memory)
		return true
	})
}

// release gives back the memory of what nobody reads any more: machines set
// aside, and mailboxes whose cells are sealed.
func (s *Server) release() {
	s.reclaim()
	s.retired = slices.DeleteFunc(s.retired, func(r retired) bool {
		if !r.lease.free() {
			return false
		}
		if r.ingest != nil {
			r.ingest.Free()
		}
		if r.route != nil {
			r.route.Free()
		}
		if r.store != nil {
			r.store.Free()
		}
		return true
	})
	s.dropped = slices.DeleteFunc(s.dropped, func(o *outcome) bool {
		if o.jobs > 0 {
			return false // its last cells are not sealed
		}
		s.free(o)
		return true
	})
}

func (s *Server) makeSessions() error {
	g := s.cfg.Geometry
	var secret [16]byte
	if _, err := io.ReadFull(s.cfg.Random, secret[:]); err != nil {
		return err
	}
	table := func(role uint8, typ uint16, width int, owners []uint32, index int) *session.Table {
		if index < 0 {
			return nil
		}
		slots, slot := slotsOf(g, owners, index)
		return session.New(session.Config{
			Cluster: s.cfg.Cluster, Role: role, Server: uint32(s.cfg.Self), Type: typ, CellBytes: width,
			Slots: slots, Slot: slot, AEAD: s.cfg.Keys.AEAD, Secret: secret, Memory: s.cfg.Memory, Workers: s.workers, Parallel: s.cfg.Workers,
		}, s.commit.Epoch())
	}
	s.up = table(cell.RoleIngestion, cell.TypeSubmission, g.SubmissionBytes(), s.ingestionTable, s.i)
	s.down = table(cell.RoleStorage, cell.TypeControl, g.ControlBytes(), s.storageTable, s.d)
	for _, t := range []*session.Table{s.up, s.down} {
		if t != nil {
			s.tables = append(s.tables, t)
		}
	}
	return nil
}

// slotsOf gives every client that a role of this server can ever have a place
// of its own, whatever is registered later.
func slotsOf(g *geometry.Geometry, owners []uint32, index int) (slots int, slot func(client uint32) int) {
	base := make([]int, len(owners))
	for v, owner := range owners {
		base[v] = slots
		if int(owner) == index {
			slots += g.MaxUsers(v)
		}
	}
	return slots, func(client uint32) int { return base[int(client)%len(owners)] + int(client)/len(owners) }
}
