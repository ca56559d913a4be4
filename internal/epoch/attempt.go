package epoch

import (
	"encoding/binary"
	"strconv"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/ingest"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/session"
	"github.com/teems-go/teems/internal/store"
	"github.com/teems-go/teems/internal/survive"
	"github.com/teems-go/teems/internal/token"
)

// attempt is one try at an epoch that is under way.
type attempt struct {
	epoch    uint64
	number   uint16
	id       commit.ID
	at       *geometry.Attempt
	clients  []uint32 // the roster's clients that submit to this server, in order
	out      *outcome
	heard    []bool // by storage role index: its registrations have come
	changes  [][]change
	dealt    bool
	decided  bool
	routed   bool
	placed   bool
	prepared bool
}

// Propose begins an attempt that the coordinator proposes, or holds it until
// the links to all other servers are up. A proposal that does not fit changes
// nothing. The errors are for the coordinator.
//
// Void attempts have no roster, so that servers that prepare one prepare the
// same one, whoever proposes what.
func (s *Server) Propose(epoch uint64, n uint16, roster Roster) error {
	if s.stopped != nil {
		return ErrStopped
	}
	if s.attempt != nil && n <= s.attempt.number && epoch == s.attempt.epoch {
		return ErrProposal
	}
	bytes := (int(roster.Limit) + 7) / 8
	if len(roster.Ingestion) != bytes || len(roster.Storage) != bytes || s.void(n) && roster.Limit != 0 {
		return ErrProposal
	}
	if epoch != s.commit.Epoch() {
		return commit.ErrEpoch
	}
	if !s.allUp() {
		s.held = &proposal{epoch, n, roster}
		return nil
	}
	s.held = nil
	if err := s.begin(epoch, n, roster); err != nil {
		return err
	}
	s.progress()
	return nil
}

// void reports whether an attempt's outcome is empty: it is above the cap.
func (s *Server) void(n uint16) bool { return int(n) > s.cfg.Geometry.Params().Attempts }

// begin starts this server's part of an attempt.
func (s *Server) begin(epoch uint64, n uint16, roster Roster) error {
	g := s.cfg.Geometry
	users := s.members.users()
	ingesting, clients, ok := s.readRoster(roster, users)
	if !ok {
		return ErrProposal
	}
	at, err := g.Attempt(users, ingesting)
	if err != nil {
		return err
	}
	dir, err := s.directory(at.UserTable())
	if err != nil {
		return err
	}
	if err := s.commit.Begin(epoch, n); err != nil {
		return err
	}
	boots := make([][16]byte, len(s.peers))
	for i, p := range s.peers {
		boots[i] = p.boot
	}
	facts := commit.Facts{
		Cluster: s.cfg.Cluster, Manifest: s.cfg.Manifest, Era: s.cfg.Era, Epoch: epoch, Attempt: n,
		Previous: s.commit.Head(), Roster: s.rosterHash(roster), Users: users, Boots: boots,
	}
	if !s.views.free() {
		s.retire() // frames of the last attempt still view its arrays
	}
	if a := s.attempt; a != nil && !a.prepared {
		s.dropped = append(s.dropped, a.out)
	}
	s.release()
	s.views = &lease{}
	t := &attempt{
		epoch: epoch, number: n, id: facts.ID(), at: at, clients: clients,
		out:   &outcome{epoch: epoch, attempt: n, users: users, void: s.void(n)},
		heard: make([]bool, len(g.Storages())), changes: make([][]change, len(g.Storages())),
	}
	s.attempt = t
	s.clients, s.spareClients = clients, s.clients
	s.openNext(epoch)
	total := 0
	for _, k := range ingesting {
		total += k
	}
	s.log("epoch " + number(epoch) + " attempt " + number(uint64(n)) + ": " + strconv.Itoa(total) + " clients submit")
	if t.out.void {
		return nil
	}
	if err := s.beginIngest(dir); err != nil {
		return err
	}
	if s.r >= 0 {
		s.route.Begin(at)
	}
	if err := s.beginStore(dir, roster); err != nil {
		return err
	}
	s.replayEarly()
	return nil
}

