package epoch

import (
	"slices"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/session"
)

// sealBatch is how many cells are sealed and offered at a time.
const sealBatch = 4096

// mostAsked is how many registrations wait at a time.
const mostAsked = 4096

// job is cells of one type and epoch that are to be sealed for some sessions.
type job struct {
	table   *session.Table
	to      []*session.Session
	typ     uint16
	epoch   uint64
	attempt uint16
	width   int
	compose func(client uint32, plain []byte)
}

// buffer holds a batch of sealed cells until it is sent.
type buffer struct {
	data     []byte
	sessions []uint64
	lease    lease
}

// Attach adds a session that claims to be a client's, in a role.
func (s *Server) Attach(id uint64, client uint32, role uint8, salt [16]byte) {
	if s.stopped != nil {
		return
	}
	s.Detach(id)
	t, owners, index := s.up, s.ingestionTable, s.i
	if role == cell.RoleStorage {
		t, owners, index = s.down, s.storageTable, s.d
	}
	m := s.members.find(client)
	if t == nil || m == nil || role != cell.RoleIngestion && role != cell.RoleStorage || int(owners[int(client)%len(owners)]) != index {
		s.ready.Refused = append(s.ready.Refused, Refused{Session: id, Code: session.UnknownClient})
		return
	}
	k := s.cfg.Keys
	key := k.SimulatedClientKey(client)
	if m.generation > 0 {
		key = k.ClientKey(client, m.keyHash, m.generation)
	}
	x := t.Attach(id, client, salt,
		k.SessionKey(key, cell.Up, role, salt, s.cfg.Boot), k.SessionKey(key, cell.Down, role, salt, s.cfg.Boot))
	s.sessions[id] = x
	s.ready.Attached = append(s.ready.Attached, Attached{Session: id, Generation: m.generation})
	s.welcome[t] = append(s.welcome[t], x)
}

// Detach removes a session.
func (s *Server) Detach(id uint64) {
	if x := s.sessions[id]; x != nil {
		s.table(x).Detach(x)
		delete(s.sessions, id)
	}
}

// table is the table that a session is in.
func (s *Server) table(x *session.Session) *session.Table {
	if x.Role == cell.RoleIngestion {
		return s.up
	}
	return s.down
}

// Cells takes a batch of sealed cells from clients.
func (s *Server) Cells(batch []session.Cell) {
	if s.stopped != nil {
		return
	}
	var up, down []session.Arrived
	for i := range batch {
		c := &batch[i]
		switch x := s.sessions[c.Session]; {
		case x == nil:
			s.ready.Refused = append(s.ready.Refused, Refused{c.Session, session.NotAttached, c.Epoch})
		case x.Role == cell.RoleIngestion:
			up = append(up, session.Arrived{From: x, Cell: c})
		default:
			down = append(down, session.Arrived{From: x, Cell: c})
		}
	}
	s.welcomeAll()
	if len(up) > 0 {
		s.took(s.up.Cells(up))
	}
	if len(down) > 0 {
		s.took(s.down.Cells(down))
	}
}

// took passes on what a session table made of a batch: refusals, and sessions
// that results and deliveries go to from now on, which get what their clients
// have not acknowledged. A session is sent each epoch once.
func (s *Server) took(refused []session.Refused, fresh []*session.Session) {
	for _, r := range refused {
		s.ready.Refused = append(s.ready.Refused, Refused{r.Session, r.Code, r.Epoch})
	}
	for _, x := range fresh {
		for _, o := range s.history {
			s.backlog(o, x)
		}
		x.Sent = s.applied
	}
}

// backlog queues an old epoch's cell for a session that is new, unless its
// client has acknowledged it or registered later.
func (s *Server) backlog(o *outcome, x *session.Session) {
	v, u := int(x.Client)%len(o.users), int(x.Client)/len(o.users)
	if u >= o.users[v] {
		return
	}
	if o.epoch <= x.Sent {
		return
	}
	to := []*session.Session{x}
	if x.Role == cell.RoleIngestion && o.epoch > s.through[v][u] {
		s.jobs = append(s.jobs, s.results(o, to))
	}
	if x.Role == cell.RoleStorage && o.epoch > s.acked[v][u] {
		s.jobs = append(s.jobs, s.deliveries(o, to))
	}
}

