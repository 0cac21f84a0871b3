package sluice_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"sluice"
)

// TestAllActions compares the list with the constants of type Action.
func TestAllActions(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "entry.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Action" {
				declared++
			}
		}
		return true
	})
	listed := map[sluice.Action]bool{}
	for _, a := range sluice.AllActions() {
		listed[a] = true
	}
	if declared == 0 || len(listed) != declared {
		t.Errorf("entry.go declares %d actions, AllActions lists %d: add the missing ones", declared, len(listed))
	}
}
