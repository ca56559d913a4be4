package load

import (
	"crypto/cipher"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/wire"
)

// client is one simulated client: its ends, and the tokens that it was handed.
type client struct {
	id   uint32
	key  [32]byte
	ends []end // one in the joint role, or for ingestion and for storage; in simulation.ends
	out  outbox
	asks asks
}

// end is a client's side of its conversation with one server. What reads its
// connection owns it.
type end struct {
	c           *client
	role        uint8  // a bit for each of ingestion and storage
	server      uint32 // in the manifest
	salt        [16]byte
	theirs      [16]byte // the server's salt
	attached    bool
	up, down    cipher.AEAD
	sequence    uint64
	submitted   uint64                 // newest epoch that a cell was sealed for
	tags        [4][cell.TagBytes]byte // of sealed cells that hold submissions, by epoch mod 4
	through     uint64                 // every result and delivery of its role up to it is there
	throughHead [32]byte               // head of that epoch
}

// scratch is what handling a frame needs, for one goroutine at a time.
type scratch struct {
	plain, sealed, body []byte
	block               [16]byte
	nonce               [cell.NonceBytes]byte
	ad                  cell.AD
	attached            wire.Attached
	down                wire.CellDown
	refused             wire.Refused
	up                  wire.GatewayCellUp
	out                 []byte // frames to send
}

// simulation is all clients, however they are connected.
type simulation struct {
	cfg     Config
	g       *geometry.Geometry
	cluster [32]byte
	plan    *planner
	bodies  bodies
	ledger  *ledger
	clients []client
	ends    []end // of all clients, in order
	scratch sync.Pool

	in         *wire.Limits
	attached   atomic.Int64 // ends
	allUp      chan struct{}
	issued     atomic.Int64
	refused    atomic.Int64
	links      sync.Map    // server -> told that the link to it was lost
	fault      atomic.Bool // still to be made
	onProblem  func(string)
	outOfToken atomic.Int64 // messages that were not sent for want of a token
}

func (s *simulation) newScratch() *scratch {
	if sc, ok := s.scratch.Get().(*scratch); ok {
		return sc
	}
	g := s.g
	room := max(g.UpCellBytes(), g.DownCellBytes())
	return &scratch{plain: make([]byte, room), sealed: make([]byte, 0, room), body: make([]byte, g.Params().CellBytes)}
}

// frame takes a frame from an end's server. What is to be sent is appended to
// sc.out; session is the number behind which a link carries the end's frames,
// -1 on a connection of its own.
func (s *simulation) frame(e *end, typ wire.Type, payload []byte, session int64, sc *scratch) error {
	switch typ {
	case wire.TypeAttached, wire.TypeGatewayAttached:
		if err := sc.attached.Parse(payload); err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		return s.attach(e, &sc.attached)
	case wire.TypeCellDown, wire.TypeGatewayCellDown:
		if err := sc.down.Parse(payload); err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		return s.cell(e, session, sc)
	case wire.TypeRefused, wire.TypeGatewayRefused:
		if err := sc.refused.Parse(payload); err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		switch code := sc.refused.Code; code {
		case wire.CodeWrongEpoch, wire.CodeNotOpen:
			return nil // too late for the epoch: the result says so too
		case wire.CodeBusy:
			if e.attached {
				s.lostLink(e.server)
				return nil
			}
			return fmt.Errorf("%w: client %d, server %d: %v", ErrRefused, e.c.id, e.server, code)
		default:
			return fmt.Errorf("%w: client %d, server %d: %v", ErrRefused, e.c.id, e.server, code)
		}
	}
	return fmt.Errorf("%w: a frame of type %d", ErrProtocol, typ)
}

// lostLink tells once that a gateway has lost a server.
func (s *simulation) lostLink(server uint32) {
	if _, told := s.links.LoadOrStore(server, true); !told {
		s.onProblem(fmt.Sprintf("the link to server %d was lost", server))
	}
}

// attachment is what an end opens its session with.
func (s *simulation) attachment(e *end) wire.Attach {
	return wire.Attach{
		Client: e.c.id, Salt: e.salt,
		Proof: keys.AttachProof(e.c.key, s.cluster, e.server, e.role, e.c.id, e.salt),
	}
}

