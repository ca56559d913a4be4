package rewrite

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// tracer rewrites one file.
type tracer struct {
	res   *Result
	fset  *token.FileSet
	info  *types.Info
	file  string
	src   string
	fn    string
	edits []edit
}

// trace makes the sources of a package tell of blocks, indexes and lengths.
func (res *Result) trace(p pkg, sources map[string]string, exports map[string]string) error {
	fset := token.NewFileSet()
	var files []*ast.File
	var names []string
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, sources[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files, names = append(files, f), append(names, name)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	if _, err := conf.Check(p.ImportPath, fset, files, info); err != nil {
		return err
	}
	for i, f := range files {
		t := &tracer{res: res, fset: fset, info: info, file: short(p.ImportPath) + "/" + names[i], src: sources[names[i]]}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				t.fn = short(p.ImportPath) + "." + functionName(fn)
				t.block(fn.Body.Lbrace + 1)
				ast.Inspect(fn.Body, t.visit)
			}
		}
		if len(t.edits) == 0 {
			continue
		}
		if !strings.Contains(t.src, importProbe) {
			t.edits = append(t.edits, edit{t.at(f.Name.End()), importProbe})
		}
		sources[names[i]] = apply(t.src, t.edits)
	}
	return nil
}

func (t *tracer) at(p token.Pos) int { return t.fset.Position(p).Offset }

// site gives a place in the source a number.
func (t *tracer) site(p token.Pos, what string) int {
	t.res.Sites = append(t.res.Sites, fmt.Sprintf("%s: %s at %s:%d", t.fn, what, t.file, t.fset.Position(p).Line))
	return len(t.res.Sites) - 1
}

func (t *tracer) insert(p token.Pos, text string) { t.edits = append(t.edits, edit{t.at(p), text}) }

func (t *tracer) block(p token.Pos) {
	t.insert(p, fmt.Sprintf(" probe.Block(%d);", t.site(p, "block")))
}

// wrap puts an expression into a call.
func (t *tracer) wrap(e ast.Expr, call, what string) {
	if e == nil || t.info.Types[e].Value != nil {
		return
	}
	t.insert(e.Pos(), fmt.Sprintf("probe.%s(%d, ", call, t.site(e.Pos(), what)))
	t.insert(e.End(), ")")
}

func (t *tracer) visit(n ast.Node) bool {
	switch x := n.(type) {
	case *ast.CaseClause:
		t.block(x.Colon + 1)
	case *ast.IfStmt:
		t.block(x.Body.Lbrace + 1)
		if e, ok := x.Else.(*ast.BlockStmt); ok {
			t.block(e.Lbrace + 1)
		}
	case *ast.ForStmt:
		t.block(x.Body.Lbrace + 1)
	case *ast.RangeStmt:
		t.block(x.Body.Lbrace + 1)
	case *ast.FuncLit:
		t.block(x.Body.Lbrace + 1)
	case *ast.BinaryExpr:
		if x.Op == token.LAND || x.Op == token.LOR {
			t.wrap(x.Y, "Bool", "condition")
		}
	case *ast.IndexExpr:
		if indexed(t.info.Types[x.X]) {
			t.wrap(x.Index, "At", "index")
		}
	case *ast.SliceExpr:
		for _, e := range []ast.Expr{x.Low, x.High, x.Max} {
			if e != nil {
				t.wrap(e, "At", "bound")
			}
		}
	case *ast.CallExpr:
		t.call(x)
	case *ast.GoStmt:
		// What runs beside is run at once: a trace is of one goroutine, and must
		// not depend on when the scheduler cuts one short.
		t.insert(x.Go, "/*")
		t.insert(x.Go+token.Pos(len("go")), "*/")
	}
	return true
}

// call rewrites calls that access memory at computed places or lengths.
func (t *tracer) call(x *ast.CallExpr) {
	if s, ok := x.Fun.(*ast.SelectorExpr); ok {
		if p, ok := s.X.(*ast.Ident); ok && p.Name == "unsafe" && s.Sel.Name == "Add" {
			t.wrap(x.Args[1], "At", "offset")
		}
		return
	}
	f, ok := x.Fun.(*ast.Ident)
	if !ok || !t.info.Types[f].IsBuiltin() {
		return
	}
	into := map[string]string{"copy": "Copy", "clear": "Clear"}[f.Name]
	if into == "" {
		return
	}
	for _, a := range x.Args {
		if _, ok := t.info.Types[a].Type.Underlying().(*types.Slice); !ok {
			return
		}
	}
	// The name is kept behind the new one, as its suffix would be: probe.Copy(n, ...
	site := t.site(x.Pos(), f.Name)
	t.insert(f.Pos(), fmt.Sprintf("probe.%s/*", into))
	t.insert(f.End(), "*/")
	t.insert(x.Lparen+1, fmt.Sprintf("%d, ", site))
}

// indexed reports whether an index into a value of this type is an address.
func indexed(tv types.TypeAndValue) bool {
	if !tv.IsValue() {
		return false
	}
	u := tv.Type.Underlying()
	if p, ok := u.(*types.Pointer); ok {
		u = p.Elem().Underlying()
	}
	switch u.(type) {
	case *types.Slice, *types.Array, *types.Basic:
		return true
	}
	return false
}
