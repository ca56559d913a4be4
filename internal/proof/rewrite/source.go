package rewrite

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"sync"
)

type span struct {
	from, to int
	name     string
}

var (
	parsed   = map[string][]span{}
	parsedMu sync.Mutex
)

// FunctionAt returns the function, "idchannel.Sender.trim", that a line of a Go
// source belongs to, or nothing.
func FunctionAt(file string, line int) string {
	parsedMu.Lock()
	defer parsedMu.Unlock()
	spans, ok := parsed[file]
	if !ok {
		fset := token.NewFileSet()
		if f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution); err == nil {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					pkg := filepath.Base(filepath.Dir(file))
					spans = append(spans, span{fset.Position(fn.Pos()).Line, fset.Position(fn.End()).Line, pkg + "." + functionName(fn)})
				}
			}
		}
		parsed[file] = spans
	}
	for _, s := range spans {
		if s.from <= line && line <= s.to {
			return s.name
		}
	}
	return ""
}
