package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/teems-go/teems/geometry"
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/keys"
	"github.com/teems-go/teems/internal/wire"
)

// link is the connection to one of the client's two servers, through a gateway.
// Its goroutine is the only one that seals and sends: a cell goes when, and
// only when, the server announces an epoch.
type link struct {
	c      *Client
	role   uint8
	server uint32
	typ    uint16 // of the cells that go up

	conn     net.Conn  // the goroutine's, like what follows
	up, down keys.AEAD // of the session; nil before Attached
	sequence uint64    // of the newest cell sealed; rises as long as the client runs
	plain    []byte    // room for what comes down
	limits   *wire.Limits

	ready   bool   // guarded by c.mu, like what follows: an announcement of this connection has come
	err     error  // why connecting, or the last connection, failed
	refused int    // attachments in a row that the server refused for good
	open    uint64 // newest epoch announced
	last    uint64 // newest epoch sealed for
	content []byte // what was sealed for it
	fresh   bool   // the session is new, and nothing was sent in it
	gaps    int    // connections in a row that were cut for a gap
}

var (
	errProtocol = errors.New("client: the gateway does not keep to the protocol")
	errGap      = errors.New("client: the gateway left out an epoch; connecting again to get it")
	errNotOpen  = errors.New("client: the session has ended; connecting again")
)

func (c *Client) newLink(role uint8, server int) *link {
	l := &link{c: c, role: role, server: uint32(server), typ: cell.TypeSubmission, limits: wire.ToClient(c.g)}
	if role == cell.RoleStorage {
		l.typ = cell.TypeControl
	}
	l.plain = make([]byte, c.g.DownCellBytes())
	return l
}

func (l *link) name() string {
	if l.role == cell.RoleIngestion {
		return "ingestion"
	}
	return "storage"
}

// run keeps the link up until the client stops.
func (l *link) run() {
	c := l.c
	backoff := c.cfg.BackoffMin
	for try := 0; c.ctx.Err() == nil; try++ {
		err := l.once(c.cfg.Gateways[try%len(c.cfg.Gateways)])
		if c.ctx.Err() != nil {
			return
		}
		if l.ended(err) {
			backoff = c.cfg.BackoffMin
		}
		c.cfg.Log.Info("no connection; trying again", "role", l.name(), "error", err.Error())
		sleep(c.ctx, c.cfg.Clock, l.jitter(backoff))
		backoff = min(2*backoff, c.cfg.BackoffMax)
	}
}

// ended notes why a connection ended, and returns whether it had been in order.
func (l *link) ended(err error) bool {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	was := l.ready
	l.ready, l.err = false, err
	switch {
	case errors.Is(err, ErrNotRegistered), errors.Is(err, ErrKeyReplaced):
		l.refused++
	case was:
		l.refused = 0
	}
	if errors.Is(err, errGap) {
		l.gaps++
		was = false
	}
	l.c.broadcast()
	return was
}

// jitter spreads clients that lost their connections at the same moment.
func (l *link) jitter(d time.Duration) time.Duration {
	var b [1]byte
	if _, err := io.ReadFull(l.c.cfg.Random, b[:]); err != nil {
		return d
	}
	return d*3/4 + d*time.Duration(b[0])/512
}

