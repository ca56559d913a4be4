package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/teems-go/teems/internal/cell"
	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/session"
	"github.com/teems-go/teems/internal/wire"
)

const (
	batchCells  = 1024
	batchBytes  = 1 << 20   // of sealed cells in a batch, but room for one at least
	frontBuffer = 256 << 10 // read from a gateway at once
)

// batch is attachments, and then cells, of one gateway on their way to the
// machine.
type batch struct {
	attach []wire.GatewayAttach
	cells  []session.Cell
	data   []byte // what the cells' Sealed are views of; never grows
}

var batches sync.Pool

// gatewayLink is one gateway's connection.
type gatewayLink struct {
	f      *front
	id     uint32
	down   *downlink
	reader *wire.Reader
	batch  *batch
}

// gateway serves a gateway's connection until it ends.
func (f *front) gateway(ctx context.Context, conn net.Conn) error {
	id := f.links.Add(1)
	g := &gatewayLink{
		f: f, id: id, reader: wire.NewReader(conn, frontBuffer),
		down: f.n.newDownlink(fmt.Sprintf("gateway link %d from %v", id, conn.RemoteAddr()), conn, f.n.cfg.QueueBytes),
	}
	l := f.l
	g.down.room = l.room
	if !l.post(l.clients, func() { l.gateways[id] = g.down }) {
		return errGone
	}
	var writer sync.WaitGroup
	writer.Go(func() { f.n.guarded(partConnection, g.down.write) })
	defer writer.Wait()
	stop := context.AfterFunc(ctx, g.down.close)
	defer stop()
	err := g.read()
	g.down.close()
	l.post(l.clients, func() {
		delete(l.gateways, id)
		l.machine.DetachLink(id)
	})
	return err
}

func (g *gatewayLink) session(s uint32) uint64 { return uint64(g.id)<<32 | uint64(s) }

// read posts what comes in batches, as many as have come, at most batchCells,
// in order.
func (g *gatewayLink) read() error {
	for {
		if g.batch != nil && !g.more() {
			if err := g.flush(); err != nil {
				return err
			}
		}
		typ, payload, err := g.reader.ReadFrame(g.f.limits)
		if err == nil {
			err = g.take(typ, payload)
		}
		if errors.Is(err, io.EOF) {
			return g.flush()
		}
		if err != nil {
			return err
		}
	}
}

// more says whether a whole frame is there without waiting.
func (g *gatewayLink) more() bool {
	_, _, _, err := wire.Next(g.reader.Buffered(), g.f.limits)
	return !errors.Is(err, wire.ErrMore)
}

func (g *gatewayLink) take(typ wire.Type, payload []byte) error {
	l := g.f.l
	switch typ {
	case wire.TypeGatewayCellUp:
		return g.cell(payload)
	case wire.TypeGatewayAttach:
		var m wire.GatewayAttach
		if err := m.Parse(payload); err != nil {
			return err
		}
		return g.attach(&m)
	case wire.TypeDetach:
		var m wire.Detach
		if err := m.Parse(payload); err != nil {
			return err
		}
		if err := g.flush(); err != nil {
			return err
		}
		return g.post(func() { l.machine.Detach(g.session(m.Session)) })
	}
	return wire.ErrType
}

func (g *gatewayLink) attach(m *wire.GatewayAttach) error {
	if g.batch != nil && len(g.batch.cells) > 0 {
		if err := g.flush(); err != nil {
			return err
		}
	}
	b := g.begin()
	b.attach = append(b.attach, *m)
	if len(b.attach) == batchCells {
		return g.flush()
	}
	return nil
}

// begin returns the batch to add to.
func (g *gatewayLink) begin() *batch {
	if g.batch == nil {
		g.batch, _ = batches.Get().(*batch)
	}
	if g.batch == nil {
		one := g.f.n.g.UpCellBytes()
		g.batch = &batch{data: make([]byte, 0, max(one, min(batchBytes, batchCells*one))), cells: make([]session.Cell, 0, batchCells)}
	}
	return g.batch
}

func (g *gatewayLink) cell(payload []byte) error {
	var m wire.GatewayCellUp
	if err := m.Parse(payload); err != nil {
		return err
	}
	b := g.begin()
	at := len(b.data)
	b.data = append(b.data, m.Cell.Sealed...)
	b.cells = append(b.cells, session.Cell{
		Session: g.session(m.Session), Type: m.Cell.Type, Epoch: m.Cell.Epoch,
		Sequence: m.Cell.Sequence, Sealed: b.data[at:len(b.data):len(b.data)],
	})
	if len(b.cells) == batchCells || cap(b.data)-len(b.data) < g.f.n.g.UpCellBytes() {
		return g.flush()
	}
	return nil
}

// flush posts the batch.
func (g *gatewayLink) flush() error {
	b, l := g.batch, g.f.l
	if b == nil {
		return nil
	}
	g.batch = nil
	return g.post(func() {
		for _, a := range b.attach {
			if l.machine.Linked(g.id) >= g.f.sessionLimit() {
				g.down.put(&wire.GatewayRefused{Session: a.Session, Refused: wire.Refused{Code: wire.CodeBusy}})
				continue
			}
			l.machine.Attach(g.session(a.Session), a.Client, a.Role, a.Salt, a.Proof)
		}
		if len(b.cells) > 0 {
			l.machine.Cells(b.cells)
		}
		clear(b.cells)
		b.attach, b.cells, b.data = b.attach[:0], b.cells[:0], b.data[:0]
		batches.Put(b)
	})
}

func (g *gatewayLink) post(e event) error {
	if !g.f.l.post(g.f.l.clients, e) {
		return errGone
	}
	return nil
}

// What goes to the gateways; the loop's goroutine.

func (l *loop) sendAttached(a epoch.Attached) {
	if d := l.gateways[uint32(a.Session>>32)]; d != nil {
		d.put(&wire.GatewayAttached{Session: uint32(a.Session), Attached: wire.Attached{
			Server: uint32(l.n.cfg.Self), Salt: l.n.boot, Generation: a.Generation,
		}})
	}
}

func (l *loop) sendRefused(r epoch.Refused) {
	if d := l.gateways[uint32(r.Session>>32)]; d != nil {
		d.put(&wire.GatewayRefused{Session: uint32(r.Session), Refused: wire.Refused{
			Code: wire.Code(r.Code), Epoch: r.Epoch,
		}})
	}
}

// sendCells hands a batch to its gateway, which gives it back. A gateway that has
// enough to write is sent no more until it has room.
func (l *loop) sendCells(b *epoch.ClientCells) {
	final := b.Type != cell.TypeAnnouncement
	l.meter.cells(b.Epoch, b.Attempt, final)
	id := uint32(b.Sessions[0] >> 32)
	d := l.gateways[id]
	if d == nil {
		b.Sent()
		return
	}
	end, full := d.putCells(b)
	if final && b.Epoch >= d.cellsOf {
		d.cellsOf, d.cellsEnd = b.Epoch, end
	}
	if full {
		l.machine.Hold(id, true)
	}
}

// release lets the gateways that have room again be sent more.
func (l *loop) release() {
	for id, d := range l.gateways {
		if d.drained() {
			l.machine.Hold(id, false)
		}
	}
}
