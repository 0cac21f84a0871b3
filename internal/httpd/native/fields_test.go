package native

import (
	"strings"
	"testing"

	"sluice"
)

// FuzzFields sets arbitrary fields of an upload.
func FuzzFields(f *testing.F) {
	for _, seed := range [][2]string{
		{"purpose", "generic"}, {"metadata[a]", "1"}, {"metadata", `{"a":"1"}`}, {"metadata", `{"a":null}`},
		{"link[metadata][k]", "v"}, {"link[metadata]", "[]"},
		{"link[expires_in_seconds]", "none"}, {"link[expires_at]", "1e3"}, {"link[max_downloads]", "-1"},
		{"link[allowed_ips]", "10.0.0.0/8, ::1"},
		{"link[", ""}, {"link[]", ""}, {"link[a][b]", ""}, {"linked_resources", `[{"type":"order","id":"1"}]`},
		{"linked_resources", `[null]`}, {"link[password]", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		fields := newFields()
		fields.set(name, value)
		first := fields.invalid.Err()
		if _, err := fields.file(""); first == nil && err == nil {
			for _, known := range []string{"purpose", "title", "filename", "metadata", "linked_resources", "metadata[",
				"link["} {
				if name == known || strings.HasSuffix(known, "[") && strings.HasPrefix(name, known) &&
					strings.HasSuffix(name, "]") {
					return
				}
			}
			t.Fatalf("the field %q is taken", name)
		}
		fields.set(name, value)
		if fields.invalid.Err() == nil {
			t.Fatalf("the field %q is taken twice", name)
		}
	})
}

// FuzzRange parses bounds of a query: accepted bounds are in order.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"", "1", "0", "-1", "253402300800", "2026-03-04T05:06:07Z",
		"2026-03-04T05:06:07.5+01:00", "1.5", "٣", "2026-03-04T05:06:60Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var v sluice.Invalid
		r := timeRange(bounds{name: "created", eq: text}, &v)
		above := timeRange(bounds{name: "created", gt: text}, &v)
		if text == "" || v.Err() != nil {
			return
		}
		if r.GTE.After(*r.LTE) || !above.GT.Equal(*r.LTE) || r.GTE.Year() > 9999 || r.GTE.Location() == nil {
			t.Fatalf("%q is from %v to %v", text, r.GTE, r.LTE)
		}
	})
}
