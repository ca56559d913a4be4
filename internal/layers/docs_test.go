package layers

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quoted is a path of this repository in a page: it begins with a folder of the
// repository's top, or names a file there.
var quoted = regexp.MustCompile("`((?:internal|client|cmd|geometry|attest|teemstest|docs|deploy|docker|experiments|\\.ci)/[\\w./*-]*)`")

// missing returns the paths that a page names and the repository does not have.
// NAME stands for a name that the reader chooses.
func missing(root, page string) (paths []string, seen int) {
	for _, m := range quoted.FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[1], "NAME") {
			continue
		}
		seen++
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(m[1])))
		if err != nil || len(found) == 0 {
			paths = append(paths, m[1])
		}
	}
	return paths, seen
}

// TestPagesNameFilesThatExist checks every path in the pages that lead a new
// maintainer through the code.
func TestPagesNameFilesThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, name := range []string{"docs/architecture.md", "CONTRIBUTING.md"} {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		lost, seen := missing(root, string(b))
		if seen < 30 {
			t.Errorf("%s names %d paths; the pattern finds too few", name, seen)
		}
		for _, p := range lost {
			t.Errorf("%s names %s, which does not exist", name, p)
		}
	}
}

// TestMissing checks that the check can fail.
func TestMissing(t *testing.T) {
	lost, seen := missing(filepath.Join("..", ".."), "`internal/layers` `internal/nothing/x.go` `attest/NAME/` `plain`")
	if seen != 2 || len(lost) != 1 || lost[0] != "internal/nothing/x.go" {
		t.Errorf("lost %v of %d", lost, seen)
	}
}
