package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/teems-go/teems/internal/wire"
)

// coordinatorQueue is how much may wait for a coordinator, beyond a few reports.
const coordinatorQueue = 1 << 20

// coordinator serves a coordinator's connection until it ends: proposals come,
// the status goes, first at once and then whenever it changes.
func (f *front) coordinator(ctx context.Context, conn net.Conn) error {
	l := f.l
	limit := coordinatorQueue + 8*f.n.g.StatusLimit()
	d := f.n.newDownlink(fmt.Sprintf("the coordinator at %v", conn.RemoteAddr()), conn, limit)
	if !l.post(l.control, func() { l.coordinators[d] = true; l.last = nil }) {
		return errGone
	}
	var writer sync.WaitGroup
	writer.Go(func() { f.n.guarded(partConnection, d.write) })
	defer writer.Wait()
	stop := context.AfterFunc(ctx, d.close)
	defer stop()
	err := f.proposals(conn)
	d.close()
	l.post(l.control, func() { delete(l.coordinators, d) })
	return err
}

func (f *front) proposals(conn net.Conn) error {
	limits := wire.FromCoordinator(f.n.g)
	r := wire.NewReader(conn, 4096)
	for {
		_, payload, err := r.ReadFrame(limits)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p := new(wire.Propose)
		if err := p.Parse(payload); err != nil {
			return err
		}
		p.Roster = *p.Roster.Clone() // the payload is a view; the machine keeps it
		if !f.l.post(f.l.control, func() { f.l.propose(p) }) {
			return errGone
		}
	}
}
