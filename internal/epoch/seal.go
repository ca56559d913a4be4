package epoch

import (
	"slices"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/session"
)

// sealBatch and sealBytes are how many cells, and bytes of them, are sealed and
// offered at a time: few enough that they are still in a core's cache when they
// are written to their link.
const (
	sealBatch = 1024
	sealBytes = 1 << 20
)

// job is cells of one type and epoch that are to be sealed for sessions of one
// link: either of everyone, who is looked for when it is sealed, or of some.
type job struct {
	table   *session.Table
	typ     uint16
	epoch   uint64
	attempt uint16
	width   int
	outcome *outcome // nil for announcements
	compose func(client uint32, plain []byte)

	everyone bool
	left     int              // of everyone
	to       []session.Handle // else
	ids      []uint64         // of to, for outcomes: a handle may be another session's by then
}

// queue is the jobs of one link, in order.
type queue struct {
	link uint32
	full bool // the link has enough to write
	jobs []*job
}

// buffer holds a batch of sealed cells until it is sent.
type buffer struct {
	data     []byte
	sessions []uint64
	lease    lease
}

// queue returns the queue of a link, which it makes if there is none.
func (s *Server) queue(link uint32) *queue {
	for i := len(s.queues) - 1; i >= 0; i-- {
		if s.queues[i].link == link {
			return s.queues[i]
		}
	}
	q := &queue{link: link}
	s.queues = append(s.queues, q)
	return q
}

// Hold tells that a link has enough to write, so that no cells are sealed for it
// until it has room again: memory is for what the links take, and a link that
// takes nothing holds up no other. What waits for it is sealed later, unless its
// epoch is no longer kept by then.
func (s *Server) Hold(link uint32, full bool) {
	if s.stopped == nil {
		s.queue(link).full = full
	}
}

// push queues a job for a link.
func (s *Server) push(link uint32, j *job) {
	if j.outcome != nil {
		j.outcome.jobs++
	}
	q := s.queue(link)
	q.jobs = append(q.jobs, j)
}

// pop ends the first job of a queue.
func (q *queue) pop() {
	if o := q.jobs[0].outcome; o != nil {
		o.jobs--
	}
	q.jobs = slices.Delete(q.jobs, 0, 1)
}

// dropQueue forgets the jobs of a link that is gone.
func (s *Server) dropQueue(link uint32) {
	for i, q := range s.queues {
		if q.link == link {
			for len(q.jobs) > 0 {
				q.pop()
			}
			s.queues = slices.Delete(s.queues, i, i+1)
			return
		}
	}
}

// offered is the newest final epoch of which all cells have been offered, on
// every link.
func (s *Server) offered() uint64 {
	epoch := s.Committed()
	for _, q := range s.queues {
		for _, j := range q.jobs {
			if j.everyone {
				epoch = min(epoch, j.epoch-1)
			}
		}
	}
	return epoch
}

// deliver queues a final epoch's results and deliveries for all sessions whose
// client proved itself in them last; a client gets a delivery whether it holds a
// message or not. The others get an announcement.
func (s *Server) deliver(o *outcome) {
	for _, t := range s.tables {
		s.links = t.Links(s.links[:0])
		for _, link := range s.links {
			j := s.outcomeJob(t, o)
			j.everyone, j.left = true, t.Linked(link)
			s.push(link, j)
		}
	}
}

// deliverTo queues an old epoch's result or delivery for one session.
func (s *Server) deliverTo(t *session.Table, o *outcome, x session.Handle) {
	link := session.LinkOf(t.ID(x))
	if q := s.queue(link); len(q.jobs) > 0 {
		if j := q.jobs[len(q.jobs)-1]; j.outcome == o && j.table == t && !j.everyone {
			j.to, j.ids = append(j.to, x), append(j.ids, t.ID(x))
			return
		}
	}
	j := s.outcomeJob(t, o)
	j.to, j.ids = append(j.to, x), append(j.ids, t.ID(x))
	s.push(link, j)
}