// once connects and serves the connection until it ends.
func (l *link) once(gateway string) error {
	c := l.c
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	late := c.cfg.Clock.AfterFunc(c.cfg.IOTimeout, cancel)
	conn, err := c.cfg.Dial(ctx, gateway)
	if !late() && err == nil {
		conn.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		return fmt.Errorf("%w: gateway %s: %w", ErrUnavailable, gateway, err)
	}
	defer conn.Close()
	defer context.AfterFunc(c.ctx, func() { conn.Close() })()
	l.conn, l.up, l.down = conn, nil, nil
	attach := wire.Attach{Client: c.id.id, Salt: c.salt}
	first := wire.Preamble{Service: wire.ServiceCells, Role: l.role}.Append(nil)
	if err := l.write(attach.Append(first)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	unanswered := c.cfg.Clock.AfterFunc(c.cfg.IOTimeout, func() { conn.Close() })
	defer unanswered()
	r := wire.NewReader(conn, 4096)
	for {
		typ, payload, err := r.ReadFrame(l.limits)
		if err != nil {
			return fmt.Errorf("%w: gateway %s: %w", ErrUnavailable, gateway, err)
		}
		if err := l.frame(typ, payload, unanswered); err != nil {
			return err
		}
	}
}

// write writes with a time limit.
func (l *link) write(b []byte) error {
	conn := l.conn
	stop := l.c.cfg.Clock.AfterFunc(l.c.cfg.IOTimeout, func() { conn.Close() })
	defer stop()
	_, err := conn.Write(b)
	return err
}

func (l *link) frame(typ wire.Type, payload []byte, answered func() bool) error {
	switch typ {
	case wire.TypeAttached:
		var m wire.Attached
		if m.Parse(payload) != nil {
			return errProtocol
		}
		answered()
		return l.attached(&m)
	case wire.TypeRefused:
		var m wire.Refused
		if m.Parse(payload) != nil {
			return errProtocol
		}
		return l.refusedBy(&m)
	case wire.TypeCellDown:
		var m wire.CellDown
		if m.Parse(payload) != nil || l.down == nil {
			return errProtocol
		}
		return l.cell(&m)
	}
	return errProtocol
}

// attached begins a session: the first one of a connection, or another because
// the gateway lost its link to the server in between.
func (l *link) attached(m *wire.Attached) error {
	c := l.c
	if m.Server != l.server {
		return fmt.Errorf("%w: server %d answered in place of server %d: the gateway has another manifest", errProtocol, m.Server, l.server)
	}
	if m.Generation > c.id.generation {
		return ErrKeyReplaced
	}
	if m.Generation < c.id.generation {
		return fmt.Errorf("%w: its server knows an earlier registration only", ErrNotRegistered)
	}
	l.up = keys.Session(c.id.clientKey, cell.Up, l.role, c.salt, m.Salt)
	l.down = keys.Session(c.id.clientKey, cell.Down, l.role, c.salt, m.Salt)
	c.mu.Lock()
	l.fresh = true
	c.mu.Unlock()
	return nil
}

// refusedBy takes a refusal, for which anyone between here and the server could
// be the author: it never decides what became of a message.
func (l *link) refusedBy(m *wire.Refused) error {
	switch m.Code {
	case wire.CodeUnknownClient:
		return ErrNotRegistered
	case wire.CodeWrongSize:
		return fmt.Errorf("%w: %v", errProtocol, m.Code)
	case wire.CodeBadTag:
		return fmt.Errorf("%w: %v", ErrKeyReplaced, m.Code)
	case wire.CodeNotOpen:
		return errNotOpen
	case wire.CodeBusy:
		if l.down == nil {
			return fmt.Errorf("%w: %v", ErrUnavailable, m.Code)
		}
	}
	return nil
}

// cell opens a sealed cell from the server.
func (l *link) cell(m *wire.CellDown) error {
	c := l.c
	ad := cell.MakeAD(&c.m.cluster, cell.Down, l.role, m.Type, l.server)
	ad.SetEpoch(m.Epoch)
	ad.SetAttempt(m.Attempt)
	ad.SetClient(c.id.id)
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, m.Epoch, m.Attempt, m.Type)
	plain, err := l.down.Open(l.plain[:0], nonce[:], m.Sealed, ad[:])
	if err != nil {
		return fmt.Errorf("%w, or the gateway changed a cell", ErrKeyReplaced)
	}
	if len(plain) != l.size(m.Type) {
		return errProtocol
	}
	switch m.Type {
	case cell.TypeAnnouncement:
		return l.announcement(m, cell.Announcement(plain))
	case cell.TypeResult:
		if r := cell.Result(plain); r.Epoch() == m.Epoch && r.Attempt() == m.Attempt {
			return c.result(l, r)
		}
	case cell.TypeDelivery:
		if d := cell.Delivery(plain); d.Epoch() == m.Epoch && d.Attempt() == m.Attempt {
			return c.delivery(l, d)
		}
	}
	return errProtocol
}

