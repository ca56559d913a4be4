package rewrite

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Driver is a built drive, in a directory of its own.
type Driver struct {
	*Result
	Dir, Path              string
	MutantsFile, SitesFile string // for drive's flags of these names
}

// Build rewrites the sources as the options say and builds drive from them.
// Remove the directory when done.
func Build(root string, o Options) (*Driver, error) {
	dir, err := os.MkdirTemp("", "teems-proof-")
	if err != nil {
		return nil, err
	}
	// The go command keeps a test's result until a file that the test itself has
	// looked at changes.
	for _, p := range []string{"drive", "cases", "memcheck", "probe"} {
		files, err := filepath.Glob(filepath.Join(root, "internal/proof", p, "*"))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if _, err := os.ReadFile(f); err != nil {
				return nil, err
			}
		}
	}
	d := &Driver{Dir: dir, Path: filepath.Join(dir, "drive"), MutantsFile: filepath.Join(dir, "mutants"), SitesFile: filepath.Join(dir, "sites")}
	if d.Result, err = Do(root, dir, o); err != nil {
		return nil, err
	}
	var lines strings.Builder
	for _, p := range d.Mutants {
		fmt.Fprintln(&lines, p.Function, p.Kernels(), p.Language())
	}
	if err := os.WriteFile(d.MutantsFile, []byte(lines.String()), 0o666); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.SitesFile, []byte(strings.Join(d.Sites, "\n")), 0o666); err != nil {
		return nil, err
	}
	tags := strings.Join(append([]string{"proof"}, o.Tags...), ",")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-overlay", d.Overlay, "-tags", tags, "-o", d.Path, Module+"/internal/proof/drive")
	cmd.Dir = root
	// Memcheck reads version 4 of the debugging format, and no later one.
	cmd.Env = append(os.Environ(), "GOEXPERIMENT=nodwarf5", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %v\n%s", err, out)
	}
	if o.Mutants {
		// Which kernels a case must use to pass a planted leak, the driver knows.
		out, err := exec.Command(d.Path, "reach", "--mutants", d.MutantsFile).Output()
		if err != nil {
			return nil, fmt.Errorf("drive reach: %w", err)
		}
		if err := os.WriteFile(d.MutantsFile, out, 0o666); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Remove deletes the driver and the rewritten sources.
func (d *Driver) Remove() { os.RemoveAll(d.Dir) }

// Kernels is the name of the kernels that a function belongs to, or "any".
func (p Mutant) Kernels() string {
	switch {
	case !p.Assembly:
		return "any"
	case strings.HasSuffix(p.Function, "AVX512"):
		return "AVX-512"
	}
	return "AVX2"
}

// Language is go or assembly.
func (p Mutant) Language() string {
	if p.Assembly {
		return "assembly"
	}
	return "go"
}

// Root is the directory of the module.
func Root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("go list -m: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
