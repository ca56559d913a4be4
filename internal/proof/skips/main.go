// Command skips reads the output of go test -json, prints what go test would
// print of failures and packages, and fails if a test failed, or was skipped
// that the list allowed.txt does not excuse.
//
//	go test -count=1 -json ./... | go run ./internal/proof/skips
package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

//go:embed allowed.txt
var allowed string

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

func main() {
	ok, err := judge(os.Stdin, os.Stdout, parse(allowed))
	if err != nil {
		fmt.Fprintln(os.Stderr, "skips:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// parse reads the list: "package test: reason", without the module's path.
func parse(list string) map[string]string {
	out := map[string]string{}
	for _, line := range strings.Split(list, "\n") {
		if name, why, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, "#") {
			out[name] = why
		}
	}
	return out
}

func judge(in io.Reader, out io.Writer, excused map[string]string) (bool, error) {
	outputs := map[string][]string{}
	ok, skipped, passed, packages := true, 0, 0, 0
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // of a build that failed
			continue
		}
		name := strings.TrimPrefix(e.Package, "github.com/teems-go/teems/") + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			if e.Test != "" {
				outputs[name] = append(outputs[name], e.Output)
			} else if e.Output != "PASS\n" {
				fmt.Fprint(out, e.Output)
			}
		case "fail", "build-fail":
			ok = false
			fmt.Fprint(out, strings.Join(outputs[name], ""))
		case "skip":
			if e.Test == "" {
				break // a package without tests
			}
			skipped++
			if excused[name] == "" {
				ok = false
				fmt.Fprintf(out, "skipped and not excused in the list of skips: %s\n%s", name, strings.Join(outputs[name], ""))
			}
		case "pass":
			if e.Test == "" {
				packages++
			} else {
				passed++
			}
		}
		if e.Action == "pass" || e.Action == "skip" {
			delete(outputs, name)
		}
	}
	if packages == 0 {
		ok = false
		fmt.Fprintln(out, "no package passed")
	}
	fmt.Fprintf(out, "%d packages, %d tests passed, %d skipped\n", packages, passed, skipped)
	return ok, lines.Err()
}
