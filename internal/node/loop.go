package node

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/teems-go/teems/internal/epoch"
	"github.com/teems-go/teems/internal/mesh"
	"github.com/teems-go/teems/internal/session"
	"github.com/teems-go/teems/internal/wire"
)

// Queues in front of the machine, in events, and its times.
const (
	peerQueue    = 32 // frames of other servers, most up to 272 KiB
	clientQueue  = 8  // batches of cells, up to batchBytes each
	controlQueue = 16 // proposals, registrations, coordinators that come and go

	statusPause  = 3 * time.Millisecond
	farewellTime = time.Second
)

// TickPeriod is the period after which a server repeats its votes.
const TickPeriod = 200 * time.Millisecond

type cellUp = session.Cell

// event is something for the machine, run by the loop's goroutine.
type event func()

// loop owns the machine: everything here but the channels is its goroutine's.
type loop struct {
	n       *Node
	machine machine
	mesh    *mesh.Mesh
	front   *front
	done    <-chan struct{}

	peers, clients, control chan event
	room                    chan struct{} // a downlink that was full has room again

	gateways     map[uint32]*downlink
	coordinators map[*downlink]bool
	tickets      map[uint64]chan<- epoch.Registered
	nextTicket   uint64

	meter     meter
	unoffered []*measured // final epochs of which cells are still to be offered
	status    epoch.Status
	last      *wire.Status // that was sent, nil for none
	lastSent  time.Time
	waiting   bool // for the pause between two reports to end
	said      string
}

// post hands an event to the loop; false if it does not run any more.
func (l *loop) post(to chan<- event, e event) bool {
	select {
	case to <- e:
		return true
	case <-l.done:
		return false
	}
}

// run is the loop.
func (l *loop) run(ctx context.Context, failed <-chan error) error {
	ticks := make(chan struct{}, 1)
	defer l.every(TickPeriod, ticks)()
	reports := make(chan struct{}, 1)
	for {
		select { // at random among those that are due: none can starve another
		case e := <-l.control:
			e()
		case e := <-l.peers:
			e()
		case e := <-l.clients:
			e()
		case <-l.room:
			l.release()
		case <-ticks:
			l.machine.Tick()
		case <-reports:
			l.waiting = false
		case err := <-failed:
			if err != nil && ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
		if err := l.drain(); err != nil {
			l.farewell(err)
			return fmt.Errorf("%w: %w", ErrStopped, err)
		}
		l.report(reports)
	}
}

// every signals c each period until the returned function is called.
func (l *loop) every(d time.Duration, c chan<- struct{}) func() {
	var mu sync.Mutex
	var stop func() bool
	ended := false
	var again func()
	again = func() {
		select {
		case c <- struct{}{}:
		default:
		}
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			stop = l.n.cfg.AfterFunc(d, again)
		}
	}
	again()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		stop()
	}
}

// drain does all that the machine wants done.
func (l *loop) drain() error {
	for {
		r := l.machine.Ready()
		if r.Empty() {
			break
		}
		for i := range r.Peers {
			l.sendPeer(r.Peers[i])
		}
		for _, a := range r.Attached {
			l.sendAttached(a)
		}
		for _, x := range r.Refused {
			l.sendRefused(x)
		}
		for i := range r.Cells {
			l.sendCells(&r.Cells[i])
		}
		for _, x := range r.Registered {
			if c := l.tickets[x.Ticket]; c != nil {
				c <- x // has room for one
				delete(l.tickets, x.Ticket)
			}
		}
		l.flush()
		if r.Stopped != nil {
			return r.Stopped
		}
	}
	l.status = l.machine.Status()
	if r, ok := l.meter.committed(l.status.Committed, l.traffic); ok {
		l.unoffered = append(l.unoffered, r)
	}
	for len(l.unoffered) > 0 && l.unoffered[0].report.Epoch <= l.status.Offered {
		l.finishEpoch(l.unoffered[0])
		l.unoffered = l.unoffered[1:]
	}
	return nil
}

func (l *loop) flush() {
	for _, d := range l.gateways {
		d.flush()
	}
}

func (l *loop) sendPeer(f epoch.PeerFrame) {
	if f.Header.Kind == epoch.Prepared || f.Header.Kind == epoch.Committed { // one without the other if all peers were quicker
		l.meter.placed(f.Header.Epoch)
	}
	l.mesh.Send(f.To, wire.PeerHeader{
		Kind: wire.Kind(f.Header.Kind), Epoch: f.Header.Epoch, Attempt: f.Header.Attempt,
		Part: f.Header.Part, Rows: f.Header.Rows, A: [32]byte(f.Header.A),
	}, f.Parts, f.Sent)
}

