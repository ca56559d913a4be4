package coordinator

import (
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// reporting gathers what the servers report of committed epochs. They commit
// first, and report when the last delivery has left; by then the next epoch may
// be under way, or committed as well, so that several are awaited at a time. A
// server's reports come in the order of epochs.
type reporting struct {
	open   []awaited // oldest first
	latest []wire.EpochReport
}

// awaited is an epoch whose reports are gathered.
type awaited struct {
	epoch   uint64
	until   time.Duration
	reports []wire.EpochReport // by server
}

// mostAwaited bounds the epochs whose reports are awaited.
const mostAwaited = 64

func (r *reporting) take(s int, report *wire.EpochReport) {
	r.latest[s] = *report
	for i := range r.open {
		if report.Epoch == r.open[i].epoch {
			r.open[i].reports[s] = *report
		}
	}
}

// openReport begins to wait for the reports of an epoch.
func (m *Machine) openReport(now time.Duration, epoch uint64) {
	r := &m.report
	if len(r.open) == mostAwaited {
		m.closeReport()
	}
	a := awaited{epoch: epoch, until: now + m.cfg.AttemptTimeout, reports: make([]wire.EpochReport, len(m.servers))}
	for s, report := range r.latest {
		if report.Epoch == epoch {
			a.reports[s] = report
		}
	}
	r.open = append(r.open, a)
}

// closeReport gives what there is of the oldest epoch.
func (m *Machine) closeReport() {
	a := m.report.open[0]
	m.report.open = m.report.open[1:]
	m.note(Event{Kind: EpochDone, Epoch: a.epoch, Reports: a.reports})
}

// finishReport ends the wait for epochs of which all have reported, or some
// never will, in their order.
func (m *Machine) finishReport(now time.Duration) {
	r := &m.report
	for len(r.open) > 0 && m.settled(now, &r.open[0]) {
		m.closeReport()
	}
}

// settled says whether no more reports of an epoch are to be waited for.
func (m *Machine) settled(now time.Duration, a *awaited) bool {
	missing, lost := false, now >= a.until
	for s := range m.servers {
		if !m.servers[s].up {
			lost = true
		} else if a.reports[s].Epoch != a.epoch && m.report.latest[s].Epoch <= a.epoch {
			missing = true
		}
	}
	return !missing || lost
}
