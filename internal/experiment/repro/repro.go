// Package repro drives a reproduction of the published figures: it decides what
// fits on the machine, runs what has no row yet, smallest first with the
// channels in turn, keeps every row as soon as it is there, and prints tables
// and draws pictures at the end.
//
// It guarantees that a run that is stopped (Ctrl-C, a signal, a crash, a full
// disk) keeps its finished rows, and that starting it again runs only the rest.
// How an experiment is run is up to the [experiment.Runner]s that it is given.
package repro

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/teems-go/teems/internal/experiment"
	"github.com/teems-go/teems/internal/experiment/figures"
	"github.com/teems-go/teems/internal/probe"
)

// The kinds of error.
var (
	// ErrFit says that an experiment does not fit on the machine.
	ErrFit = errors.New("repro: it does not fit on this machine")
	// ErrStopped says that the run was stopped.
	ErrStopped = errors.New("repro: stopped; finished rows are kept, and starting it again goes on from there")
	// ErrFailed says that experiments failed; the others have rows.
	ErrFailed = errors.New("repro: experiments failed; starting it again tries them once more")
)

// Config says what to reproduce.
type Config struct {
	Dir       string // folder of the results
	Machine   probe.Machine
	Options   probe.Options
	Runners   map[string]experiment.Runner // by system; what has no runner is left out
	Bandwidth float64                      // of the report, bits a second; see experiment.Load
	Out       io.Writer                    // tables
	Say       func(line string)            // what goes on; nil: nothing
	Progress  Progress                     // nil: none
	Now       func() time.Time             // nil: time.Now
	Free      func() uint64                // bytes of memory now, 0: unknown; nil: unknown

	// Experiments replaces the published ones and the comparator's; nil: those.
	Experiments []experiment.Experiment
	RowsOnly    bool // no tables and no pictures at the end
}

