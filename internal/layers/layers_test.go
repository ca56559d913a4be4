package layers

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const path = "github.com/teems-go/teems/"

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

// list asks the go command for all packages of the module and what they import,
// tests left out.
func list(t *testing.T) map[string]pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps", "github.com/teems-go/teems/...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func TestLayers(t *testing.T) {
	all := list(t)
	order := map[string]int{}
	for l, layer := range table {
		t.Logf("%s (%s)", layer.name, strings.TrimSpace(string(layer.reach)))
		for i, p := range layer.packages {
			t.Logf("    %s", p)
			found := false
			tree, whole := strings.CutSuffix(path+p, "/...")
			for name := range all {
				if name == tree || whole && strings.HasPrefix(name, tree+"/") {
					order[name] = l*100 + i
					found = true
				}
			}
			if !found {
				t.Errorf("%s is in the table and does not exist", p)
			}
		}
	}
	for name, p := range all {
		if !strings.HasPrefix(name, path) {
			continue
		}
		at, ok := order[name]
		if !ok {
			t.Errorf("%s is in no layer: put it into the table", name)
			continue
		}
		for _, i := range p.Imports {
			if to, ours := order[i]; ours && to >= at && !inTree(at, to) {
				t.Errorf("%s imports %s, which is not below it", name, i)
			}
		}
		for _, d := range p.Deps {
			if why := forbidden(table[at/100].reach, d, all[d].Standard); why != "" {
				t.Errorf("%s reaches %s: %s", name, d, why)
			}
		}
	}
	for name, user := range all {
		for _, i := range user.Imports {
			if to, ours := order[i]; ours && to/100 == len(table)-1 && order[name]/100 != len(table)-1 {
				t.Errorf("%s, which is not a test, imports %s", name, i)
			}
		}
	}
}

// inTree reports whether two places in the table are one, of a whole folder.
func inTree(a, b int) bool {
	return a == b && strings.HasSuffix(table[a/100].packages[a%100], "/...")
}

func forbidden(r reach, dep string, standard bool) string {
	switch {
	case r == pure && slices.Contains(impure, dep):
		return "L0 and L1 do no I/O and read no clock"
	case r == pure && !standard && !strings.HasPrefix(dep, path):
		return "L0 and L1 use the standard library only"
	case r == issuers && slices.ContainsFunc(tsm, func(m string) bool { return strings.HasPrefix(dep, m) }):
		return ""
	case r != anything && !standard && !strings.HasPrefix(dep, path) && !strings.HasPrefix(dep, "golang.org/x/"):
		return "only commands use other libraries"
	}
	return ""
}

// What the measured server links: the trusted code and nothing else. It cannot
// reach seeded randomness, simulators, or anything that only commands need.
func TestServer(t *testing.T) {
	all := list(t)
	server, ok := all[path+"cmd/teems-server"]
	if !ok {
		t.Fatal("cmd/teems-server is not there")
	}
	for _, d := range server.Deps {
		switch {
		case slices.Contains([]string{"internal/simnet", "internal/load", "internal/deploy", "internal/gateway", "internal/reference", "client"}, strings.TrimPrefix(d, path)):
			t.Errorf("the server links %s", d)
		case strings.HasPrefix(d, path) && (slices.Contains(all[d].Imports, "math/rand") || slices.Contains(all[d].Imports, "math/rand/v2")):
			t.Errorf("the server links %s, which can make seeded randomness", d)
		}
	}
}

// The checks can fail.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		r        reach
		dep      string
		standard bool
		refused  bool
	}{
		{pure, "os", true, true}, {pure, "time", true, true}, {pure, "errors", true, false},
		{pure, "golang.org/x/crypto/hkdf", false, true}, {pure, path + "geometry", false, false},
		{trusted, "os", true, false}, {trusted, "github.com/spf13/cobra", false, true}, {module, "golang.org/x/sys/unix", false, false},
		{anything, "github.com/spf13/cobra", false, false},
		{issuers, "github.com/google/go-configfs-tsm/report", false, false}, {issuers, "github.com/spf13/cobra", false, true},
		{trusted, "github.com/google/go-configfs-tsm/report", false, true},
	} {
		if got := forbidden(c.r, c.dep, c.standard) != ""; got != c.refused {
			t.Errorf("%q may reach %s: %v", c.r, c.dep, !got)
		}
	}
}
