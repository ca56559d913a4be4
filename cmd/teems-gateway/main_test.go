package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/teems-go/teems/attest/simulated"
	"github.com/teems-go/teems/internal/manifest"
)

// folder makes a folder with a manifest and the settings given.
func folder(t *testing.T, settings string) string {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	m, err := manifest.NewDefault(manifest.Options{
		Servers:    manifest.LocalServers(2, "127.0.0.1", 1, 1),
		Operators:  []ed25519.PublicKey{key.Public().(ed25519.PublicKey)},
		Policy:     simulated.Policy([32]byte{1}),
		Parameters: manifest.DefaultParameters(100),
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "manifest.json"), file)
	write(t, filepath.Join(dir, "gateway.json"), []byte(settings))
	return dir
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	exit := make(chan int, 1)
	dir := folder(t, `{"listen": "127.0.0.1:0"}`)
	go func() {
		exit <- run(ctx, []string{dir}, io.Discard, w)
		w.Close()
	}()
	lines := bufio.NewReader(r)
	line, err := lines.ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("it said %q, %v", line, err)
	}
	go io.Copy(io.Discard, lines)
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var taken bytes.Buffer
	if code := run(ctx, []string{folder(t, `{"listen": "`+address+`"}`)}, io.Discard, &taken); code != 1 ||
		!strings.Contains(taken.String(), "in use") || !strings.Contains(taken.String(), "choose another port") {
		t.Errorf("exit code %d with a port in use:\n%s", code, &taken)
	}
	cancel()
	if code := <-exit; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestRefused(t *testing.T) {
	good := folder(t, `{"listen": "127.0.0.1:0"}`)
	bad := folder(t, `{"listen": "127.0.0.1:0"}`)
	write(t, filepath.Join(bad, "manifest.json"), []byte(`{"manifest": {}, "extra": 1}`))
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, "Usage"},
		{[]string{good, good}, 2, "Usage"},
		{[]string{"--listen"}, 2, "Usage"},
		{[]string{filepath.Join(good, "nothing")}, 1, "cannot read the manifest"},
		{[]string{bad}, 1, "manifest.json"},
		{[]string{folder(t, `{"listen": "127.0.0.1:0", "limit": 3}`)}, 1, "nothing else"},
		{[]string{folder(t, `{"Listen": "127.0.0.1:0"}`)}, 1, `unknown field "Listen"`},
		{[]string{folder(t, `{"listen": "127.0.0.1:0", "listen": "127.0.0.1:1"}`)}, 1, "nothing else"},
		{[]string{folder(t, `{"listen": "127.0.0.1:0"} x`)}, 1, "not JSON"},
		{[]string{folder(t, `{"listen": "7300"}`)}, 1, "give a host and a port"},
		{[]string{folder(t, `{}`)}, 1, "nothing else"},
		{[]string{folder(t, ``)}, 1, "nothing else"},
		{[]string{folder(t, `["listen"]`)}, 1, "nothing else"},
		{[]string{folder(t, `{"listen": "192.0.2.7:0"}`)}, 1, "not an address of this machine"},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		var out, errs bytes.Buffer
		if code := run(ctx, test.args, &out, &errs); code != test.code || !strings.Contains(errs.String(), test.want) {
			t.Errorf("%q: exit code %d, not %d:\n%s", test.args, code, test.code, &errs)
		}
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"--help"}, &out, &errs); code != 0 || !strings.Contains(out.String(), "Example") {
		t.Errorf("--help: exit code %d, %s", code, &out)
	}
}