func (c *Config) fill() {
	if c.Say == nil {
		c.Say = func(string) {}
	}
	if c.Progress == nil {
		c.Progress = nothing{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Free == nil {
		c.Free = func() uint64 { return 0 }
	}
	if c.Experiments == nil {
		c.Experiments = append(experiment.Plan(), experiment.Comparator(c.Machine.Cores.Count())...)
		experiment.Sort(c.Experiments)
	}
}

// Plan returns what is left to run, in order, and how many rows there are
// already. It changes nothing. If anything does not fit, the error (ErrFit) says
// why and what to do.
func Plan(c Config) (jobs []experiment.Job, done int, err error) {
	c.fill()
	rows, err := experiment.Read(os.DirFS(c.Dir), func(string) {})
	if err != nil {
		return nil, 0, err
	}
	keys := map[experiment.Key]bool{}
	for i := range rows {
		keys[rows[i].Key()] = true
	}
	return plan(&c, keys)
}

func plan(c *Config, done map[experiment.Key]bool) ([]experiment.Job, int, error) {
	var all []experiment.Experiment
	decisions := map[experiment.Key]probe.Decision{}
	var bad []probe.Decision
	for _, e := range c.Experiments {
		if c.Runners[e.System] == nil {
			continue
		}
		d, err := c.Machine.Decide(e, c.Options)
		if err != nil {
			return nil, 0, err
		}
		if !d.Fits {
			bad = append(bad, d)
		}
		run := d.Run()
		all = append(all, run)
		if _, seen := decisions[run.Key()]; !seen {
			decisions[run.Key()] = d
		}
	}
	if len(bad) > 0 {
		return nil, 0, misfit(bad, len(all))
	}
	experiment.Sort(all) // those that were shrunk move forward
	all = experiment.Unique(all)
	var jobs []experiment.Job
	for _, e := range experiment.Remaining(all, done) {
		d := decisions[e.Key()]
		job := experiment.Job{Experiment: e, Mode: d.Mode, Overloaded: d.Overloaded, Memory: d.Need.Memory}
		if e.System == experiment.TEEMS { // the comparator is not a process of its own
			job.Cores, job.Simulator = c.Machine.Allocate(e)
		}
		jobs = append(jobs, job)
	}
	return jobs, len(all) - len(jobs), nil
}

// Connections is how many connections clients make in the largest of these jobs.
func Connections(jobs []experiment.Job) uint64 {
	var most uint64
	for _, j := range jobs {
		if j.System == experiment.TEEMS && j.Mode == experiment.Sockets {
			most = max(most, uint64(j.N)) // all servers have all roles, so one each
		}
	}
	return most
}

// misfit is the error of experiments that do not fit: the reasons of the first
// (the smallest), and every remedy once.
func misfit(bad []probe.Decision, all int) error {
	remedies := probe.Report{Experiments: bad}.Remedies()
	text := fmt.Sprintf("%d of %d experiments; the smallest, %v: %s", len(bad), all, bad[0].Experiment, strings.Join(bad[0].Why, "; "))
	if len(remedies) > 0 {
		text += "\nwhat would help:\n  " + strings.Join(remedies, "\n  ")
	}
	return fmt.Errorf("%w: %s", ErrFit, text)
}

// Describe says in a line how a job runs.
func Describe(j experiment.Job) string {
	s := j.String()
	if j.System == experiment.TEEMS {
		s += ", " + j.Mode
	}
	if j.Overloaded {
		s += ", on overloaded cores"
	}
	return s
}

// PrintPlan prints what is left to run, a line each.
func PrintPlan(c Config) error {
	jobs, done, err := Plan(c)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if _, err := fmt.Fprintln(c.Out, Describe(j)); err != nil {
			return err
		}
	}
	c.fill()
	c.Say(fmt.Sprintf("%d experiments to run, %d have their rows already", len(jobs), done))
	return nil
}

// Run runs what is left, then prints and draws. An experiment that fails is
// told and left out; the error then is ErrFailed.
func Run(ctx context.Context, c Config) error {
	c.fill()
	if _, _, err := Plan(c); errors.Is(err, ErrFit) { // before anything is written
		return err
	}
	book, err := experiment.Open(c.Dir, c.Say)
	if err != nil {
		return err
	}
	jobs, done, err := plan(&c, book.Done())
	if err != nil {
		return err
	}
	if done > 0 {
		c.Say(fmt.Sprintf("%d experiments have their rows already, %d are left", done, len(jobs)))
	}
	failed, err := runAll(ctx, &c, book, jobs)
	if err != nil {
		return err
	}
	if !c.RowsOnly {
		if err := Redraw(c.Dir, c.Bandwidth, true, c.Out, c.Say); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%w: %w", ErrFailed, errors.Join(failed...))
	}
	return nil
}

// runAll runs the jobs and keeps their rows.
func runAll(ctx context.Context, c *Config, book *experiment.Results, jobs []experiment.Job) (failed []error, err error) {
	t := newTimer(c.Now, jobs)
	defer c.Progress.Close()
	for i, j := range jobs {
		if ctx.Err() != nil {
			return nil, ErrStopped
		}
		c.Progress.Next(i, len(jobs), Describe(j), t.share(i), t.left(i))
		if j.Cores != nil {
			c.Say(fmt.Sprintf("%s: servers on cores %v, gateways and clients on %v", Describe(j), compact(j.Cores), j.Simulator))
		}
		var r experiment.Result
		err := enough(c.Free(), j.Memory)
		if err == nil {
			r, err = c.Runners[j.System].Run(ctx, j)
		}
		if ctx.Err() != nil {
			return nil, ErrStopped
		}
		if err == nil && r.Row.Key() != j.Key() {
			err = fmt.Errorf("%w: the row is of another experiment: %+v", experiment.ErrRun, r.Row.Key())
		}
		if err == nil {
			err = book.Add(r)
			if errors.Is(err, experiment.ErrData) { // the next one would fail as well
				return nil, err
			}
		}
		if err != nil {
			err = fmt.Errorf("%v: %w", j.Experiment, err)
			c.Say("failed: " + err.Error())
			failed = append(failed, err)
		}
	}
	return failed, nil
}

// enough says that an experiment which fits the machine's memory does not fit what
// other programs leave of it: the system would end processes, which ones nobody
// knows.
func enough(free, need uint64) error {
	if free == 0 || need <= free {
		return nil
	}
	return fmt.Errorf("%w: it takes about %d MiB, and %d MiB are free now: end other programs and start again", experiment.ErrRun, need>>20, free>>20)
}

// compact shortens a list in which all servers share cores.
func compact(cores [][]int) any {
	for _, own := range cores {
		if !slices.Equal(own, cores[0]) {
			return cores
		}
	}
	return fmt.Sprintf("%v (each)", cores[0])
}

// Redraw prints the tables of a folder and, if asked, draws its pictures into
// the folder "figures" in it. It runs nothing.
func Redraw(dir string, bandwidth float64, draw bool, out io.Writer, say func(string)) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%w: there is no folder %s: run `teems repro --data %s` first, or name the right one", experiment.ErrData, dir, dir)
	}
	if say == nil {
		say = func(string) {}
	}
	report, err := experiment.Load(os.DirFS(dir), bandwidth, say)
	if err != nil {
		return err
	}
	if err := report.Tables(out); err != nil {
		return err
	}
	if !draw {
		return nil
	}
	to := filepath.Join(dir, "figures")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("%w: %w: make the folder writable, or draw a copy of it", experiment.ErrData, err)
	}
	files, err := figures.Write(to, report)
	if err != nil {
		return fmt.Errorf("%w: %w", experiment.ErrData, err)
	}
	say(fmt.Sprintf("%d pictures in %s", len(files), to))
	return nil
}
