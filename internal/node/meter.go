package node

import (
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// meter measures epochs, for the report that goes with the status. All of it
// is public: the host sees these times and bytes anyway. Bytes and CPU time are
// those since the report before, so that none is left out; the routing part is
// that of the interval only.
type meter struct {
	now      func() time.Time
	attempts int // the cap: attempts above it are void
	current  *measured
	newest   wire.EpochReport

	based bool // the two that follow are set
	bytes uint64
	cpu   time.Duration
}

// measured is an epoch that is under way, or whose last cells are.
type measured struct {
	m        *meter
	report   wire.EpochReport
	start    time.Time
	startCPU time.Duration
	final    bool
}

// proposed notes that an attempt was accepted; the first starts the interval.
func (m *meter) proposed(epoch uint64, attempt uint16, bytes uint64) {
	if m.current != nil && m.current.report.Epoch == epoch {
		m.current.report.Attempt = attempt
		return
	}
	x := &measured{m: m, start: m.now(), startCPU: cpuTime()}
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

// committed returns the current epoch when it has just become final.
func (m *meter) committed(epoch uint64) (*measured, bool) {
	x := m.current
	if x == nil || x.final || epoch < x.report.Epoch {
		return nil, false
	}
	m.placed(x.report.Epoch) // a single server says PREPARED to nobody
	x.final = true
	return x, true
}

// end is the end of the interval. It may be called from any goroutine, once.
func (x *measured) end() {
	x.report.DeliveredNanos = uint64(x.m.now().Sub(x.start))
	x.report.CPUNanosRouting = uint64(cpuTime() - x.startCPU)
}

// reported makes x the newest report.
func (m *meter) reported(x *measured, bytes uint64) {
	cpu := cpuTime()
	x.report.BytesToPeers = bytes - m.bytes
	x.report.CPUNanosTotal = uint64(cpu - m.cpu)
	x.report.RSSBytes = residentBytes()
	x.report.Void = int(x.report.Attempt) > m.attempts
	m.bytes, m.cpu = bytes, cpu
	if x.report.Epoch > m.newest.Epoch {
		m.newest = x.report
	}
}
