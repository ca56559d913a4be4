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

// link is the connection to a home of the client's, through a gateway: to the
// server where it submits, to that of its mailbox, or to the one that is both.
// Its goroutine is the only one that seals and sends: a cell goes when, and
// only when, the server says that an epoch is open, in an announcement or with
// the outcome of the epoch before.
type link struct {
	c      *Client
	role   uint8
	server uint32

	conn     net.Conn  // the goroutine's, like what follows
	up, down keys.AEAD // of the session; nil before Attached
	sequence uint64    // of the newest cell sealed; rises as long as the client runs
	plain    []byte    // room for what comes down
	limits   *wire.Limits

	ready   bool   // guarded by c.mu, like what follows: an announcement of this connection has come
	err     error  // why connecting, or the last connection, failed
	refused int    // attachments in a row that the server refused for good
	open    uint64 // newest epoch that the server said is open
	least   uint64 // epoch in which its server must be at least; see once
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

func (c *Client) newLink(h cell.Assignment) *link {
	return &link{c: c, role: h.Role, server: uint32(h.Server), limits: wire.ToClient(c.g), plain: make([]byte, c.g.DownCellBytes())}
}

func (l *link) ingests() bool { return l.role&cell.RoleIngestion != 0 }
func (l *link) stores() bool  { return l.role&cell.RoleStorage != 0 }

func (l *link) name() string {
	return [...]string{"", "ingestion", "storage", "ingestion and storage"}[l.role&cell.RoleJoint]
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
	// A server is at least in the epoch that all had committed when a head came:
	// in what it says after this attachment, and after what came from itself. Heads
	// that come over the other link meanwhile may be ahead of what is on its way
	// here.
	c.mu.Lock()
	l.least = c.heads.newest.Epoch
	c.mu.Unlock()
	attach := wire.Attach{
		Client: c.id.id, Salt: c.salt,
		Proof: keys.AttachProof(c.id.clientKey, c.m.cluster, l.server, l.role, c.id.id, c.salt),
	}
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
	if m.Generation != c.id.generation { // the server took a proof made with this one's key
		return fmt.Errorf("%w: an attachment of generation %d was answered with %d", errProtocol, c.id.generation, m.Generation)
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
		if l.c.id.register == nil {
			return ErrNotRegistered
		}
		// Servers do not say whether it was the ID or the key.
		return fmt.Errorf("%w; or %w", ErrNotRegistered, ErrKeyReplaced)
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

// cellTime is what taking a cell takes, whatever it holds. Opening one, settling
// what it says and making the answer takes some microseconds that depend on
// content; the answer goes, and the next frame is read, when the time is over.
const cellTime = time.Millisecond

// cell takes a sealed cell from the server, and answers it if it opens an epoch.
func (l *link) cell(m *wire.CellDown) error {
	over := make(chan struct{})
	defer l.c.cfg.Clock.AfterFunc(cellTime, func() { close(over) })()
	answer, err := l.unseal(m)
	select {
	case <-over:
	case <-l.c.ctx.Done():
	}
	if err != nil || answer == nil {
		return err
	}
	if err := l.write(answer); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// unseal opens a sealed cell and takes what it holds; the answer is a frame, nil
// for none.
func (l *link) unseal(m *wire.CellDown) (answer []byte, err error) {
	c := l.c
	ad := cell.MakeAD(&c.m.cluster, cell.Down, l.role, m.Type, l.server)
	ad.SetEpoch(m.Epoch)
	ad.SetAttempt(m.Attempt)
	ad.SetClient(c.id.id)
	var nonce [cell.NonceBytes]byte
	cell.PutDownNonce(&nonce, m.Epoch, m.Attempt, m.Type)
	plain, err := l.down.Open(l.plain[:0], nonce[:], m.Sealed, ad[:])
	if err != nil {
		return nil, fmt.Errorf("%w, or the gateway changed a cell", ErrKeyReplaced)
	}
	if len(plain) != l.size(m.Type) {
		return nil, errProtocol
	}
	if m.Type == cell.TypeAnnouncement {
		return l.announcement(m, cell.Announcement(plain))
	}
	r, d := cell.CutDown(c.g, l.role, plain)
	open := m.Epoch + 1
	if r != nil && (r.Open() != open || r.Attempt() != m.Attempt) || d != nil && (d.Open() != open || d.Attempt() != m.Attempt) {
		return nil, errProtocol
	}
	if err := c.take(l, m.Epoch, r, d); err != nil {
		return nil, err
	}
	return l.opened(open)
}

// size is the plaintext length of a type of cell on this link; -1 for one that
// does not belong here.
func (l *link) size(typ uint16) int {
	switch typ {
	case cell.TypeAnnouncement:
		return geometry.AnnouncementBytes
	case cell.DownType(l.role):
		return cell.DownBytes(l.c.g, l.role)
	}
	return -1
}
