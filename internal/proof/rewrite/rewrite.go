// Package rewrite makes other versions of the project's sources for the checks
// of obliviousness, and hands them to the go command as an overlay: the files
// on disk stay as they are, and no production source holds a hook.
//
// Two things can be done. Mutants puts a leak of every kind at the start of
// every primitive, asleep until package probe wakes one; in assembly too.
// Trace makes all Go code of the oblivious packages tell package probe of every
// block that it enters and of every index, offset and length that it uses.
// Lines keep their numbers.
package rewrite

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Module is the path of the module whose sources are rewritten.
const Module = "github.com/teems-go/teems"

// Packages are those that handle secrets, and are rewritten.
var Packages = []string{
	"internal/choice", "internal/kernel", "internal/oblivious", "internal/record", "internal/cell", "internal/idchannel",
	"internal/token", "internal/role/ingestion", "internal/role/routing", "internal/role/storage", "internal/session", "internal/keys",
	"internal/epoch",
}

// Options say what to do.
type Options struct {
	Mutants bool
	Trace   bool
	Tags    []string
}

// Result says what was done.
type Result struct {
	Overlay string   // file for go build -overlay
	Mutants []Mutant // site i+1 is Mutants[i]
	Sites   []string // trace site i is Sites[i]
}

// Mutant is a place at which leaks are planted: four of them, one of each kind.
type Mutant struct {
	Function string // "kernel.SortWords"
	Secret   string // the expression that leaks
	Assembly bool
}

// Do writes rewritten sources into dir.
func Do(root, dir string, o Options) (*Result, error) {
	pkgs, exports, err := list(root, o.Tags)
	if err != nil {
		return nil, err
	}
	res := &Result{}
	replace := map[string]string{}
	for _, p := range pkgs {
		sources := map[string]string{}
		for _, name := range slices.Concat(p.GoFiles, p.SFiles) {
			b, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}
			sources[name] = string(b)
		}
		for name, text := range hooks[strings.TrimPrefix(p.ImportPath, Module+"/")] {
			if name == "zz_hook_amd64.go" && slices.Contains(o.Tags, "purego") {
				continue
			}
			sources[name] = text
		}
		if o.Mutants {
			if err := res.plantMutants(p, sources); err != nil {
				return nil, err
			}
		}
		if o.Trace {
			if err := res.trace(p, sources, exports); err != nil {
				return nil, err
			}
		}
		for name, text := range sources {
			to := filepath.Join(dir, strings.ReplaceAll(p.ImportPath, "/", "_")+"_"+name)
			if err := os.WriteFile(to, []byte(text), 0o666); err != nil {
				return nil, err
			}
			replace[filepath.Join(p.Dir, name)] = to
		}
	}
	res.Overlay = filepath.Join(dir, "overlay.json")
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	return res, os.WriteFile(res.Overlay, b, 0o666)
}

// hooks are files that are added to packages: ways in that only checks need.
var hooks = map[string]map[string]string{
	"internal/kernel": {"zz_hook_amd64.go": `//go:build !purego

package kernel

// Choose takes the bodies of the given name into use, if the machine has them.
func Choose(name string) bool {
	for i := portable; i <= detect(); i++ {
		if i.String() == name {
			active = i
			return true
		}
	}
	return false
}

// What package probe holds, for leaks planted in assembly, which cannot name
// variables of another package.
var (
	plantedSite, plantedWake, plantedHits, plantedSink int
	plantedTable                                       [256]uint64
)

// Wake chooses the planted leak that is awake, and forgets the hits.
func Wake(site, kind int) { plantedSite, plantedWake, plantedHits = site, kind, 0 }

// Hits counts how often the planted leak that is awake was passed.
func Hits() int { return plantedHits }
`},
	"internal/oblivious": {"zz_hook.go": `package oblivious

// Share makes w share even the smallest work among its workers. In a trace
// helpers run in turn, and those that look for more work find none.
func Share(w *Workers) { w.least, w.pool.spinRounds = 1, 0 }
`},
}

type pkg struct {
	Dir, ImportPath, Export string
	GoFiles, SFiles         []string
}

// list finds the files of the packages, and the export data of all that they
// import.
func list(root string, tags []string) ([]pkg, map[string]string, error) {
	args := []string{"list", "-export", "-deps", "-json=Dir,ImportPath,Export,GoFiles,SFiles", "-tags", strings.Join(tags, ",")}
	for _, p := range append([]string{"internal/proof/probe"}, Packages...) {
		args = append(args, Module+"/"+p)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, nil, fmt.Errorf("go list: %s", exit.Stderr)
		}
		return nil, nil, err
	}
	var pkgs []pkg
	exports := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			return nil, nil, err
		}
		exports[p.ImportPath] = p.Export
		if slices.Contains(Packages, strings.TrimPrefix(p.ImportPath, Module+"/")) {
			pkgs = append(pkgs, p)
		}
	}
	return pkgs, exports, nil
}

// edit is text to insert at an offset.
type edit struct {
	at   int
	text string
}

func apply(src string, edits []edit) string {
	sort.SliceStable(edits, func(i, j int) bool { return edits[i].at < edits[j].at })
	var b strings.Builder
	last := 0
	for _, e := range edits {
		b.WriteString(src[last:e.at])
		b.WriteString(e.text)
		last = e.at
	}
	b.WriteString(src[last:])
	return b.String()
}

// importProbe imports package probe on the line of the package clause.
const importProbe = `; import "` + Module + `/internal/proof/probe"`

func short(importPath string) string { return importPath[strings.LastIndex(importPath, "/")+1:] }
