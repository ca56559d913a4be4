package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/teems-go/teems/attest"
	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/manifest"
	"github.com/teems-go/teems/internal/node/deployment"
)

// asServer makes the test's own binary behave as the command.
const asServer = "TEEMS_SERVER_TEST"

// planted is what asServer says to make a hardened process do.
var planted = map[string]func(){
	"panic":     func() { panic("word 4711") },
	"goroutine": func() { go panic("word 4711"); select {} },
	"index":     func() { go func(i int) { _ = make([]byte, 1)[i] }(4711); select {} },
	"fatal":     func() { go new(sync.Mutex).Unlock(); select {} },
	"nil":       func() { go func(p *[1 << 20]byte) { p[4711]++ }(nil); select {} },
	"stderr":    func() { os.Stderr.WriteString("word 4711"); println("word 4711"); os.Exit(exitStopped) },
}

func TestMain(m *testing.M) {
	how := os.Getenv(asServer)
	if f := planted[how]; f != nil {
		os.Exit(hardened(func(io.Writer) int { f(); return 0 }))
	}
	if how != "" {
		os.Exit(run(os.Args[1:], os.Environ()))
	}
	os.Exit(m.Run())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// process is a running server.
type process struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	out bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func start(t *testing.T, environment []string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	p := &process{cmd: exec.Command(self, args...)}
	p.cmd.Env = append([]string{asServer + "=1"}, environment...)
	p.cmd.Stderr = p
	must(t, p.cmd.Start())
	t.Cleanup(func() { p.cmd.Process.Kill() })
	return p
}

// code waits for the end and returns the exit code.
func (p *process) code(t *testing.T) int {
	t.Helper()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) waitFor(t *testing.T, text string) {
	t.Helper()
	for range 1500 {
		if strings.Contains(p.log(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the log never said %q:\n%s", text, p.log())
}

// cluster writes the folders of n servers in simulated TEEs under manifest 1.
func cluster(t *testing.T, n int, measurement [32]byte) (folders []string, first *manifest.Signed, operator ed25519.PrivateKey) {
	t.Helper()
	return clusterUnder(t, n, simulated.Policy(measurement))
}

func clusterUnder(t *testing.T, n int, policy attest.Policy) (folders []string, first *manifest.Signed, operator ed25519.PrivateKey) {
	t.Helper()
	operator, err := manifest.GenerateKey(rand.Reader)
	must(t, err)
	servers := make([]manifest.Server, n)
	for i := range servers {
		servers[i] = manifest.Server{Mesh: freePort(t), Front: freePort(t)}
	}
	first, err = manifest.NewDefault(manifest.Options{
		Servers: servers, Parameters: manifest.DefaultParameters(64),
		Operators: []ed25519.PublicKey{operator.Public().(ed25519.PublicKey)}, Policy: policy,
	})
	must(t, err)
	must(t, first.Sign(operator))
	root := t.TempDir()
	for i := range n {
		dir := filepath.Join(root, fmt.Sprint(i))
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.WriteFile(filepath.Join(dir, deployment.ServerFile), fmt.Appendf(nil, `{"server": %d}`, i), 0o600))
		write(t, dir, deployment.ManifestFile, first)
		folders = append(folders, dir)
	}
	return folders, first, operator
}

func write(t *testing.T, dir, name string, m *manifest.Signed) {
	t.Helper()
	b, err := m.Encode()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestGenesisAndServe(t *testing.T) {
	measurement, err := simulated.MeasureSelf()
	must(t, err)
	folders, first, operator := cluster(t, 3, measurement)
	p := start(t, nil, folders[0])
	if code := p.code(t); code != 0 {
		t.Fatalf("genesis: exit code %d:\n%s", code, p.log())
	}
	if line, _, _ := strings.Cut(p.log(), "\n"); !strings.Contains(line, "protects nothing") {
		t.Errorf("the first line is %q", line)
	}
	b, err := os.ReadFile(filepath.Join(folders[0], deployment.GenesisFile))
	must(t, err)
	g, err := deployment.ParseGenesis(b)
	must(t, err)
	must(t, g.Verify(first, simulated.Verifiers(), time.Now()))
	second, err := first.Successor()
	must(t, err)
	second.Manifest.ClusterKey = g.ClusterKey
	must(t, second.Sign(operator))
	for _, dir := range folders {
		write(t, dir, deployment.PredecessorFile(1), first)
		write(t, dir, deployment.ManifestFile, second)
	}
	var servers []*process
	for _, dir := range folders {
		servers = append(servers, start(t, nil, dir))
	}
	for i, p := range servers {
		for j := range servers {
			if i != j {
				p.waitFor(t, fmt.Sprintf("mesh: server %d is linked", j))
			}
		}
	}
	for i, dir := range folders[1:] {
		if _, err := os.Stat(filepath.Join(dir, deployment.SecretFile)); err != nil {
			t.Errorf("server %d joined and did not seal the secret: %v", i+1, err)
		}
	}
	busy := start(t, nil, folders[1])
	if code := busy.code(t); code != exitFailed || !strings.Contains(busy.log(), "is in use by another program") {
		t.Errorf("a port in use: exit code %d:\n%s", code, busy.log())
	}
	for _, p := range servers {
		before := p.log()
		must(t, p.cmd.Process.Signal(syscall.SIGQUIT))
		time.Sleep(100 * time.Millisecond)
		if now := p.log(); now != before {
			t.Errorf("SIGQUIT makes it say %q", now[len(before):])
		}
		if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.cmd.Process.Pid)); err == nil {
			_, core, _ := strings.Cut(string(limits), "Max core file size")
			if f := strings.Fields(core); len(f) < 2 || f[0] != "0" || f[1] != "0" {
				t.Errorf("limits of cores: %.60s", core)
			}
		}
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/coredump_filter", p.cmd.Process.Pid)); err == nil && os.Geteuid() != 0 {
			t.Errorf("the process can be looked into: %s", status)
		}
	}
	for i, p := range servers {
		must(t, p.cmd.Process.Signal([]os.Signal{syscall.SIGTERM, os.Interrupt}[i%2]))
		if code := p.code(t); code != 0 {
			t.Errorf("server %d: exit code %d:\n%s", i, code, p.log())
		}
	}
}

func TestWrongCalls(t *testing.T) {
	measurement, err := simulated.MeasureSelf()
	must(t, err)
	good, _, _ := cluster(t, 1, measurement)
	other, _, _ := cluster(t, 1, [32]byte{1})
	sample := []string{t.TempDir()} // in order, but of a program that there is not
	must(t, os.CopyFS(sample[0], os.DirFS("../../testdata/deployment")))
	for name, c := range map[string]struct {
		environment, args []string
		code              int
		says              string
	}{
		"no folder":         {nil, nil, exitUsage, "usage"},
		"two folders":       {nil, []string{good[0], good[0]}, exitUsage, "usage"},
		"a flag":            {nil, []string{"--debug"}, exitUsage, "usage"},
		"help":              {nil, []string{"--help"}, 0, "usage"},
		"GODEBUG":           {[]string{"GODEBUG=tlsmlkem=0"}, good, exitUsage, "GODEBUG"},
		"GOMAXPROCS, empty": {[]string{"GOMAXPROCS="}, good, exitUsage, "GOMAXPROCS"},
		"GODEBUG, sample":   {[]string{"GODEBUG=tlsmlkem=0"}, sample, exitUsage, "GODEBUG"},
		"sample":            {nil, sample, exitFailed, "measurement"},
		"missing folder":    {nil, []string{filepath.Join(good[0], "nowhere")}, exitFailed, "manifest.json"},
		"other program":     {nil, other, exitFailed, "measurement"},
	} {
		p := start(t, c.environment, c.args...)
		if code := p.code(t); code != c.code || !strings.Contains(p.log(), c.says) {
			t.Errorf("%s: exit code %d:\n%s", name, code, p.log())
		}
	}
}

// TestCrashesSayNothing: whatever goes wrong in a server, nothing of a panic's
// value, of arguments or of addresses comes out.
func TestCrashesSayNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("servers run on Linux")
	}
	for name := range planted {
		p := start(t, []string{asServer + "=" + name})
		code, out := p.code(t), p.log()
		for _, word := range []string{"4711", "goroutine", "panic", "fatal", "0x", "main.go"} {
			if strings.Contains(out, word) {
				t.Errorf("%s: it says %q:\n%s", name, word, out)
			}
		}
		switch name {
		case "panic":
			if code != exitStopped || !strings.Contains(out, "a fault outside") {
				t.Errorf("%s: exit code %d:\n%s", name, code, out)
			}
		case "stderr":
			if code != exitStopped || out != "" {
				t.Errorf("%s: exit code %d:\n%s", name, code, out)
			}
		default:
			if code != exitUsage || out != "" { // Go's own
				t.Errorf("%s: exit code %d:\n%s", name, code, out)
			}
		}
	}
}
