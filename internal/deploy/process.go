package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// keptLines is how many lines of what a process said are kept, keptBytes how
// long each may be.
const (
	keptLines = 24
	keptBytes = 2048
)

// Ended says how a process ended; an error where it should not have.
type Ended struct {
	Name   string
	PID    int
	Code   int    // exit code, -1 if a signal ended it
	How    string // "exit status 3", "signal: killed"
	Last   []string
	LogAt  string
	asked  bool
	CPU    time.Duration
	Memory int64 // largest resident size in bytes, 0 if the system does not say
}

// Error tells how it ended, with the last lines that it said.
func (e *Ended) Error() string {
	s := fmt.Sprintf("%v: %s (process %d) ended: %s", ErrProcess, e.Name, e.PID, e.How)
	if n := len(e.Last); n > 0 {
		s += "; it said last:\n    " + strings.Join(e.Last[max(0, n-5):], "\n    ")
	}
	if e.LogAt != "" {
		s += "\n  all of it is in " + e.LogAt
	}
	return s
}

// Unwrap says that it is an ErrProcess.
func (e *Ended) Unwrap() error { return ErrProcess }

func (e *Ended) portInUse() bool {
	return strings.Contains(strings.Join(e.Last, "\n"), "in use")
}

// Process is a child.
type Process struct {
	name  string
	cmd   *exec.Cmd
	lines *lines
	log   *os.File
	done  chan struct{} // closed when it has ended
	ended *Ended        // valid once done is closed

	mu    sync.Mutex
	asked bool // guarded by mu: it was told to end
}

// group starts processes, all from one thread that lives as long as they do:
// where the system ends children with their parent it means that thread.
type group struct {
	jobs   chan func()
	failed chan *Ended // processes that ended though nobody told them to

	mu  sync.Mutex
	all []*Process // guarded by mu
	end sync.Once
}

func newGroup() *group {
	g := &group{jobs: make(chan func()), failed: make(chan *Ended, 128)}
	go func() {
		runtime.LockOSThread()
		for job := range g.jobs {
			job()
		}
	}()
	return g
}

// job is what a process is to run.
type job struct {
	name, binary string
	args         []string
	log          string // file that takes what it says
	environment  []string
	stdin        io.Reader
	stdout       io.Writer
	ends         bool  // by itself, which is not a failure
	cores        []int // that it may run on; none: all
}

// start runs a job.
func (g *group) start(j job) (*Process, error) {
	p := &Process{name: j.name, lines: newLines(), done: make(chan struct{}), asked: j.ends}
	path, err := filepath.Abs(j.binary)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBinary, err)
	}
	if p.log, err = os.OpenFile(j.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	p.cmd = exec.Command(path, j.args...)
	p.cmd.Env = append([]string{}, j.environment...) // never nil, which would be ours
	p.cmd.Stdin, p.cmd.Stdout = j.stdin, j.stdout
	p.cmd.Stderr = io.MultiWriter(p.log, p.lines)
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = childAttributes()
	started := make(chan error)
	g.jobs <- func() {
		if len(j.cores) == 0 {
			started <- p.cmd.Start()
		} else {
			started <- onCores(j.cores, p.cmd.Start)
		}
	}
	if err := <-started; err != nil {
		p.log.Close()
		if len(j.cores) > 0 {
			return nil, fmt.Errorf("%w: cannot start %s on cores %v: %w", ErrBinary, j.name, j.cores, err)
		}
		return nil, fmt.Errorf("%w: cannot start %s: %w", ErrBinary, j.name, err)
	}
	g.mu.Lock()
	g.all = append(g.all, p)
	g.mu.Unlock()
	go g.wait(p)
	return p, nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// CPU is the CPU time that the process has taken so far; 0 where the system does
// not say.
func (p *Process) CPU() time.Duration {
	select {
	case <-p.done:
		return p.ended.CPU
	default:
		return cpuTime(p.PID())
	}
}

// Done is closed when the process has ended and all that it wrote was taken.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended says how it ended. It waits for that.
func (p *Process) Ended() *Ended {
	<-p.done
	return p.ended
}

// wait takes the end of a process.
func (g *group) wait(p *Process) {
	err := p.cmd.Wait()
	p.log.Close()
	state := p.cmd.ProcessState
	p.mu.Lock()
	e := &Ended{
		Name: p.name, PID: state.Pid(), Code: state.ExitCode(), How: state.String(), Last: p.lines.strings(),
		LogAt: p.log.Name(), asked: p.asked,
		CPU: state.UserTime() + state.SystemTime(), Memory: maxResident(state),
	}
	p.mu.Unlock()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		e.How += " (" + err.Error() + ")"
	}
	p.ended = e
	close(p.done)
	if !e.asked {
		select {
		case g.failed <- e:
		default:
		}
	}
}

// Interrupt asks the process to end.
func (p *Process) Interrupt() {
	p.mu.Lock()
	p.asked = true
	p.mu.Unlock()
	select {
	case <-p.done:
	default:
		if p.cmd.Process.Signal(os.Interrupt) != nil {
			p.cmd.Process.Kill() // where there are no signals
		}
	}
}

// end asks the process to end, and ends it if it has not after a time.
func (p *Process) end(grace time.Duration) {
	p.Interrupt()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.cmd.Process.Kill()
		<-p.done
	}
}

// stop ends all processes, at once, and the thread that started them.
func (g *group) stop(grace time.Duration) {
	g.mu.Lock()
	all := append([]*Process(nil), g.all...)
	g.mu.Unlock()
	var wait sync.WaitGroup
	for _, p := range all {
		wait.Go(func() { p.end(grace) })
	}
	wait.Wait()
	g.end.Do(func() { close(g.jobs) })
}

// lines keeps the last lines that were written to it. Safe for concurrent use.
type lines struct {
	mu   sync.Mutex
	kept [][]byte
	part []byte
	wake chan struct{} // closed, and replaced, when there is a new line
}

func newLines() *lines { return &lines{wake: make(chan struct{})} }

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if room := keptBytes - len(l.part); room > 0 {
			l.part = append(l.part, line[:min(len(line), room)]...)
		}
		if !whole {
			return n, nil
		}
		l.kept = append(l.kept, bytes.Clone(l.part))
		if len(l.kept) > keptLines {
			l.kept = l.kept[1:]
		}
		l.part = l.part[:0]
		close(l.wake)
		l.wake = make(chan struct{})
		b = rest
	}
}

func (l *lines) all() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([][]byte(nil), l.kept...)
}

func (l *lines) strings() []string {
	var out []string
	for _, b := range l.all() {
		out = append(out, string(b))
	}
	return out
}

func (l *lines) more() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wake
}
