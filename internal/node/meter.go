package node

import (
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// meter measures epochs, for the report that goes with the status. All of it
// is public: the host sees these times and bytes anyway.
//
// Epochs overlap: the last cells of one may leave when the next is routed
// already, or final. So what is counted is cut at fixed points, and not where a
// report happens to be made: bytes where an epoch becomes final, when all that
// it sends has been received; CPU time at the end of its interval, when its last
// cell has been handed to the network. Each epoch gets what came since the cut
// before, so that sums over epochs are totals; and the routing part is that of
// the interval which no epoch before it has, so that it is never above the whole.
type meter struct {
	now      func() time.Time
	cpuTime  func() time.Duration // of this process; nil: cpuTime
	attempts int                  // the cap: attempts above it are void
	current  *measured
	final    []*measured        // whose reports are not made yet, oldest first
	due      []wire.EpochReport // made, and not told yet
	newest   wire.EpochReport   // that was told, or is told next

	based bool // the two that follow are set
	bytes uint64
	cpu   time.Duration
}

// measured is an epoch that is under way, or whose last cells are.
type measured struct {
	m               *meter
	report          wire.EpochReport
	start           time.Time
	startCPU        time.Duration
	endCPU          time.Duration
	final, complete bool
}

func (m *meter) cpuNow() time.Duration {
	if m.cpuTime == nil {
		return cpuTime()
	}
	return m.cpuTime()
}

// proposed notes that an attempt was accepted; the first starts the interval.
func (m *meter) proposed(epoch uint64, attempt uint16, bytes uint64) {
	if m.current != nil && m.current.report.Epoch == epoch {
		m.current.report.Attempt = attempt
		return
	}
	x := &measured{m: m, start: m.now(), startCPU: m.cpuNow()}
	x.report.Epoch, x.report.Attempt = epoch, attempt
	m.current = x
	if !m.based {
		m.based, m.bytes, m.cpu = true, bytes, x.startCPU
	}
}

// placed notes that this server says PREPARED: its part of the routing is done.
func (m *meter) placed(epoch uint64) {
	if x := m.current; x != nil && x.report.Epoch == epoch && !x.final && x.report.RoutingNanos == 0 {
		x.report.RoutingNanos = uint64(m.now().Sub(x.start))
	}
}

// cells notes that final cells of an attempt were handed out.
func (m *meter) cells(epoch uint64, attempt uint16, final bool) {
	if x := m.current; final && x != nil && x.report.Epoch == epoch {
		x.report.Attempt = attempt
	}
}

// committed returns the current epoch when it has just become final. bytes are
// all that were sent to peers by then.
func (m *meter) committed(epoch uint64, bytes func() uint64) (*measured, bool) {
	x := m.current
	if x == nil || x.final || epoch < x.report.Epoch {
		return nil, false
	}
	m.placed(x.report.Epoch) // a single server says PREPARED to nobody
	x.final = true
	sent := bytes()
	x.report.BytesToPeers = sent - m.bytes
	m.bytes = sent
	m.final = append(m.final, x)
	return x, true
}

// end is the end of the interval. It may be called from any goroutine, once.
func (x *measured) end() {
	x.report.DeliveredNanos = uint64(x.m.now().Sub(x.start))
	x.endCPU = x.m.cpuNow()
}

// ended notes, after end, that an epoch can be reported. Reports are made in the
// order of epochs: that of one whose cells leave on another link may wait.
func (m *meter) ended(x *measured) {
	x.complete = true
	for len(m.final) > 0 && m.final[0].complete {
		x := m.final[0]
		m.final = m.final[1:]
		end := max(x.endCPU, m.cpu)
		x.report.CPUNanosTotal = uint64(end - m.cpu)
		x.report.CPUNanosRouting = uint64(end - min(end, max(x.startCPU, m.cpu)))
		x.report.RSSBytes = residentBytes()
		x.report.Void = int(x.report.Attempt) > m.attempts
		m.cpu = end
		m.due = append(m.due, x.report)
	}
}

// next makes the next report that was not told the newest. A status tells of
// one epoch, so each report takes one.
func (m *meter) next() bool {
	if len(m.due) == 0 {
		return false
	}
	m.newest, m.due = m.due[0], m.due[1:]
	return true
}
