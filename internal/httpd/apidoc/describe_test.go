package apidoc

import (
	"maps"
	"slices"
	"testing"

	"sluice/internal/httpd"
)

// TestDescriptions holds every operation to being described, and every description to being one of an operation.
func TestDescriptions(t *testing.T) {
	var operations []string
	for _, rt := range httpd.Routes() {
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
