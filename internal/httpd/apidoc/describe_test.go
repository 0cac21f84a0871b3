package apidoc

import (
	"maps"
	"slices"
	"testing"

	"sluice/internal/server"
)

// TestDescriptions holds every operation to being described, and every description to being one of an operation.
func TestDescriptions(t *testing.T) {
	var operations []string
	for _, rt := range server.Routes() {
		if d := descriptions[rt.Operation]; d.tag == "" || d.summary == "" || d.description == "" {
			t.Errorf("%s is described by %+v", rt.Operation, d)
		}
		operations = append(operations, rt.Operation)
	}
	slices.Sort(operations)
	if described := slices.Sorted(maps.Keys(descriptions)); !slices.Equal(operations, described) {
		t.Errorf("there are the operations %v and descriptions of %v", operations, described)
	}
}

// TestTablesNameWhatThereIs holds the tables to naming operations, schemas and members that exist.
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
			t.Errorf("limits: there is no member %s", name)
		}
	}
	for _, table := range []map[string]bool{keysOf(schemaDescriptions), keysOf(exampleObjects), keysOf(bases)} {
		for name := range table {
			if doc.Components.Schemas[name] == nil {
				t.Errorf("there is no schema %s", name)
			}
		}
	}
	for _, table := range []map[string]bool{keysOf(exampleBodies), keysOf(ownRefusals), keysOf(mediaTypes)} {
		for name := range table {
			if _, known := operations[name]; !known {
				t.Errorf("there is no operation %s", name)
			}
		}
	}
	for name := range byHand {
		if !operations[name] {
			t.Errorf("%s is described by hand and by its types", name)
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