// propose begins an attempt, if the machine takes it. The coordinator learns
// of it from the status; why it was refused is for the log, once.
func (l *loop) propose(p *wire.Propose) {
	err := l.machine.Propose(p.Epoch, p.Attempt, epoch.Roster{
		Limit: p.Roster.Limit, Ingestion: p.Roster.Ingestion, Storage: p.Roster.Storage,
	})
	if err == nil {
		l.meter.proposed(p.Epoch, p.Attempt, l.traffic())
		return
	}
	if line := fmt.Sprintf("node: a proposal was refused: %v", err); line != l.said {
		l.said = line
		l.n.cfg.Log(line)
	}
}

// traffic is the bytes sent to all peers so far.
func (l *loop) traffic() (bytes uint64) {
	for p := range l.n.g.Servers() {
		sent, _ := l.mesh.Traffic(p)
		bytes += sent
	}
	return bytes
}

// finishEpoch measures the rest of an epoch whose cells were all offered: until
// the last of them has been written to the gateways.
func (l *loop) finishEpoch(m *measured) {
	var left atomic.Int64 // links that still write, and this function
	left.Store(1)
	for _, d := range l.gateways {
		if d.cellsOf == m.report.Epoch {
			left.Add(1)
			d.whenWritten(d.cellsEnd, func() {
				if left.Add(-1) == 0 { // never here while this function runs
					m.end()
					l.post(l.control, func() { l.meter.ended(m) })
				}
			})
		}
	}
	if left.Add(-1) == 0 {
		m.end()
		l.meter.ended(m)
	}
}

// report tells the coordinators what is new: at once when an epoch moves, else
// not more often than every statusPause. Every epoch's report is told.
func (l *loop) report(again chan<- struct{}) {
	for l.meter.next() {
		l.tell(statusOf(&l.status, &l.meter.newest))
	}
	if len(l.coordinators) == 0 {
		return
	}
	now := l.n.cfg.Now()
	s := statusOf(&l.status, &l.meter.newest)
	if l.last != nil && reflect.DeepEqual(*s, *l.last) {
		return
	}
	moved := l.last == nil || s.Committed != l.last.Committed || s.Offered != l.last.Offered ||
		s.Open != l.last.Open || s.Attempt != l.last.Attempt
	if !moved && now.Sub(l.lastSent) < statusPause {
		if !l.waiting {
			l.waiting = true
			l.n.cfg.AfterFunc(statusPause, func() {
				select {
				case again <- struct{}{}:
				default:
				}
			})
		}
		return
	}
	l.tell(s)
}

// tell sends a status to all coordinators.
func (l *loop) tell(s *wire.Status) {
	if len(l.coordinators) == 0 {
		return
	}
	l.last, l.lastSent = s, l.n.cfg.Now()
	for d := range l.coordinators {
		d.put(s)
		d.flush()
	}
}

func statusOf(s *epoch.Status, newest *wire.EpochReport) *wire.Status {
	w := &wire.Status{
		Committed: s.Committed, Offered: s.Offered, Open: s.Open, Attempt: s.Attempt, Peers: uint16(s.Peers),
		Submissions: uint32(s.Submissions), Controls: uint32(s.Controls), Attached: uint32(s.Attached),
		Newest: *newest, Users: make([]uint32, len(s.Users)),
	}
	for v, u := range s.Users {
		w.Users[v] = uint32(u)
	}
	return w
}

// farewell tells everyone on the front port why the server stops.
func (l *loop) farewell(reason error) {
	l.n.cfg.Log("node: this server stops for good: " + reason.Error())
	said := make(chan struct{}, len(l.coordinators)+len(l.gateways))
	stopped := &wire.Stopped{Reason: reason.Error()}
	links := 0
	tell := func(d *downlink) {
		d.put(stopped)
		d.flush()
		d.whenWritten(d.end(), func() { said <- struct{}{} })
		links++
	}
	for d := range l.coordinators {
		tell(d)
	}
	for _, d := range l.gateways {
		tell(d)
	}
	enough := make(chan struct{})
	defer l.n.cfg.AfterFunc(farewellTime, func() { close(enough) })()
	for range links {
		select {
		case <-said:
		case <-enough:
			return
		}
	}
}

// The mesh's handler; called from its goroutines.

func (l *loop) PeerUp(peer int, boot [16]byte) {
	defer l.n.guard(partMesh)
	l.post(l.peers, func() { l.machine.PeerUp(peer, boot) })
}

func (l *loop) PeerDown(peer int) {
	defer l.n.guard(partMesh)
	l.post(l.peers, func() { l.machine.PeerDown(peer) })
}

func (l *loop) Frame(peer int, h wire.PeerHeader, payload []byte, release func()) {
	defer l.n.guard(partMesh)
	l.post(l.peers, func() {
		l.machine.Frame(peer, epoch.Header{
			Kind: epoch.Kind(h.Kind), Epoch: h.Epoch, Attempt: h.Attempt, Part: h.Part, Rows: h.Rows, A: h.A,
		}, payload)
		release()
	})
}

var errGone = errors.New("node: the server is stopping")
