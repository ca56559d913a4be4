package coordinator

import (
	"time"

	"github.com/teems-go/teems/internal/wire"
)

// reporting gathers what the servers report of the newest committed epoch: they
// commit first, and report when the last delivery has left.
type reporting struct {
	epoch   uint64 // 0: nothing is awaited
	until   time.Duration
	reports []wire.EpochReport
	latest  []wire.EpochReport
}

func (r *reporting) take(s int, report *wire.EpochReport) {
	r.latest[s] = *report
	if r.epoch != 0 && report.Epoch == r.epoch {
		r.reports[s] = *report
	}
}

// openReport begins to wait for the reports of an epoch; those that are still
// missing of the one before stay so.
func (m *Machine) openReport(now time.Duration, epoch uint64) {
	m.closeReport()
	r := &m.report
	r.epoch, r.until = epoch, now+m.cfg.AttemptTimeout
	r.reports = make([]wire.EpochReport, len(m.servers))
	for s, report := range r.latest {
		if report.Epoch == epoch {
			r.reports[s] = report
		}
	}
}

func (m *Machine) closeReport() {
	if r := &m.report; r.epoch != 0 {
		m.note(Event{Kind: EpochDone, Epoch: r.epoch, Reports: r.reports})
		r.epoch, r.reports = 0, nil
	}
}

// finishReport ends the wait if all have reported, or some never will.
func (m *Machine) finishReport(now time.Duration) {
	r := &m.report
	if r.epoch == 0 {
		return
	}
	missing, lost := false, now >= r.until
	for s := range m.servers {
		if !m.servers[s].up {
			lost = true
		} else if r.reports[s].Epoch != r.epoch && r.latest[s].Epoch <= r.epoch {
			missing = true
		}
	}
	if !missing || lost {
		m.closeReport()
	}
}