// readRoster counts the clients of every ingestion server, and lists this
// server's in the order of shards and numbers. It is not ok if the roster names
// a client that does not exist.
func (s *Server) readRoster(r Roster, users []int) (ingesting []int, clients []uint32, ok bool) {
	shards := len(users)
	ingesting, clients = make([]int, len(s.cfg.Geometry.Ingestions())), s.spareClients[:0]
	for v, n := range users {
		i := int(s.ingestionTable[v])
		for u := range n {
			c := uint32(u*shards + v)
			if c >= r.Limit {
				break
			}
			if bit(r.Ingestion, c) {
				ingesting[i]++
				if i == s.i {
					clients = append(clients, c)
				}
			}
		}
	}
	named := 0
	for _, b := range r.Ingestion {
		for ; b != 0; b &= b - 1 {
			named++
		}
	}
	for _, n := range ingesting {
		named -= n
	}
	s.spareClients = clients
	return ingesting, clients, named == 0
}

func bit(b []byte, i uint32) bool { return b[i/8]>>(i%8)&1 == 1 }

func (s *Server) rosterHash(r Roster) [32]byte {
	b := binary.LittleEndian.AppendUint32(s.scratch[:0], r.Limit)
	b = append(b, r.Ingestion...)
	s.scratch = append(b, r.Storage...)
	return commit.RosterHash(s.scratch)
}

// openNext ends submission for the epoch that begins, at its first attempt. The
// next one is open from now on, for who attaches meanwhile; the others are told
// with the outcome of this one.
func (s *Server) openNext(epoch uint64) {
	for _, t := range s.tables {
		if t.Open() == epoch {
			s.taken[t] = t.Take()
		}
	}
}

// beginIngest judges this server's submissions, and sends the headers of the ID
// channel if there is one.
func (s *Server) beginIngest(dir *token.Directory) error {
	t := s.attempt
	if s.i < 0 {
		t.dealt = true
		return nil
	}
	width := s.cfg.Geometry.SubmissionBytes()
	taken := s.taken[s.up]
	_, slot := slotsOf(s.cfg.Geometry, s.ingestionTable, s.i)
	subs := ingest.Submissions{Clients: t.clients, Cell: func(i int) []byte {
		if taken == nil {
			return nil
		}
		if at := slot(t.clients[i]); taken.Present[at] {
			return taken.Cell(at, width)
		}
		return nil
	}}
	if err := s.ingest.Begin(t.at, t.epoch, t.id, dir, subs); err != nil {
		return err
	}
	s.writeVerdicts(taken, slot)
	if s.cfg.Geometry.Params().ID.Out == 0 {
		return nil
	}
	for r, to := range s.cfg.Geometry.Routers() {
		s.sendBytes(to, Headers, s.ingest.Headers(r), survive.RowBytes, t.at.HeaderLink(s.i, r), s.cfg.Geometry.HeaderFrameRows())
	}
	return nil
}

// writeVerdicts notes what the results of all of this server's clients will say.
func (s *Server) writeVerdicts(taken *session.Taken, slot func(uint32) int) {
	g, o := s.cfg.Geometry, s.attempt.out
	rows, n := rowsOf(o.users, s.ingestionTable, s.i)
	width := s.verdictBytes()
	o.verdicts = record.Make[byte](s.cfg.Memory, n*width)
	o.through = record.Make[byte](s.cfg.Memory, n*8)
	for v, n := range o.users {
		if rows.first[v] < 0 {
			continue
		}
		record.Each(s.workers, n, func(from, to int) {
			for u := from; u < to; u++ {
				row := rows.first[v] + u
				binary.LittleEndian.PutUint64(o.through[8*row:], s.through[v][u])
				for j := range g.Outs() {
					o.verdicts[row*width+verdictHead+j] = cell.StatusNothing
				}
			}
		})
	}
	if taken == nil {
		return
	}
	record.Each(s.workers, len(s.attempt.clients), func(from, to int) {
		for i := from; i < to; i++ {
			client := s.attempt.clients[i]
			at := slot(client)
			if !taken.Present[at] {
				continue
			}
			row, _ := rows.of(client)
			v := o.verdicts[row*width : (row+1)*width]
			v[0] = 1
			copy(v[1:], taken.Tag[at][:])
			s.ingest.Statuses(i, v[verdictHead:])
			// What a client acknowledges is its own word, and only lets go of its own results.
			said := cell.Submission(taken.Cell(at, g.SubmissionBytes())).ResultsThrough()
			had := binary.LittleEndian.Uint64(o.through[8*row:])
			said = choice.Select(choice.Less(said, s.attempt.epoch), said, had)
			binary.LittleEndian.PutUint64(o.through[8*row:], later(had, said))
		}
	})
}