// outcomeJob is the results, deliveries or both of an epoch, for nobody yet.
func (s *Server) outcomeJob(t *session.Table, o *outcome) *job {
	g := s.cfg.Geometry
	mac := s.cfg.Keys.HeadMAC(o.epoch, o.head)
	j := &job{table: t, typ: cell.DownType(t.Role()), width: cell.DownBytes(g, t.Role()), epoch: o.epoch, attempt: o.attempt, outcome: o}
	results, _ := rowsOf(o.users, s.ingestionTable, s.i)
	deliveries, _ := rowsOf(o.users, s.storageTable, s.d)
	j.compose = func(client uint32, plain []byte) {
		r, d := cell.CutDown(g, t.Role(), plain)
		if r != nil {
			s.result(o, results, client, r, mac)
		}
		if d != nil {
			s.delivery(o, deliveries, client, d, mac)
		}
	}
	return j
}

// announce queues the announcement of the open epoch for sessions of a link,
// those of them that have not been told. What it says of an epoch never changes,
// so that saying it again under the same nonce is the same cell. It keeps to.
func (s *Server) announce(t *session.Table, link uint32, to []session.Handle) {
	open := t.Open()
	head := s.commit.Before()
	if cell.HeadEpoch(open) == s.commit.Epoch()-1 {
		head = s.commit.Head()
	}
	mac := s.cfg.Keys.HeadMAC(cell.HeadEpoch(open), head)
	s.push(link, &job{
		table: t, typ: cell.TypeAnnouncement, epoch: open, width: geometry.AnnouncementBytes, to: to,
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
	for _, t := range s.tables {
		t.QueuedAnnouncements(func(link uint32, to []session.Handle) { s.announce(t, link, to) })
	}
}

// sealNext seals the next batch of cells into out, for the links in turn.
func (s *Server) sealNext(out *Ready) {
	s.welcomeAll()
	for n := len(s.queues); n > 0; n-- {
		s.nextQueue++
		q := s.queues[s.nextQueue%len(s.queues)]
		for len(q.jobs) > 0 && !q.full {
			j := q.jobs[0]
			to := s.next(q, j)
			if len(to) > 0 {
				s.seal(out, j, to)
			}
			if j.left == 0 && len(j.to) == 0 || j.outcome != nil && j.outcome.dropped {
				q.pop()
			}
			if len(to) > 0 {
				return
			}
		}
	}
}

// next returns the next sessions that a job seals cells for, valid until it is
// called again.
func (s *Server) next(q *queue, j *job) []session.Handle {
	t := j.table
	most := max(1, min(sealBatch, sealBytes/(s.cfg.CellGap+geometry.Sealed(j.width))))
	switch {
	case j.outcome != nil && j.outcome.dropped:
		return nil
	case j.everyone:
		s.batch, s.unannounced, j.left = t.NextRecipients(q.link, j.epoch, j.left, most, s.batch[:0], s.unannounced[:0])
		if len(s.unannounced) > 0 {
			s.announce(t, q.link, slices.Clone(s.unannounced))
		}
		return s.batch
	}
	to := j.to[:min(most, len(j.to))]
	j.to = j.to[len(to):]
	if j.outcome == nil {
		return t.MarkAnnounced(q.link, j.epoch, to)
	}
	s.batch = s.batch[:0]
	for i, x := range to {
		if t.On(x, q.link) && t.ID(x) == j.ids[i] {
			s.batch = append(s.batch, x)
		}
	}
	j.ids = j.ids[len(to):]
	return s.batch
}

// seal seals a batch of a job.
func (s *Server) seal(out *Ready, j *job, to []session.Handle) {
	width := geometry.Sealed(j.width)
	b := s.buffer(len(to) * (s.cfg.CellGap + width))
	for _, x := range to {
		b.sessions = append(b.sessions, j.table.ID(x))
	}
	j.table.Seal(b.data, s.cfg.CellGap, to, j.typ, j.epoch, j.attempt, j.width, j.compose)
	b.lease.out.Add(1)
	out.Cells = append(out.Cells, ClientCells{
		Type: j.typ, Attempt: j.attempt, Epoch: j.epoch, Sessions: b.sessions, Gap: s.cfg.CellGap, Width: width, Data: b.data, lease: &b.lease,
	})
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
