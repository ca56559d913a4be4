package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// list runs the go command for the system that the file was made on.
func list(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.Command("go", append([]string{"list", "-deps"}, args...)...)
	c.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1")
	out, err := c.Output()
	must(t, err)
	return string(out)
}

// What the server links is on file, so that each package that is added is seen
// by whoever reviews the change. Each is of the standard library, of this
// module or of golang.org/x.
func TestDependencies(t *testing.T) {
	const file = "../../docs/server-dependencies.txt"
	b, err := os.ReadFile(file)
	must(t, err)
	got, want := list(t, "."), string(b)
	if got != want {
		t.Errorf("the server links other packages than docs/server-dependencies.txt says:\n%s\n"+
			"if that has to be: go list -deps ./cmd/teems-server > docs/server-dependencies.txt", difference(got, want))
	}
	for line := range strings.Lines(list(t, "-f", "{{.Standard}} {{.ImportPath}}", ".")) {
		standard, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if standard != "true" && !strings.HasPrefix(name, "github.com/teems-go/teems/") && !strings.HasPrefix(name, "golang.org/x/") {
			t.Errorf("the server links %s", name)
		}
	}
}

// difference lists the lines that are in one text only.
func difference(got, want string) string {
	var b strings.Builder
	only := func(mark, a, other string) {
		for line := range strings.Lines(a) {
			if !strings.Contains("\n"+other, "\n"+line) {
				b.WriteString(mark + line)
			}
		}
	}
	only("+ ", got, want)
	only("- ", want, got)
	if b.Len() == 0 {
		return "the order is another\n"
	}
	return b.String()
}