// beginStore takes the control cells, and tells everyone of the registrations
// that this server makes in the epoch.
func (s *Server) beginStore(dir *token.Directory, roster Roster) error {
	t, g := s.attempt, s.cfg.Geometry
	if s.d < 0 {
		t.placed = true
		return nil
	}
	s.store.Begin(t.at)
	if err := s.readControls(dir, roster); err != nil {
		return err
	}
	changes := s.members.assign(s.d, s.asked, geometry.MemberFrameRows)
	var list []byte
	for _, c := range changes {
		list = appendChange(list, c)
	}
	for to := range g.Servers() {
		s.send(PeerFrame{To: to, Header: s.header(Members, 0, len(changes)), Parts: [][]byte{list}})
	}
	return nil
}

// readControls applies acknowledgements and requests to copies of the state.
func (s *Server) readControls(dir *token.Directory, roster Roster) error {
	t, g := s.attempt, s.cfg.Geometry
	o := t.out
	o.slots = s.copySlots()
	width := g.Requests() * cell.AnswerBytes
	mailboxes := t.at.Users(s.d)
	o.answers = record.Make[byte](s.cfg.Memory, mailboxes*width)
	o.acked = record.Make[byte](s.cfg.Memory, mailboxes*8)
	taken := s.taken[s.down]
	_, slot := slotsOf(g, s.storageTable, s.d)
	var epochs []uint64
	var heads [][32]byte
	for _, h := range s.history {
		epochs, heads = append(epochs, h.epoch), append(heads, h.head)
	}
	rows, _ := rowsOf(o.users, s.storageTable, s.d)
	for v, n := range o.users {
		if rows.first[v] < 0 {
			continue
		}
		sent := func(u int) (client uint32, at int, ok bool) {
			client = uint32(u*len(o.users) + v)
			at = slot(client)
			return client, at, taken != nil && client < roster.Limit && bit(roster.Storage, client) && taken.Present[at]
		}
		record.Each(s.workers, n, func(from, to int) {
			for u := from; u < to; u++ {
				acked := s.acked[v][u]
				if _, at, ok := sent(u); ok {
					acked = later(acked, store.Acknowledged(taken.Cell(at, g.ControlBytes()), epochs, heads))
				}
				binary.LittleEndian.PutUint64(o.acked[8*(rows.first[v]+u):], acked)
			}
		})
		run := controls{clients: s.answering[:0], first: rows.first[v]}
		for u := range n {
			if c, at, ok := sent(u); ok {
				run.add(c, taken, at)
			} else if err := s.answer(dir, &run, rows.first[v]+u+1); err != nil {
				return err
			}
		}
		if err := s.answer(dir, &run, rows.first[v]+n); err != nil {
			return err
		}
		s.answering = run.clients
	}
	return nil
}

// controls is a run of clients, one behind the other in their shard, who all
// sent a control cell.
type controls struct {
	clients []uint32
	taken   *session.Taken
	slot    int // of the first client
	first   int // the first client's mailbox
}

func (r *controls) add(client uint32, taken *session.Taken, slot int) {
	if len(r.clients) == 0 {
		r.taken, r.slot = taken, slot
	}
	r.clients = append(r.clients, client)
}

// answer answers the requests of a run, if there is one, and starts the next run
// at a mailbox.
func (s *Server) answer(dir *token.Directory, r *controls, next int) error {
	g, t := s.cfg.Geometry, s.attempt
	n := len(r.clients)
	if n > 0 {
		cells := r.taken.Cells[r.slot*g.ControlBytes() : (r.slot+n)*g.ControlBytes()]
		width := g.Requests() * cell.AnswerBytes
		answers := t.out.answers[r.first*width : (r.first+n)*width]
		if err := s.store.Answer(t.epoch, dir, t.out.slots, r.clients, cells, answers); err != nil {
			return err
		}
	}
	r.clients, r.first = r.clients[:0], next
	return nil
}

// later is the greater of two epochs, without a branch.
func later(a, b uint64) uint64 { return choice.Select(choice.Less(a, b), b, a) }
