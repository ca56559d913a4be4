package cases

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// public are exported functions that meet no secret, and why.
var public = map[string]string{
	"choice.NewDivider":          "the divisor is public",
	"choice.Divider.Divisor":     "the divisor is public",
	"kernel.Implementation":      "which kernels are in use is public",
	"kernel.PackedBase":          "which kernels are in use is public",
	"kernel.PackedLevels":        "a constant of the element",
	"oblivious.MakeRows":         "allocates",
	"oblivious.WordRows":         "a view",
	"oblivious.NewWorkers":       "allocates",
	"oblivious.Workers.Count":    "the number of workers",
	"oblivious.Workers.Each":     "a public split of work; all cases run in it",
	"oblivious.Rows.Len":         "lengths only",
	"oblivious.Rows.Row":         "a view at a public place",
	"oblivious.Rows.Slice":       "a view at a public place",
	"idchannel.NewSender":        "allocates",
	"idchannel.NewRanker":        "allocates",
	"token.NewDirectory":         "public tables",
	"token.Directory.Generation": "of a public client",
	"token.Cells.Count":          "lengths only",
	"token.NewChecker":           "public rules",
	"token.RulesOf":              "public rules",
	"token.NewIssuer":            "public rules",
	"token.NewSlots":             "allocates",
	"token.Slots.Users":          "lengths only",
	"token.Slots.Grow":           "lengths only",
	"ingestion.Role.Free":        "lengths only",
	"routing.Role.Free":          "lengths only",
	"ingestion.Role.Release":     "hands memory over",
	"routing.Role.Release":       "hands memory over",
	"storage.Role.Free":          "lengths only",
	"ingestion.New":              "public tables",
	"routing.New":                "public tables",
	"storage.New":                "public tables",
	"oblivious.Workers.Alone":    "allocates",
	"oblivious.Workers.Yield":    "keeps a function that is given nothing",
}

// TestComplete: every exported function of the packages that handle secrets is
// in a case, or on the list of those that meet none.
func TestComplete(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range All() {
		for _, f := range c.Functions() {
			covered[f] = true
		}
	}
	found := map[string]bool{}
	for _, pkg := range []string{"choice", "kernel", "oblivious", "idchannel", "token", "role/ingestion", "role/routing", "role/storage"} {
		for _, f := range exported(t, pkg) {
			found[f] = true
			if covered[f] == (public[f] != "") {
				t.Errorf("%s: in a case: %v; on the list of functions that meet no secret: %v", f, covered[f], public[f] != "")
			}
		}
	}
	for f := range public {
		if !found[f] {
			t.Errorf("%s is on the list and does not exist", f)
		}
	}
}

func exported(t *testing.T, pkg string) (names []string) {
	files, err := filepath.Glob(filepath.Join("..", "..", pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(string(src), "//go:build trace") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !fn.Name.IsExported() {
				continue
			}
			full := path.Base(pkg) + "."
			if fn.Recv != nil {
				typ := fn.Recv.List[0].Type
				if p, ok := typ.(*ast.StarExpr); ok {
					typ = p.X
				}
				id, ok := typ.(*ast.Ident)
				if !ok || !id.IsExported() {
					continue
				}
				full += id.Name + "."
			}
			if full += fn.Name.Name; !slices.Contains(names, full) {
				names = append(names, full)
			}
		}
	}
	return names
}

// TestCases: every case runs at every small size, and draws are reproducible.
func TestCases(t *testing.T) {
	for _, c := range All() {
		for _, n := range []int{1, 2, 9} {
			x := c.Setup(n, 2)
			x.Fill(randomOf(1))
			x.Do()
			x.Fill(randomOf(7))
			a := fingerprint(x)
			x.Do()
			x.Fill(randomOf(8))
			x.Fill(randomOf(7))
			if b := fingerprint(x); a != b && !strings.HasPrefix(c.Name, "session.") {
				t.Errorf("%s at n=%d: secrets of one seed differ", c.Name, n)
			}
		}
	}
}

// TestCluster plays two epochs of each kind.
func TestCluster(t *testing.T) {
	nothing := func([]byte) {}
	for _, channel := range []string{"id", "token", "both"} {
		c := NewCluster(channel, 20, 2, Marker{nothing, nothing})
		c.Run()
		c.Run()
		if c.Sealed < 80 {
			t.Errorf("channel %s: only %d cells were sealed", channel, c.Sealed)
		}
	}
}
