package attest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPurposesAreComplete: every purpose is a constant of package attest that
// its package comment lists, and no caller of Bind makes up one of its own.
func TestPurposesAreComplete(t *testing.T) {
	src, err := os.ReadFile("attest.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, code, _ := strings.Cut(string(src), "\npackage attest\n")
	constants := 0
	for _, line := range strings.Split(code, "\n") {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " = \"teems/1 ")
		if !ok || !strings.HasPrefix(name, "Purpose") {
			continue
		}
		constants++
		if purpose := "teems/1 " + strings.TrimSuffix(value, `"`); !strings.Contains(comment, "//\t"+purpose+" ") {
			t.Errorf("the package comment does not list %q", purpose)
		}
	}
	if constants < 5 {
		t.Fatalf("found %d purposes", constants)
	}
	calls := 0
	root := filepath.Join("..")
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		if strings.Contains(path, filepath.Join("sgx", "oracle")) { // records test data, in a module of its own
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if pkg, isName := selector(f, ok); !isName || pkg != "attest" || f.Sel.Name != "Bind" {
				return true
			}
			calls++
			if _, literal := call.Args[0].(*ast.BasicLit); literal {
				t.Errorf("%s calls Bind with a purpose that package attest does not know", path)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls < 6 {
		t.Errorf("found %d calls of Bind", calls)
	}
}

// selector returns the name of the package of pkg.Name.
func selector(s *ast.SelectorExpr, ok bool) (string, bool) {
	if !ok {
		return "", false
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return "", false
	}
	return x.Name, true
}
