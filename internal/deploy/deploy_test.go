//go:build unix

package deploy

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/teems-go/teems/internal/manifest"
)

// script makes a program that /bin/sh runs. Its argument is the folder.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func newTestGroup(t *testing.T) *group {
	g := newGroup()
	t.Cleanup(func() { g.stop(time.Second) })
	return g
}

func startScript(t *testing.T, g *group, body string) *Process {
	t.Helper()
	p, err := g.start(onFolder("server 7", script(t, body), t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAProcessThatDiesIsReported(t *testing.T) {
	g := newTestGroup(t)
	p := startScript(t, g, `for i in 1 2 3 4 5 6 7 8 9; do echo "line $i" >&2; done; exit 3`)
	select {
	case e := <-g.failed:
		text := e.Error()
		if e.Code != 3 || e.PID != p.PID() || !errors.Is(e, ErrProcess) ||
			!strings.Contains(text, "server 7") || !strings.Contains(text, "line 9") || strings.Contains(text, "line 4") {
			t.Errorf("code %d: %s", e.Code, text)
		}
		log, err := os.ReadFile(e.LogAt)
		if err != nil || !strings.HasPrefix(string(log), "line 1\n") {
			t.Errorf("the log is %q, %v", log, err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was reported")
	}
}

func TestTheEnvironmentIsEmpty(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	p := startScript(t, newTestGroup(t), `env >&2`)
	p.Ended()
	for _, line := range p.lines.strings() { // what the shell itself sets
		if name, _, _ := strings.Cut(line, "="); name != "PWD" && name != "_" && name != "SHLVL" && name != "OLDPWD" {
			t.Errorf("the environment has %s", line)
		}
	}
}

// alive says whether a process runs; one that ended and whose parent has not
// looked yet does not.
func alive(pid int) bool {
	if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, rest, _ := strings.Cut(string(b), ") ")
		return !strings.HasPrefix(rest, "Z")
	}
	return syscall.Kill(pid, 0) == nil
}

func TestStopLeavesNothing(t *testing.T) {
	g := newGroup()
	polite := startScript(t, g, `trap 'echo bye >&2; exit 0' INT; echo up >&2; while :; do sleep 0.01; done`)
	stubborn := startScript(t, g, `trap '' INT; echo up >&2; while :; do sleep 0.01; done`)
	for _, p := range []*Process{polite, stubborn} {
		for len(p.lines.all()) == 0 {
			<-p.lines.more()
		}
	}
	g.stop(200 * time.Millisecond)
	if e := polite.Ended(); e.Code != 0 || alive(e.PID) {
		t.Errorf("the polite one: %s", e.How)
	}
	if e := stubborn.Ended(); e.Code != -1 || alive(e.PID) {
		t.Errorf("the stubborn one: %s", e.How)
	}
	select {
	case e := <-g.failed:
		t.Errorf("what was asked to end is a failure: %v", e)
	default:
	}
	g.stop(time.Second) // again
}

func TestStartTellsWhyAServerEnds(t *testing.T) {
	spec := Spec{
		Dir: t.TempDir(), Servers: make([]manifest.Server, 2), Parameters: manifest.DefaultParameters(16), Gateways: 1,
		ServerBinary:  script(t, `echo "the genesis went wrong" >&2; exit 1`),
		GatewayBinary: script(t, `exit 1`),
	}
	c, err := Start(t.Context(), spec)
	if c != nil || !errors.Is(err, ErrProcess) || !strings.Contains(err.Error(), "the genesis went wrong") {
		t.Errorf("%v, %v", c, err)
	}
	for _, name := range []string{KeyFile, "server-0/server.json", "server-1/server.json", "gateway-0/gateway.json", "server-0/manifest.json"} {
		info, err := os.Stat(filepath.Join(spec.Dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestStartTriesOtherPorts(t *testing.T) {
	spec := Spec{
		Dir: t.TempDir(), Servers: make([]manifest.Server, 1), Parameters: manifest.DefaultParameters(16),
		ServerBinary: script(t, `echo "the front port is in use by another program" >&2; exit 1`),
	}
	tries := 0
	spec.Say = func(line string) {
		if strings.Contains(line, "a port was taken") {
			tries++
		}
	}
	if _, err := Start(t.Context(), spec); err == nil || tries != startTries-1 {
		t.Errorf("%d tries: %v", tries, err)
	}
}

func TestStartCanBeCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	spec := Spec{
		Dir: t.TempDir(), Servers: make([]manifest.Server, 1), Parameters: manifest.DefaultParameters(16),
		ServerBinary: script(t, `while :; do sleep 0.01; done`),
	}
	if _, err := Start(ctx, spec); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestBinary(t *testing.T) {
	good := script(t, "")
	if got, err := Binary(t.Context(), "teems-server", good, nil); got != good || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{data, data + ".missing", t.TempDir()} {
		if _, err := Binary(t.Context(), "teems-server", path, nil); !errors.Is(err, ErrBinary) {
			t.Errorf("%s: %v", path, err)
		}
	}
	t.Chdir(t.TempDir())
	_, err := Binary(t.Context(), "teems-server", "", nil)
	if !errors.Is(err, ErrBinary) || !strings.Contains(err.Error(), "--server-binary") {
		t.Errorf("outside a source tree: %v", err)
	}
}

func TestFreePorts(t *testing.T) {
	all, err := FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range all {
		l, err := net.Listen("tcp", a)
		if err != nil || seen[a] {
			t.Errorf("%s: %v", a, err)
			continue
		}
		seen[a] = true
		l.Close()
	}
}

func TestLines(t *testing.T) {
	l := newLines()
	for range keptLines + 3 {
		l.Write([]byte("a line\nand "))
	}
	l.Write([]byte(strings.Repeat("x", 3*keptBytes) + "\n"))
	got := l.strings()
	if len(got) != keptLines || got[0] != "and a line" || len(got[keptLines-1]) != keptBytes {
		t.Errorf("%d lines, the first %q, the last of %d bytes", len(got), got[0], len(got[keptLines-1]))
	}
}
