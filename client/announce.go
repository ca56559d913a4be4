package client

import (
	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/wire"
)

// announcement takes an announcement, and answers it with the epoch's cell.
func (l *link) announcement(m *wire.CellDown, a cell.Announcement) ([]byte, error) {
	open := a.Open()
	if open != m.Epoch || m.Attempt != 0 || open == 0 || a.HeadEpoch() != cell.HeadEpoch(open) {
		return nil, errProtocol
	}
	if err := l.c.announced(l, a); err != nil {
		return nil, err
	}
	return l.opened(open)
}

// opened answers what says that an epoch is open with the epoch's cell: an
// announcement, or the result or delivery of the epoch before.
func (l *link) opened(open uint64) ([]byte, error) {
	plain, err := l.c.answer(l, open)
	if plain == nil || err != nil {
		return nil, err
	}
	return l.seal(open, plain), nil
}

// seal makes the frame of one cell. Its sequence number, and so its nonce, was
// never used under this session's key, which is of this client's start.
func (l *link) seal(epoch uint64, plain []byte) []byte {
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
	return m.Append(nil)
}

// announced notes what an announcement says: the session is there, and its
// server is no further back than this client knows it to be.
func (c *Client) announced(l *link, a cell.Announcement) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.note(l, a.HeadEpoch(), a.Head()); err != nil {
		return err
	}
	if a.Open() < l.least {
		c.failLocked(ErrRolledBack)
		return ErrRolledBack
	}
	if !l.ready || l.err != nil {
		l.ready, l.err, l.refused = true, nil, 0
		c.cfg.Log.Info("connected", "role", l.name())
		c.broadcast()
	}
	return nil
}

// answer returns what to seal for an open epoch; nil if it was sent in this
// session already, or lies behind.
func (c *Client) answer(l *link, open uint64) ([]byte, error) {
	isNew, ack, err := c.heard(l, open)
	if err != nil {
		return nil, err
	}
	if isNew && l.role == cell.RoleStorage {
		if err := c.untilKept(ack.Epoch); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failed != nil:
		return nil, c.failed
	case isNew && l.role == cell.RoleIngestion:
		l.content = c.submission(open)
	case isNew:
		l.content = c.control(open, ack)
	case open < l.last || !l.fresh:
		return nil, nil
	}
	l.fresh = false
	return l.content, nil
}

// heard notes that an epoch is open, and returns whether that is new, and what
// its control cell acknowledges.
func (c *Client) heard(l *link, open uint64) (isNew bool, ack Head, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.open = max(l.open, open)
	c.broadcast()
	if c.failed != nil || open <= l.last {
		return false, ack, c.failed
	}
	l.last = open
	if l.role == cell.RoleStorage {
		ack = c.in.acknowledge()
	}
	return true, ack, nil
}

// note notes a head that came over a link; a contradiction stops the client. The
// caller holds mu.
func (c *Client) note(l *link, epoch uint64, hash []byte) error {
	err := c.heads.note(epoch, hash)
	if err != nil {
		c.failLocked(err)
	}
	l.least = max(l.least, epoch)
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
