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

// updaters are the files outside internal/store that call Store.Update: the places where a change begins. A change
// that a caller asks for goes through one of the first two. Each of the others says what else it needs an Update for.
var updaters = map[string]string{
	"internal/service/service.go": "the funnel of all changes",
	"internal/gate/gate.go":       "decisions on links, and what follows from them",

	"internal/service/account.go":    "the operator makes an account",
	"internal/service/start.go":      "the first account, and signing keys",
	"internal/service/heads.go":      "what a rollback has lost",
	"internal/service/checkpoint.go": "the log goes on with another key",
	"internal/service/denials.go":    "a key may not read something",
	"internal/service/once.go":       "the answer to a request that failed",
	"internal/service/file.go":       "waits for commits under way, before the bytes of a failed upload are removed",
	"internal/service/scrub.go":      "a file is damaged",
	"internal/service/sweep.go":      "waits for commits under way, before orphans are moved to the trash",
	"bench/fill/main.go":             "data to measure with",
}

// TestUpdaters holds calls of Store.Update to the list above.
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
			t.Errorf("%s calls Update: a change goes through the funnel of the service, or through the gate", name)
		}
	}
	for name := range updaters {
		if !found[name] {
			t.Errorf("%s is listed and calls no Update", name)
		}
	}
}
