package epoch

import (
	"io"
	"slices"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/role/ingestion"
	"github.com/teems-go/teems/internal/role/routing"
	"github.com/teems-go/teems/internal/role/storage"
	"github.com/teems-go/teems/internal/session"
)

// makeRoles makes the machines of this server's roles, with arrays of their own.
func (s *Server) makeRoles() {
	g := s.cfg.Geometry
	if s.i >= 0 {
		s.ingest = ingestion.New(g, s.i, s.cfg.Keys, s.cfg.Era, s.workers, s.cfg.Memory)
	}
	if s.r >= 0 {
		s.route = routing.New(g, s.r, s.workers, s.cfg.Memory)
	}
	if s.d >= 0 {
		s.store = storage.New(g, s.d, s.cfg.Keys, s.cfg.Era, s.workers, s.cfg.Memory)
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
	ingest *ingestion.Role
	route  *routing.Role
	store  *storage.Role
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

// shard is where the sessions of the clients of one virtual shard are.
type shard struct {
	sessions *session.Table // nil if neither ingestion nor storage of the shard is here
	slot     int            // of the shard's first client
	taken    *session.Taken // what was submitted for the epoch that is under way; nil for nothing
}

// makeSessions makes a table of sessions for each role that this server has
// towards clients: one role towards all clients of a virtual shard. Every client
// that there can ever be has a slot of its own, whatever is registered later.
func (s *Server) makeSessions() error {
	g := s.cfg.Geometry
	var secret [16]byte
	if _, err := io.ReadFull(s.cfg.Random, secret[:]); err != nil {
		return err
	}
	s.shards = make([]shard, g.VirtualShards())
	for _, role := range []uint8{cell.RoleIngestion, cell.RoleStorage, cell.RoleJoint} {
		slots, here := 0, false
		for v := range s.shards {
			if s.roleTowards(v) == role {
				s.shards[v].slot, here = slots, true
				slots += g.MaxUsers(v)
			}
		}
		if !here {
			continue
		}
		t := session.New(session.Config{
			Cluster: s.cfg.Cluster, Role: role, Server: uint32(s.cfg.Self), CellBytes: cell.UpBytes(g, role),
			Slots: slots, Slot: func(client uint32) int { _, at := s.shardOf(client); return at },
			AEAD: s.cfg.Keys.AEAD, Secret: secret, Memory: s.cfg.Memory, Workers: s.workers, Parallel: s.cfg.Workers,
		}, s.commit.Epoch())
		s.tables = append(s.tables, t)
		for v := range s.shards {
			if s.roleTowards(v) == role {
				s.shards[v].sessions = t
			}
		}
	}
	return nil
}

// roleTowards is this server's role towards the clients of a virtual shard; 0 for
// none.
func (s *Server) roleTowards(v int) (role uint8) {
	if int(s.ingestionTable[v]) == s.i {
		role = cell.RoleIngestion
	}
	if int(s.storageTable[v]) == s.d {
		role |= cell.RoleStorage
	}
	return role
}

// shardOf is a public client's virtual shard, and the client's slot among its
// sessions if they are here.
func (s *Server) shardOf(client uint32) (h *shard, slot int) {
	shards := uint32(len(s.shards))
	h = &s.shards[client%shards]
	return h, h.slot + int(client/shards)
}

// sent returns what a public client submitted for the epoch that is under way.
// It is not ok if nothing came.
func (s *Server) sent(client uint32) (sub cell.Submission, control cell.Control, tag [cell.TagBytes]byte, ok bool) {
	h, at := s.shardOf(client)
	if h.taken == nil || !h.taken.Present[at] {
		return nil, nil, tag, false
	}
	sub, control = cell.CutUp(s.cfg.Geometry, h.sessions.Role(), h.taken.Cell(at, h.sessions.CellBytes()))
	return sub, control, h.taken.Tag[at], true
}

// take ends submission for the epoch that begins, at its first attempt. The next
// one is open from now on, for who attaches meanwhile; the others are told with
// the outcome of this one.
func (s *Server) take(epoch uint64) {
	for _, t := range s.tables {
		if t.Open() != epoch {
			continue
		}
		taken := t.Take()
		for v := range s.shards {
			if h := &s.shards[v]; h.sessions == t {
				h.taken = taken
			}
		}
	}
}

// giveBack gives back what was submitted for an epoch that is final.
func (s *Server) giveBack() {
	for _, t := range s.tables {
		var taken *session.Taken
		for v := range s.shards {
			if h := &s.shards[v]; h.sessions == t {
				taken, h.taken = h.taken, nil
			}
		}
		t.Return(taken)
	}
}
