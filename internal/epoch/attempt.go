package epoch

import (
	"encoding/binary"
	"strconv"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/choice"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/idchannel"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/role/ingestion"
	"github.com/teems-go/teems/internal/role/storage"
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
	s.take(epoch)
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

// beginIngest judges this server's submissions, and sends the headers of the ID
// channel if there is one.
func (s *Server) beginIngest(dir *token.Directory) error {
	t := s.attempt
	if s.i < 0 {
		t.dealt = true
		return nil
	}
	subs := ingestion.Submissions{Clients: t.clients, Cell: func(i int) []byte {
		sub, _, _, _ := s.sent(t.clients[i])
		return sub
	}}
	if err := s.ingest.Begin(t.at, t.epoch, t.id, dir, subs); err != nil {
		return err
	}
	s.writeVerdicts()
	if s.cfg.Geometry.Params().ID.Out == 0 {
		return nil
	}
	for r, to := range s.cfg.Geometry.Routers() {
		s.sendBytes(to, Headers, s.ingest.Headers(r), idchannel.RowBytes, t.at.HeaderLink(s.i, r), s.cfg.Geometry.HeaderFrameRows())
	}
	return nil
}

// writeVerdicts notes what the results of all of this server's clients will say.
func (s *Server) writeVerdicts() {
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
	record.Each(s.workers, len(s.attempt.clients), func(from, to int) {
		for i := from; i < to; i++ {
			client := s.attempt.clients[i]
			sub, _, tag, ok := s.sent(client)
			if !ok {
				continue
			}
			row, _ := rows.of(client)
			v := o.verdicts[row*width : (row+1)*width]
			v[0] = 1
			copy(v[1:], tag[:])
			s.ingest.Statuses(i, v[verdictHead:])
			// What a client acknowledges is its own word, and only lets go of its own results.
			said := sub.ResultsThrough()
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
		sent := func(u int) (client uint32, control cell.Control, ok bool) {
			client = uint32(u*len(o.users) + v)
			_, control, _, ok = s.sent(client)
			return client, control, ok && client < roster.Limit && bit(roster.Storage, client)
		}
		record.Each(s.workers, n, func(from, to int) {
			for u := from; u < to; u++ {
				acked := s.acked[v][u]
				if _, control, ok := sent(u); ok {
					acked = later(acked, storage.Acknowledged(control, epochs, heads))
				}
				binary.LittleEndian.PutUint64(o.acked[8*(rows.first[v]+u):], acked)
			}
		})
		run := s.answering[:0]
		for u := range n {
			if client, _, ok := sent(u); ok {
				run = append(run, client)
				continue
			}
			if err := s.answer(dir, run, rows); err != nil {
				return err
			}
			run = run[:0]
		}
		if err := s.answer(dir, run, rows); err != nil {
			return err
		}
		s.answering = run
	}
	return nil
}

// answer answers the requests of a run of clients, one behind the other in their
// shard, who all sent a control cell.
func (s *Server) answer(dir *token.Directory, run []uint32, rows rows) error {
	if len(run) == 0 {
		return nil
	}
	g, t := s.cfg.Geometry, s.attempt
	h, at := s.shardOf(run[0])
	width := h.sessions.CellBytes()
	// From the first control cell on; the others are as far apart as whole cells.
	_, controls := cell.CutUp(g, h.sessions.Role(), h.taken.Cells[at*width:(at+len(run))*width])
	first, _ := rows.of(run[0])
	answers := g.Requests() * cell.AnswerBytes
	return s.store.Answer(t.epoch, dir, t.out.slots, run, width, controls, t.out.answers[first*answers:(first+len(run))*answers])
}

// later is the greater of two epochs, without a branch.
func later(a, b uint64) uint64 { return choice.Select(choice.Less(a, b), b, a) }