// deliver queues a final epoch's results and deliveries, and an announcement for
// the sessions that get neither: those whose client has not proved itself in
// them, or has in another one since. A client gets a delivery whether it holds a
// message or not.
func (s *Server) deliver(o *outcome) {
	if s.up != nil {
		s.jobs = append(s.jobs, s.results(o, owed(s.up, o.epoch)))
	}
	if s.down != nil {
		s.jobs = append(s.jobs, s.deliveries(o, owed(s.down, o.epoch)))
	}
	for _, t := range []*session.Table{s.up, s.down} {
		if t != nil {
			s.announce(t, t.Untold())
		}
	}
	clear(s.welcome)
}

// owed is the sessions that get an epoch's cells, which are noted as sent: they
// tell that the next epoch is open.
func owed(t *session.Table, epoch uint64) []*session.Session {
	to := t.Active()
	for _, x := range to {
		x.Sent, x.Told = epoch, epoch+1
	}
	return to
}

func (s *Server) results(o *outcome, to []*session.Session) job {
	mac := s.cfg.Keys.HeadMAC(o.epoch, o.head)
	return job{
		table: s.up, to: to, typ: cell.TypeResult, epoch: o.epoch, attempt: o.attempt, width: s.cfg.Geometry.ResultBytes(),
		compose: func(c uint32, plain []byte) { s.result(o, c, plain, mac) },
	}
}

func (s *Server) deliveries(o *outcome, to []*session.Session) job {
	mac := s.cfg.Keys.HeadMAC(o.epoch, o.head)
	return job{
		table: s.down, to: to, typ: cell.TypeDelivery, epoch: o.epoch, attempt: o.attempt, width: s.cfg.Geometry.DeliveryBytes(),
		compose: func(c uint32, plain []byte) { s.delivery(o, c, plain, mac) },
	}
}

// announce queues the announcement of the open epoch. What it says of an epoch
// never changes, so that saying it again under the same nonce is the same cell.
func (s *Server) announce(t *session.Table, to []*session.Session) {
	if len(to) == 0 {
		return
	}
	open := t.Open()
	for _, x := range to {
		x.Told = open
	}
	head := s.commit.Before()
	if cell.HeadEpoch(open) == s.commit.Epoch()-1 {
		head = s.commit.Head()
	}
	mac := s.cfg.Keys.HeadMAC(cell.HeadEpoch(open), head)
	s.jobs = append(s.jobs, job{
		table: t, to: to, typ: cell.TypeAnnouncement, epoch: open, width: geometry.AnnouncementBytes,
		compose: func(_ uint32, plain []byte) {
			a := cell.Announcement(plain)
			a.SetOpen(open)
			copy(a.Head(), head[:])
			copy(a.HeadMAC(), mac[:])
		},
	})
}

// welcomeAll announces the open epoch to the sessions that attached since.
func (s *Server) welcomeAll() {
	for _, t := range []*session.Table{s.up, s.down} {
		if t != nil && len(s.welcome[t]) > 0 {
			s.announce(t, s.welcome[t])
			s.welcome[t] = nil
		}
	}
}

// sealNext seals the next batch of cells into out.
func (s *Server) sealNext(out *Ready) {
	s.welcomeAll()
	for len(s.jobs) > 0 {
		j := &s.jobs[0]
		if len(j.to) == 0 {
			s.jobs[0] = job{}
			s.jobs = s.jobs[1:]
			continue
		}
		to := j.to[:min(sealBatch, len(j.to))]
		j.to = j.to[len(to):]
		width := geometry.Sealed(j.width)
		b := s.buffer(len(to) * width)
		for _, x := range to {
			b.sessions = append(b.sessions, x.ID)
		}
		j.table.Seal(b.data, to, j.typ, j.epoch, j.attempt, j.width, j.compose)
		b.lease.out.Add(1)
		out.Cells = append(out.Cells, ClientCells{
			Type: j.typ, Attempt: j.attempt, Epoch: j.epoch, Sessions: b.sessions, Width: width, Data: b.data, lease: &b.lease,
		})
		return
	}
}

// buffer returns a buffer of n bytes that nobody reads.
func (s *Server) buffer(n int) *buffer {
	for _, b := range s.buffers {
		if b.lease.free() {
			if cap(b.data) < n {
				b.data = make([]byte, n)
			}
			b.data, b.sessions = b.data[:n], b.sessions[:0]
			return b
		}
	}
	b := &buffer{data: make([]byte, n)}
	s.buffers = append(s.buffers, b)
	return b
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
