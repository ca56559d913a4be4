package epoch

import (
	"slices"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/session"
)

// mostAsked is how many registrations wait at a time.
const mostAsked = 4096

// Attach adds a session of a client's start, which its salt tells, in a role. The
// upper half of its ID names the link that it comes over. Without a proof that
// its author has the client's key, as without such a client, it is refused, and
// changes no other session. That the proof is right is public.
func (s *Server) Attach(id uint64, client uint32, role uint8, salt, proof [16]byte) {
	if s.stopped != nil {
		return
	}
	s.Detach(id)
	h, _ := s.shardOf(client)
	t, m := h.sessions, s.members.find(client)
	if t == nil || m == nil || role != t.Role() {
		s.unknown(id)
		return
	}
	k := s.cfg.Keys
	var key [32]byte
	if m.generation > 0 {
		key = k.ClientKey(client, m.keyHash, m.generation)
	} else {
		key = k.SimulatedClientKey(client)
	}
	if !k.CheckAttach(key, s.cfg.Cluster, uint32(s.cfg.Self), role, client, salt, proof) {
		s.unknown(id)
		return
	}
	x, displaced, gaveWay := t.Attach(id, client, salt,
		k.SessionKey(key, cell.Up, role, salt, s.cfg.Boot), k.SessionKey(key, cell.Down, role, salt, s.cfg.Boot))
	if gaveWay {
		s.ready.Refused = append(s.ready.Refused, Refused{Session: displaced, Code: session.NotAttached})
	}
	s.ready.Attached = append(s.ready.Attached, Attached{Session: id, Generation: m.generation})
	t.QueueAnnouncement(x)
}

// unknown refuses an attachment.
func (s *Server) unknown(id uint64) {
	s.ready.Refused = append(s.ready.Refused, Refused{Session: id, Code: session.UnknownClient})
}

// Detach removes a session.
func (s *Server) Detach(id uint64) {
	for _, t := range s.tables {
		t.Detach(id)
	}
}

// DetachLink removes all sessions of a link.
func (s *Server) DetachLink(link uint32) {
	for _, t := range s.tables {
		t.DetachLink(link)
	}
	s.dropQueue(link)
}

// Linked is how many sessions a link has.
func (s *Server) Linked(link uint32) (n int) {
	for _, t := range s.tables {
		n += t.Linked(link)
	}
	return n
}

// Cells takes a batch of sealed cells from clients.
func (s *Server) Cells(batch []session.Cell) {
	if s.stopped != nil {
		return
	}
	s.welcomeAll()
	for i := range batch {
		c := &batch[i]
		if !slices.ContainsFunc(s.tables, func(t *session.Table) bool { return t.Type() == c.Type }) {
			s.refuse(Refused{Session: c.Session, Code: session.NotAttached, Epoch: c.Epoch})
		}
	}
	for _, t := range s.tables {
		refused, fresh := t.Cells(batch)
		s.took(t, refused, fresh)
	}
}

// refuse passes a refusal on. A cell of a type that its session does not send is
// of the wrong size, as one is that is too long.
func (s *Server) refuse(r Refused) {
	if r.Code == session.NotAttached && slices.ContainsFunc(s.tables, func(t *session.Table) bool {
		_, ok := t.Find(r.Session)
		return ok
	}) {
		r.Code = session.WrongSize
	}
	s.ready.Refused = append(s.ready.Refused, r)
}

// took passes on what a session table made of a batch: refusals, and sessions
// that results and deliveries go to from now on, which get what their clients
// have not acknowledged. A session is sent each epoch once.
func (s *Server) took(t *session.Table, refused []session.Refused, fresh []session.Handle) {
	for _, r := range refused {
		s.refuse(r)
	}
	for _, o := range s.history {
		for _, x := range fresh {
			if s.backlog(t, o, x) {
				s.deliverTo(t, o, x)
			}
		}
	}
	for _, x := range fresh {
		t.SetSent(x, s.applied)
	}
}

// backlog says whether a session that is new is to get an old epoch's cell: its
// client registered before and has not acknowledged it.
func (s *Server) backlog(t *session.Table, o *outcome, x session.Handle) bool {
	client := t.Client(x)
	v, u := int(client)%len(o.users), int(client)/len(o.users)
	if u >= o.users[v] || o.epoch <= t.Sent(x) {
		return false
	}
	return t.Role()&cell.RoleIngestion != 0 && o.epoch > s.through[v][u] ||
		t.Role()&cell.RoleStorage != 0 && o.epoch > s.acked[v][u]
}

// Register asks for an ID. The answer comes after the commit of an epoch that
// holds it, or at once if it cannot be.
func (s *Server) Register(r Registration) {
	status := RegistrationRefused
	switch {
	case s.stopped != nil || s.d < 0:
	case len(s.asked) >= mostAsked:
		status = RegistrationBusy
	default:
		if status = s.members.may(s.d, r, s.asked); status == RegistrationDone {
			s.asked = append(s.asked, r)
			return
		}
	}
	s.ready.Registered = append(s.ready.Registered, Registered{Ticket: r.Ticket, Status: status})
}

// Withdraw takes back a registration that no attempt has prepared yet: its
// client is gone. One that is under way may still be committed.
func (s *Server) Withdraw(ticket uint64) {
	s.asked = slices.DeleteFunc(s.asked, func(r Registration) bool { return r.Ticket == ticket })
}
