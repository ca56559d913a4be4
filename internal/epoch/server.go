// Package epoch is a whole server as one machine: the roles that it has, its
// part in the commit, its clients' sessions, and what it keeps. It does no I/O
// and reads no clock: frames, cells, proposals and ticks go in by method, and
// Ready says what is to be sent. What must survive goes to a store before
// anything that depends on it is offered.
//
// A message's path: Cells (package session opens a submission) - Propose begins
// an attempt (ingest judges the cells; survive contests the ID channel with the
// routers) - ingest deals to the routers - route makes sections - store places
// them in mailboxes - commit decides - finish makes the outcome this server's
// state and queues the sealed results and deliveries. These say as well that the
// next epoch is open, so that clients submit for it when they have learnt the
// outcome of the one before.
//
// Everything that is visible of a server - frames, their sizes and order, what
// is stored, log lines, when it stops - follows from public values: the
// manifest, who is connected, the roster, what the untrusted world sends. A
// secret is never an error here: errors are about frames and proposals.
package epoch

import (
	"errors"
	"strconv"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/commit"
	"github.com/teems-go/teems/internal/oblivious"
	"github.com/teems-go/teems/internal/record"
	"github.com/teems-go/teems/internal/role/ingestion"
	"github.com/teems-go/teems/internal/role/routing"
	"github.com/teems-go/teems/internal/role/storage"
	"github.com/teems-go/teems/internal/session"
	"github.com/teems-go/teems/internal/token"
)

// Errors of proposals, for the coordinator. They are about public facts.
var (
	ErrStopped  = errors.New("epoch: this server has stopped")
	ErrProposal = errors.New("epoch: proposal does not fit")
)

// Roster says which clients are connected in an epoch, two public bits each:
// bit c of Ingestion, client c is connected for submission; bit c of Storage,
// for delivery. Only clients below Limit can have bits.
type Roster struct {
	Limit              uint32
	Ingestion, Storage []byte
}

// Server is the machine. Its methods are for one goroutine.
type Server struct {
	cfg            Config
	ingestionTable []uint32
	storageTable   []uint32
	i, r, d        int // role indexes, -1 without the role
	workers        *oblivious.Workers

	commit *commit.Machine
	ingest *ingestion.Role
	route  *routing.Role
	store  *storage.Role
	tables []*session.Table // of sessions, one for each role towards clients
	shards []shard          // by virtual shard

	state           // durable, as of the newest final epoch
	peers    []peer // by server
	attempt  *attempt
	held     *proposal           // waits for peers
	prepared map[uint16]*outcome // of the epoch being decided
	asked    []Registration      // registrations that no final epoch holds
	early    []earlyFrame

	views   *lease // of the roles' arrays, which frames view
	sending []sending
	retired []retired
	dropped []*outcome // whose mailboxes are to be given back

	inbox     []PeerFrame // frames of this server to itself
	ready     Ready
	queues    []*queue // of cells to be sealed, by link
	nextQueue int      // of the links
	buffers   []*buffer

	spareSlots   []*token.Slots   // memory for copies of the watermarks
	clients      []uint32         // of the attempt's roster
	spareClients []uint32         // memory for the next one's
	answering    []uint32         // memory for those whose requests are answered at once
	scratch      []byte           // what is made durable
	links        []uint32         // scratch
	batch        []session.Handle // scratch
	unannounced  []session.Handle // scratch
	stopped      error
}

type peer struct {
	up   bool
	boot [16]byte
}

type proposal struct {
	epoch  uint64
	number uint16
	roster Roster
}

type earlyFrame struct {
	from    int
	header  Header
	payload []byte
}

// New returns the machine with the state that its store holds, or with that of
// a new cluster.
func New(cfg Config) (*Server, error) {
	if cfg.Memory == nil {
		cfg.Memory = record.Heap{}
	}
	g := cfg.Geometry
	s := &Server{
		cfg:            cfg,
		ingestionTable: g.IngestionTable(),
		storageTable:   g.StorageTable(),
		workers:        oblivious.NewWorkers(max(1, cfg.Workers)),
		peers:          make([]peer, g.Servers()),
		prepared:       map[uint16]*outcome{},
	}
	if cfg.Yield != nil {
		s.workers.Yield(cfg.Yield)
	}
	s.i, s.r, s.d = index(g.IngestionIndex(cfg.Self)), index(g.RouterIndex(cfg.Self)), index(g.StorageIndex(cfg.Self))
	s.peers[cfg.Self] = peer{up: true, boot: cfg.Boot}
	var err error
	genesis := commit.Genesis(cfg.Cluster, cfg.Genesis)
	if s.commit, err = commit.New(cfg.Self, g.Servers(), cfg.Store, genesis); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.persist() // what an interrupted Finish left undone
	if err := s.commit.Conflict(); err != nil {
		return nil, err
	}
	s.makeRoles()
	return s, s.makeSessions()
}

func index(i int, ok bool) int {
	if !ok {
		return -1
	}
	return i
}

// Committed is the newest final epoch.
func (s *Server) Committed() uint64 { return s.commit.Epoch() - 1 }