// attach takes the server's answer to Attach: now there are keys.
func (s *simulation) attach(e *end, a *wire.Attached) error {
	if a.Server != e.server {
		return fmt.Errorf("%w: client %d was attached to server %d instead of %d", ErrProtocol, e.c.id, a.Server, e.server)
	}
	if e.attached && e.theirs == a.Salt {
		return nil // the gateway's link was lost and is back; nothing else has changed
	}
	if e.attached {
		return fmt.Errorf("%w: server %d has restarted and lost its state", ErrConnection, e.server)
	}
	e.theirs = a.Salt
	e.up = keys.Session(e.c.key, cell.Up, e.role, e.salt, a.Salt).(cipher.AEAD)
	e.down = keys.Session(e.c.key, cell.Down, e.role, e.salt, a.Salt).(cipher.AEAD)
	e.attached = true
	if s.attached.Add(1) == int64(len(s.ends)) {
		close(s.allUp)
	}
	return nil
}

// cell opens what the server sealed, and takes it.
func (s *simulation) cell(e *end, session int64, sc *scratch) error {
	m := &sc.down
	if !e.attached {
		return fmt.Errorf("%w: a cell before the answer to the attachment", ErrProtocol)
	}
	cell.PutDownNonce(&sc.nonce, m.Epoch, m.Attempt, m.Type)
	sc.ad = cell.MakeAD(&s.cluster, cell.Down, e.role, m.Type, e.server)
	sc.ad.SetEpoch(m.Epoch)
	sc.ad.SetAttempt(m.Attempt)
	sc.ad.SetClient(e.c.id)
	plain, err := e.down.Open(sc.plain[:0], sc.nonce[:], m.Sealed, sc.ad[:])
	if err != nil {
		return fmt.Errorf("%w: a cell of type %d for client %d in epoch %d does not open", ErrProtocol, m.Type, e.c.id, m.Epoch)
	}
	switch {
	case m.Type == cell.TypeAnnouncement && len(plain) == geometry.AnnouncementBytes:
		s.opened(e, cell.Announcement(plain).Open(), session, sc)
		return nil
	case m.Type == cell.DownType(e.role) && len(plain) == cell.DownBytes(s.g, e.role):
		return s.outcome(e, plain, session, sc)
	}
	return fmt.Errorf("%w: a cell of type %d and %d bytes for client %d from role %d", ErrProtocol, m.Type, len(plain), e.c.id, e.role)
}

// outcome takes what an epoch has for an end, and answers it.
func (s *simulation) outcome(e *end, plain []byte, session int64, sc *scratch) error {
	epoch := sc.down.Epoch
	r, d := cell.CutDown(s.g, e.role, plain)
	if r != nil && r.Epoch() != epoch || d != nil && d.Epoch() != epoch {
		return fmt.Errorf("%w: what client %d got for epoch %d is of another one", ErrProtocol, e.c.id, epoch)
	}
	if epoch != e.through+1 && e.through > 0 || epoch == 0 {
		return fmt.Errorf("%w: client %d heard of epoch %d from role %d after epoch %d", ErrProtocol, e.c.id, epoch, e.role, e.through)
	}
	e.through = epoch
	if r != nil {
		if err := s.result(e, r); err != nil {
			return err
		}
	}
	if d != nil {
		s.delivery(e, d, sc)
	}
	s.opened(e, epoch+1, session, sc)
	return nil
}

// opened answers what says that an epoch is open with exactly one cell for it.
func (s *simulation) opened(e *end, open uint64, session int64, sc *scratch) {
	if open <= e.submitted || open > s.cfg.Last {
		return
	}
	e.submitted = open
	typ, plain := cell.UpType(e.role), sc.plain[:cell.UpBytes(s.g, e.role)]
	submission, control := cell.CutUp(s.g, e.role, plain)
	if submission != nil {
		s.submission(e, open, submission, sc)
	}
	if control != nil {
		s.control(e, open, control)
	}
	e.sequence++
	cell.PutUpNonce(&sc.nonce, e.sequence, typ)
	sc.ad = cell.MakeAD(&s.cluster, cell.Up, e.role, typ, e.server)
	sc.ad.SetEpoch(open)
	sc.ad.SetClient(e.c.id)
	sc.sealed = e.up.Seal(sc.sealed[:0], sc.nonce[:], plain, sc.ad[:])
	if submission != nil {
		e.tags[open%4] = cell.Tag(sc.sealed)
	}
	sc.up.Cell = wire.CellUp{Type: typ, Epoch: open, Sequence: e.sequence, Sealed: sc.sealed}
	if session < 0 {
		sc.out = sc.up.Cell.Append(sc.out)
	} else {
		sc.up.Session = uint32(session)
		sc.out = sc.up.Append(sc.out)
	}
}
