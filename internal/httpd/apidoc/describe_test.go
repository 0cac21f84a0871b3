package apidoc

import (
	"maps"
	"slices"
	"testing"

	"sluice/internal/server"
)

// TestDescriptions checks that every operation has a description and that there are no others.
func TestDescriptions(t *testing.T) {
	var operations []string
	for _, rt := range server.Routes() {
		if d := descriptions[rt.Operation]; d.tag == "" || d.summary == "" || d.description == "" {
			t.Errorf("the description of %s is incomplete: %+v", rt.Operation, d)
		}
		operations = append(operations, rt.Operation)
	}
	slices.Sort(operations)
	if described := slices.Sorted(maps.Keys(descriptions)); !slices.Equal(operations, described) {
		t.Errorf("operations %v, but descriptions of %v", operations, described)
	}
}

// TestTablesNameWhatThereIs checks that the operations, schemas and members in the tables exist.
func TestTablesNameWhatThereIs(t *testing.T) {
	doc := newDocument()
	operations, members := map[string]bool{}, map[string]bool{}
	for _, rt := range server.Routes() {
		operations[rt.Operation] = rt.Input == nil
	}
	for name, s := range doc.Components.Schemas {
		for member := range s.Properties {
			members[name+"."+member] = true
		}
	}
	for name := range limits {
		if !members[name] {
			t.Errorf("limits: unknown member %s", name)
		}
	}
	for _, table := range []map[string]bool{keysOf(schemaDescriptions), keysOf(exampleObjects), keysOf(bases)} {
		for name := range table {
			if doc.Components.Schemas[name] == nil {
				t.Errorf("unknown schema %s", name)
			}
		}
	}
	placed := map[string]bool{}
	for _, r := range resources {
		for _, operation := range r.only {
			placed[operation] = true
		}
	}
	for _, table := range []map[string]bool{
		keysOf(exampleBodies), keysOf(ownRefusals), keysOf(mediaTypes), keysOf(goCalls), keysOf(goPrograms), keysOf(savedAs),
		untried, placed,
	} {
		for name := range table {
			if _, known := operations[name]; !known {
				t.Errorf("unknown operation %s", name)
			}
		}
	}
	for name := range byHand {
		if !operations[name] {
			t.Errorf("%s is described both by hand and by its types", name)
		}
	}
}

func keysOf[V any](table map[string]V) map[string]bool {
	keys := map[string]bool{}
	for name := range table {
		keys[name] = true
	}
	return keys
}
