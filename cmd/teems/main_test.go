package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"teems": main})
}

// TestScripts runs commands that need no cluster.
func TestScripts(t *testing.T) {
	recorded, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	published, err := filepath.Abs("../../experiments/published")
	if err != nil {
		t.Fatal(err)
	}
	mirrored, file := mirror(t), mirrorFile(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("RECORDED", recorded)
			e.Setenv("PUBLISHED", published)
			e.Setenv("MIRROR", mirrored)
			return os.WriteFile(filepath.Join(e.WorkDir, "recorded.bin"), file, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitCode},
	})
}

// exitCode runs teems and compares its exit code: exitcode N ARGUMENTS.
func exitCode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("teems", args[1:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// TestCluster runs commands with real server and gateway processes.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts clusters of processes")
	}
	if runtime.GOOS == "windows" {
		t.Skip("the scripts use signals")
	}
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../teems", "../teems-server", "../teems-gateway")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/cluster", RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("LONG", strings.Repeat("a", 253))
			return nil
		},
	})
}

// TestHelpIsComplete: every command says what it does, with an example, and its
// exit codes.
func TestHelpIsComplete(t *testing.T) {
	all := newRoot().Commands()
	for len(all) > 0 {
		c := all[0]
		all = append(all[1:], c.Commands()...)
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.Short == "" || c.Example == "" || !containsAll(c.Long, "Exit codes") {
			t.Errorf("%s: its help lacks a description, an example or the exit codes", c.CommandPath())
		}
	}
}

func TestInterruptedBeforeItBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	devNull, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer devNull.Close()
	code := run(ctx, []string{"client", "--dir", filepath.Join(t.TempDir(), "none"), "register", "--as", "x", "--wait"}, devNull, devNull, devNull)
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
}