// size is the plaintext length of a type of cell on this link; -1 for one that
// does not belong here.
func (l *link) size(typ uint16) int {
	switch {
	case typ == cell.TypeAnnouncement:
		return geometry.AnnouncementBytes
	case typ == cell.TypeResult && l.role == cell.RoleIngestion:
		return l.c.g.ResultBytes()
	case typ == cell.TypeDelivery && l.role == cell.RoleStorage:
		return l.c.g.DeliveryBytes()
	}
	return -1
}

// announcement answers an announcement with the epoch's cell.
func (l *link) announcement(m *wire.CellDown, a cell.Announcement) error {
	open := a.Open()
	if open != m.Epoch || m.Attempt != 0 || open == 0 || a.HeadEpoch() != cell.HeadEpoch(open) {
		return errProtocol
	}
	plain, err := l.c.announced(l, a)
	if plain == nil || err != nil {
		return err
	}
	return l.seal(open, plain)
}

// seal sends one cell. Its sequence number, and so its nonce, was never used
// under this session's key, which is of this client's start.
func (l *link) seal(epoch uint64, plain []byte) error {
	c := l.c
	l.sequence++
	ad := cell.MakeAD(&c.m.cluster, cell.Up, l.role, l.typ, l.server)
	ad.SetEpoch(epoch)
	ad.SetClient(c.id.id)
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, l.sequence, l.typ)
	m := wire.CellUp{Type: l.typ, Epoch: epoch, Sequence: l.sequence, Sealed: l.up.Seal(nil, nonce[:], plain, ad[:])}
	if l.typ == cell.TypeSubmission {
		c.sealed(epoch, m.Sealed)
	}
	if err := l.write(m.Append(nil)); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// announced takes an announcement and returns what to seal for the epoch; nil
// if it was sent in this session already, or lies behind.
func (c *Client) announced(l *link, a cell.Announcement) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	open := a.Open()
	if err := c.note(a.HeadEpoch(), a.Head()); err != nil {
		return nil, err
	}
	// A server is at least in the epoch that all had committed when a head came.
	if open < c.heads.newest.Epoch {
		c.failLocked(ErrRolledBack)
		return nil, ErrRolledBack
	}
	l.open = max(l.open, open)
	if !l.ready || l.err != nil {
		l.ready, l.err, l.refused = true, nil, 0
		c.cfg.Log.Info("connected", "role", l.name())
	}
	defer c.broadcast()
	switch {
	case c.failed != nil:
		return nil, c.failed
	case open > l.last:
		l.last = open
		if l.role == cell.RoleIngestion {
			l.content = c.submission(open)
		} else {
			l.content = c.control(open)
		}
	case open < l.last || !l.fresh:
		return nil, nil
	}
	l.fresh = false
	return l.content, nil
}

// note notes a head; a contradiction stops the client. The caller holds mu.
func (c *Client) note(epoch uint64, hash []byte) error {
	err := c.heads.note(epoch, hash)
	if err != nil {
		c.failLocked(err)
	}
	return err
}

// gapAttempts is how often an epoch that was left out is asked for again.
const gapAttempts = 3

// next says what to do with the result or delivery of an epoch, when last is
// the newest one that came (0: none is known of): take it, with so many epochs
// missed, or drop it as one that came before. Results and deliveries come in
// order, so a gap that the servers cannot have made is somebody's on the way:
// connecting again brings what is missing. The caller holds mu.
func (c *Client) next(l *link, last, epoch uint64) (take bool, missed uint64, err error) {
	switch {
	case epoch <= last:
		return false, 0, nil
	case last == 0 || epoch == last+1:
		l.gaps = 0
		return true, 0, nil
	}
	open := max(c.links[0].open, c.links[1].open, epoch)
	forgotten := open-last > uint64(c.g.Params().DeliveryEpochs)
	if !forgotten && l.gaps < gapAttempts {
		return false, 0, errGap
	}
	l.gaps = 0
	return true, epoch - last - 1, nil
}
