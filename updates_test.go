package sluice_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// updaters are the only files outside internal/store that call Store.Update. Every change begins in one of them.
var updaters = map[string]string{
	"internal/service/core.go": "the funnel of the service",
	"internal/gate/gate.go":    "decisions on links, and the entries that follow from them",
	"bench/fill/main.go":       "data for benchmarks",
}

// TestUpdaters checks that only the files listed above call Store.Update.
func TestUpdaters(t *testing.T) {
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() && name != "." && (isApart(name) || name == "internal/store") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 3 {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Update" {
				found[name] = true
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range found {
		if updaters[name] == "" {
			t.Errorf("%s calls Update: a change must go through service.go of the service or through the gate", name)
		}
	}
	for name := range updaters {
		if !found[name] {
			t.Errorf("%s is listed but does not call Update", name)
		}
	}
}
