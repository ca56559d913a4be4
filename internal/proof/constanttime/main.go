//go:build linux && amd64

// Command constanttime checks compiled code for branches and addresses that
// depend on secrets: valgrind's memcheck runs it with all secrets marked
// undefined, and reports every such use. See docs/side-channels.md.
//
//	constanttime --n 512 --channel both   every primitive and role, and whole epochs
//	constanttime --planted all            that the check catches planted leaks
//
// It prints "checked P functions, 0 errors" or "planted L, caught L". Exit
// codes: 0 all well, 1 errors or leaks not caught, 2 it could not run.
package main

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/teems-go/teems/internal/proof/rewrite"
)

//go:embed public.supp
var suppressions []byte

func main() {
	n := flag.Int("n", 512, "clients of the epochs, and largest size of the primitives")
	channel := flag.String("channel", "both", "channel of the epochs: id, token, both")
	planted := flag.String("planted", "", "all: wake every planted leak in turn; or the name of a function")
	keep := flag.String("log", "", "keep memcheck's log in this file")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: constant-time [--n N] [--channel id|token|both] | --planted all|FUNCTION\n\nexample: constant-time --n 512 --channel both")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || *channel != "id" && *channel != "token" && *channel != "both" {
		flag.Usage()
		os.Exit(2)
	}
	ok, err := check(*n, *channel, *planted, *keep)
	if err != nil {
		fmt.Fprintln(os.Stderr, "constant-time:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func check(n int, channel, planted, keep string) (ok bool, err error) {
	root, err := rewrite.Root()
	if err != nil {
		return false, err
	}
	d, err := rewrite.Build(root, rewrite.Options{Mutants: planted != ""})
	if err != nil {
		return false, err
	}
	defer d.Remove()
	if keep == "" {
		keep = filepath.Join(d.Dir, "log")
	}
	if planted != "" {
		return runMutants(d, planted, keep)
	}
	_, err = memcheck(d, keep, "secrets", "--n", strconv.Itoa(n), "--channel", channel)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		report(keep)
		return false, nil
	}
	return err == nil, err
}

// memcheck runs the driver. Standard output is passed on.
func memcheck(d *rewrite.Driver, log string, args ...string) (string, error) {
	supp := filepath.Join(d.Dir, "public.supp")
	if err := os.WriteFile(supp, suppressions, 0o666); err != nil {
		return "", err
	}
	cmd := exec.Command("valgrind", append([]string{
		"--tool=memcheck", "-v", "--error-limit=no", "--fullpath-after=", "--max-stackframe=16384", "--num-callers=20", "--suppressions=" + supp,
		"--log-file=" + log, "--leak-check=no", "--show-error-list=no", d.Path,
	}, args...)...)
	// Nothing in the environment may change what is checked.
	cmd.Env = []string{"GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("valgrind: %w", err)
	}
	b, err := os.ReadFile(log)
	return string(b), err
}

// report shows what memcheck found: errors with their stacks, under the name of
// the case that ran.
func report(log string) {
	b, err := os.ReadFile(log)
	if err != nil {
		return
	}
	shown := 0
	last := ""
	parsed := blocks(string(b))
	inlined(parsed)
	for _, block := range parsed {
		if strings.HasPrefix(block[0], "** ") {
			last = block[0]
		} else if isError(block) && shown < 30 {
			fmt.Println(last)
			fmt.Println(strings.Join(block, "\n"))
			shown++
		}
	}
}

// blocks cuts a log into its paragraphs, without process numbers; a line of the
// driver's is one of its own.
func blocks(log string) [][]string {
	var out [][]string
	var block []string
	end := func() {
		if len(block) > 0 {
			out = append(out, block)
		}
		block = nil
	}
	for _, line := range strings.Split(log, "\n") {
		if strings.HasPrefix(line, "--") {
			continue // valgrind on itself
		}
		if _, rest, ok := strings.Cut(line, "** mutant"); ok {
			line = "** mutant" + rest
		} else if i := strings.Index(line, "== "); i >= 0 && strings.HasPrefix(line, "==") {
			line = line[i+3:]
		} else if i := strings.Index(line, "** "); i >= 0 && strings.HasPrefix(line, "**") && i > 2 {
			line = line[i+3:]
		}
		if strings.Contains(line, "uninitialised") {
			end() // a word of valgrind's may stand before
		}
		switch {
		case strings.HasPrefix(line, "** "):
			end()
			out = append(out, []string{line})
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "=="):
			end()
		default:
			block = append(block, line)
		}
	}
	end()
	return out
}

// inlined puts the function that the place of an error is written in, which may
// be inlined there and which memcheck does not name for Go, before the stacks.
func inlined(parsed [][]string) {
	for i, block := range parsed {
		if !isError(block) || len(block) < 2 {
			continue
		}
		_, place, _ := strings.Cut(strings.TrimSuffix(block[1], ")"), " (/")
		file, line, _ := strings.Cut("/"+place, ":")
		if n, err := strconv.Atoi(line); err == nil {
			if f := rewrite.FunctionAt(file, n); f != "" {
				parsed[i] = slices.Insert(block, 1, fmt.Sprintf("   in /%s (%s:%d)", f, filepath.Base(file), n))
			}
		}
	}
}

func isError(block []string) bool {
	return strings.Contains(block[0], "uninitialised")
}
