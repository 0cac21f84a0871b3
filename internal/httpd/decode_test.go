package httpd_test

import (
	"slices"
	"testing"

	"sluice"
)

// TestPathsOfFailures checks that each failure names the whole path of its value, also beside keys that look like
// paths.
func TestPathsOfFailures(t *testing.T) {
	c := newClient(t)
	f := c.upload(t, "a.txt", "text/plain", "hello")
	for body, want := range map[string][]string{
		`{"metadata":{"a.b":1,"c":2,"d[e":3,"f":4}}`: {"metadata.a.b", "metadata.c", "metadata.d[e",
			"metadata.f"},
		`{"g.h":0,"filename":1,"title":2}`: {"filename", "g.h", "title"},
		`{"linked_resources":[{"type":1,"id":"x"},7,{"x.y":0}]}`: {"id", "linked_resources[0].type",
			"linked_resources[1]", "linked_resources[2].x.y", "type"},
		`{"linked_resources":[null],"held":"yes","filename":"a\"b"}`: {"held", "linked_resources[0]"},
	} {
		for range 10 { // the order of a map must not matter
			p := c.problem(t, c.ask(t, "PATCH", "/v1/files/"+f.ID, body).want(t, 400), sluice.CodeValidation)
			var got []string
			for _, e := range p.Errors {
				got = append(got, e.Param)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: failures of %q, want %q", body, got, want)
			}
		}
	}
}
