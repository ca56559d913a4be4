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
// announcement, or the result, the delivery or both of the epoch before.
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
	typ := cell.UpType(l.role)
	ad := cell.MakeAD(&c.m.cluster, cell.Up, l.role, typ, l.server)
	ad.SetEpoch(epoch)
	ad.SetClient(c.id.id)
	var nonce [cell.NonceBytes]byte
	cell.PutUpNonce(&nonce, l.sequence, typ)
	m := wire.CellUp{Type: typ, Epoch: epoch, Sequence: l.sequence, Sealed: l.up.Seal(nil, nonce[:], plain, ad[:])}
	if l.ingests() {
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
// session already, or lies behind. It waits for the inbox before anything that
// holds a control cell, so where that shares its cell with a submission a client
// whose inbox fails submits nothing either until it works.
func (c *Client) answer(l *link, open uint64) ([]byte, error) {
	isNew, ack, err := c.heard(l, open)
	if err != nil {
		return nil, err
	}
	if isNew && l.stores() {
		if err := c.untilKept(ack.Epoch); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.failed != nil:
		return nil, c.failed
	case isNew:
		l.content = make([]byte, cell.UpBytes(c.g, l.role))
		submission, control := cell.CutUp(c.g, l.role, l.content)
		if submission != nil {
			c.submission(open, submission)
		}
		if control != nil {
			c.control(open, ack, control)
		}
	case open < l.last || !l.fresh:
		return nil, nil
	}
	l.fresh = false
	return l.content, nil
}

// heard notes that an epoch is open, and returns whether that is new, and what
// its control cell acknowledges.
func (c *Client) heard(l *link, open uint64) (isNew bool, ack EpochHead, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.open = max(l.open, open)
	c.broadcast()
	if c.failed != nil || open <= l.last {
		return false, ack, c.failed
	}
	l.last = open
	if l.stores() {
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