// Status is what the coordinator is told.
func (s *Server) Status() Status {
	st := Status{Committed: s.Committed(), Offered: s.offered(), Users: s.members.users()}
	if s.attempt != nil {
		st.Attempt = s.attempt.number
	}
	for i, p := range s.peers {
		if p.up && i != s.cfg.Self {
			st.Peers++
		}
	}
	st.Open = s.commit.Epoch()
	for _, t := range s.tables {
		st.Open = t.Open()
		st.Attached += t.Len()
		if t.Role()&cell.RoleIngestion != 0 {
			st.Submissions += t.Submissions()
		}
		if t.Role()&cell.RoleStorage != 0 {
			st.Controls += t.Submissions()
		}
	}
	return st
}

// PeerUp tells that the link to a peer has come up, and the peer's boot ID.
func (s *Server) PeerUp(p int, boot [16]byte) {
	if s.stopped != nil || p == s.cfg.Self {
		return
	}
	s.peers[p] = peer{up: true, boot: boot}
	head := s.commit.Head()
	s.send(PeerFrame{To: p, Header: Header{Kind: Sync, Epoch: s.commit.Epoch() - 1}, Parts: [][]byte{syncPayload(s.commit.Epoch()-1, head)}})
	s.commit.PeerUp(p)
	s.votes()
	if h := s.held; h != nil && s.allUp() {
		s.held = nil
		// The coordinator hears of a proposal that no longer fits by the status.
		_ = s.Propose(h.epoch, h.number, h.roster)
	}
}

// PeerDown tells that the link to a peer is gone.
func (s *Server) PeerDown(p int) {
	if p != s.cfg.Self {
		s.peers[p].up = false
	}
}

func (s *Server) allUp() bool {
	for _, p := range s.peers {
		if !p.up {
			return false
		}
	}
	return true
}

// Tick sends the current votes again.
func (s *Server) Tick() {
	if s.stopped == nil {
		s.commit.Tick()
		s.votes()
	}
}

// stop ends the machine: nothing is sent from now on but the reason.
func (s *Server) stop(err error) {
	if s.stopped != nil {
		return
	}
	s.stopped = err
	s.log("stopped: " + err.Error())
	for i := range s.ready.Peers {
		s.ready.Peers[i].Sent()
	}
	s.ready = Ready{Stopped: err}
	s.queues, s.inbox, s.early = nil, nil, nil
}

// Stopped returns why the machine stopped for good, or nil.
func (s *Server) Stopped() error { return s.stopped }

func (s *Server) log(line string) {
	if s.cfg.Log != nil {
		s.cfg.Log(line)
	}
}

// votes makes durable what the commit has to write, sends what it has to say,
// and applies what it has decided.
func (s *Server) votes() {
	for {
		for _, m := range s.persist() {
			kind := Prepared
			if m.Vote.Kind == commit.Committed {
				kind = Committed
			}
			var tags []byte
			for _, t := range m.Vote.Tags {
				tags = append(tags, t[:]...)
			}
			s.send(PeerFrame{To: m.To, Header: Header{
				Kind: kind, Epoch: m.Vote.Epoch, Attempt: m.Vote.Attempt, Rows: uint32(len(m.Vote.Tags)), A: m.Vote.A,
			}, Parts: [][]byte{tags}})
		}
		if err := s.commit.Conflict(); err != nil {
			s.stop(err)
			return
		}
		if !s.commit.Final() {
			return
		}
		if err := s.finish(); err != nil {
			s.stop(err)
			return
		}
	}
}

// persist makes the commit's writes durable, and returns the votes that may be
// sent then.
func (s *Server) persist() (votes []commit.Message) {
	for {
		r := s.commit.Ready()
		votes = append(votes, r.Messages...)
		if r.Batch.Number == 0 {
			return votes
		}
		if err := r.Batch.Apply(s.cfg.Store); err != nil {
			s.commit.Failed(err)
			return nil
		}
		s.commit.Persisted(r.Batch.Number)
	}
}

// send queues a frame for a peer whose link is up, or for this server itself.
// A frame for a peer that is down is dropped: a new link, or a new attempt,
// brings what is needed.
func (s *Server) send(f PeerFrame) {
	if f.To != s.cfg.Self && (s.stopped != nil || !s.peers[f.To].up) {
		return
	}
	if f.lease != nil {
		f.lease.out.Add(1)
	}
	if f.To == s.cfg.Self {
		s.inbox = append(s.inbox, f)
		return
	}
	s.ready.Peers = append(s.ready.Peers, f)
}

// Ready returns what is to be done since it was last called. Sealed cells come
// a batch at a time: call it again until it is Empty.
func (s *Server) Ready() Ready {
	out := s.ready
	s.ready = Ready{}
	if s.stopped == nil {
		s.sealNext(&out)
	}
	return out
}

// Directory of tokens for the current state.
func (s *Server) directory(users []uint32) (*token.Directory, error) {
	return token.NewDirectory(users, s.generations)
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// columns are the heads and bodies of a frame of records.
func columns(f PeerFrame) (heads, bodies []byte) {
	if len(f.Parts) == 2 {
		return f.Parts[0], f.Parts[1]
	}
	return record.Cut(f.Parts[0], f.Header.Rows)
}
