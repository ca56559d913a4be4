//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commands returns the shell commands under a heading of docs/operations.md.
func commands(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/operations.md has no %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var all strings.Builder
	for i, part := range strings.Split(section, "```") {
		if sh, is := strings.CutPrefix(part, "sh\n"); is && i%2 == 1 {
			all.WriteString(sh)
		}
	}
	return all.String()
}

// freePorts is the first of n ports in a row that nobody uses.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		first, all := l.Addr().(*net.TCPAddr).Port, []net.Listener{l}
		for i := 1; i < n && err == nil; i++ {
			if l, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", first+i)); err == nil {
				all = append(all, l)
			}
		}
		for _, l := range all {
			l.Close()
		}
		if len(all) == n {
			return first
		}
	}
	t.Fatal("no free ports in a row")
	return 0
}

// drill runs commands in a folder with two builds of the server; whatever they
// leave running is ended.
func drill(t *testing.T, dir, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if err != nil {
		logs, _ := filepath.Glob(filepath.Join(dir, "server-*", "log"))
		for _, l := range logs {
			b, _ := os.ReadFile(l)
			t.Logf("%s:\n%s", l, b)
		}
		t.Fatalf("%v:\n%s", err, &out)
	}
	return out.String()
}

// TestRecoveryDrill runs the commands of docs/operations.md from the first
// manifest to the end of a TCB recovery, with processes, and then what a host
// could try.
func TestRecoveryDrill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters of processes")
	}
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "../teems", "../teems-server")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	server, err := os.ReadFile(filepath.Join(dir, "teems-server"))
	must(t, err)
	for name, binary := range map[string][]byte{"old": server, "new": append(bytes.Clone(server), "another build"...)} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, name, "teems-server"), binary, 0o700))
	}
	ports := fmt.Sprint("--servers 3 --port ", freePorts(t, 6))
	cluster := strings.Replace(commands(t, "A new cluster"), "--servers 3", ports, 1)
	recovery := commands(t, "TCB recovery")
	if !strings.Contains(cluster, ports) || !strings.Contains(recovery, "--next-era") {
		t.Fatal("docs/operations.md has other commands than this test knows")
	}
	drill(t, dir, cluster+recovery+hostTries)
}

// hostTries is what a host could try after the drill.
const hostTries = `
# The old code cannot open what the new code sealed, and finds nobody to ask.
waits() {
    env -i "$1/teems-server" server-1 2>out & pid=$!
    until grep -q "$2" out && grep -q "no secret from server 0" out; do sleep 0.1; done
    kill $pid; wait
}
refused() { if env -i "$1/teems-server" server-1 2>out; then echo "$1: it ran"; exit 1; fi; grep -q "$2" out || { cat out; exit 1; }; }
says 0 "serves cluster .* under manifest 4, era 2"
for n in 0 1 2; do stop $n; done
if [ "$(grep -l 'keeps none of an era before' server-*/log | wc -l)" != 2 ]; then echo "the era did not turn"; exit 1; fi # server 0 has a new log since

# the manifests before, with the sealed secret of the next era
cp manifest.3.json server-1/manifest.json
waits old "another program, another machine or another manifest 1 sealed secret.sealed"
refused new "was put back to an older one"
cp manifest.2.json server-1/manifest.json
refused new "does not accept this server"

# a manifest that one operator signed
teems manifest new --from manifest.4.json --server-binary old/teems-server --out evil.json
teems manifest sign --key bob.key evil.json
cp evil.json server-1/manifest.json
refused old "1 of the 2 operators signed"
`
