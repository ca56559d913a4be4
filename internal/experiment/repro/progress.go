package repro

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/teems-go/teems/internal/experiment"
)

// Progress is told what runs.
type Progress interface {
	// Next says that job i of n starts, which share of the work is done, and
	// about how long is left (0: unknown).
	Next(i, n int, what string, share float64, left time.Duration)
	Close()
}

type nothing struct{}

func (nothing) Next(int, int, string, float64, time.Duration) {}
func (nothing) Close()                                        {}

// Lines is the progress for logs: a line for each experiment.
func Lines(say func(string)) Progress { return lines{say} }

type lines struct{ say func(string) }

func (l lines) Next(i, n int, what string, _ float64, left time.Duration) {
	l.say(fmt.Sprintf("[%d/%d] %s%s", i+1, n, what, about(left)))
}
func (lines) Close() {}

func about(left time.Duration) string {
	if left <= 0 {
		return ""
	}
	return ", about " + left.Round(time.Second).String() + " left"
}

// steps is the length of the bar, in units of work.
const steps = 1000

// Bar is the progress for people: a bar on a terminal.
func Bar(w io.Writer) Progress {
	return &bar{progressbar.NewOptions(steps, progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(24),
		progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish())}
}

type bar struct{ b *progressbar.ProgressBar }

func (p *bar) Next(i, n int, what string, share float64, left time.Duration) {
	p.b.Describe(fmt.Sprintf("[%d/%d] %s%s", i+1, n, what, about(left)))
	_ = p.b.Set(int(share * (steps - 1))) // a bar that cannot be drawn is no error
}

func (p *bar) Close() { _ = p.b.Clear() }

// timer estimates how long is left: work done so far took as long as it did.
type timer struct {
	now    func() time.Time
	start  time.Time
	before []float64 // work of the jobs before each, then of all
}

func newTimer(now func() time.Time, jobs []experiment.Job) *timer {
	t := &timer{now: now, start: now(), before: []float64{0}}
	for i, j := range jobs {
		t.before = append(t.before, t.before[i]+work(j))
	}
	return t
}

// work is about how long an experiment takes, in any unit: starting processes
// and connections, and a few epochs. A client with connections of its own takes
// several times as long as one without.
func work(j experiment.Job) float64 {
	switch {
	case j.System == experiment.Sparta:
		return 1 + float64(j.N)/(1<<18)
	case j.Mode == experiment.Sockets:
		return 4 + float64(j.M)/4 + float64(j.N)/(1<<13)
	}
	return 4 + float64(j.M)/4 + float64(j.N)/(1<<15)
}

func (t *timer) share(i int) float64 {
	all := t.before[len(t.before)-1]
	if all == 0 {
		return 1
	}
	return t.before[i] / all
}

func (t *timer) left(i int) time.Duration {
	if i == 0 {
		return 0
	}
	s := t.share(i)
	return time.Duration(float64(t.now().Sub(t.start)) * (1 - s) / s)
}
