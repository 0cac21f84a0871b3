package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"sluice/server"
)

var update = flag.Bool("update", false, "write api/openapi.json anew")

const golden = "../api/openapi.json"

// TestDocumentIsGolden holds what is served to the file in the repository.
func TestDocumentIsGolden(t *testing.T) {
	c := newClient(t)
	a := c.as("").ask(t, "GET", "/openapi.json", "").want(t, 200)
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type is %q", got)
	}
	if *update {
		if err := os.WriteFile(golden, a.body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.body, want) {
		t.Errorf("%s is not what is served: go test ./server -run %s -update", golden, t.Name())
	}
}

// TestDocumentHasEveryRoute holds the document in the repository and the table
// of routes to each other, in both directions.
func TestDocumentHasEveryRoute(t *testing.T) {
	var doc document
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var documented, routed []string
	for path, item := range doc.Paths {
		for method, op := range item {
			documented = append(documented, strings.ToUpper(method)+" "+path+" "+op.ID)
		}
	}
	for _, rt := range server.Table() {
		routed = append(routed, rt.Method+" "+strings.ReplaceAll(rt.Path, "...}", "}")+" "+rt.Operation)
	}
	for _, op := range documented {
		if !slices.Contains(routed, op) {
			t.Errorf("%s is documented and is no route", op)
		}
	}
	for _, rt := range routed {
		if !slices.Contains(documented, rt) {
			t.Errorf("%s is a route and not documented", rt)
		}
	}
}

// document is an OpenAPI document as far as the tests read it.
type document struct {
	Paths map[string]map[string]*operation
}

type operation struct {
	ID string `json:"operationId"`
}
