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

// updaters lists the files outside internal/store that call Store.Update: the places where a change begins. Changes
// that a caller asks for begin in the first two. Each of the others is listed with its reason.
var updaters = map[string]string{
	"internal/service/service.go": "the funnel of all changes",
	"internal/gate/gate.go":       "decisions on links, and the entries that follow them",

	"internal/service/account.go":    "records a new account",
	"internal/service/start.go":      "records the first account and signing keys",
	"internal/service/heads.go":      "records an accepted rollback",
	"internal/service/checkpoint.go": "records a change of the log's key",
	"internal/service/denials.go":    "records that a read was denied",
	"internal/service/once.go":       "stores the response to a failed request",
	"internal/service/file.go":       "waits for commits under way before it removes the bytes of a failed upload",
	"internal/service/scrub.go":      "records a damaged file",
	"internal/service/sweep.go":      "waits for commits under way before it moves orphans to the trash",
	"bench/fill/main.go":             "writes data to measure with",
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
