package httpd

import (
	"strings"
	"testing"
)

func FuzzTags(f *testing.F) {
	for _, seed := range []string{"", "*", `"a"`, `W/"a", "b"`, `"a",,"b" ,`, `"a" "b"`, `"`, `"a,b"`,
		strings.Repeat(`"a",`, 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		tags, ok := ParseTags(list)
		if !ok {
			return
		}
		again, ok := ParseTags(strings.Join(tags, ", "))
		if !ok || len(tags) == 0 || len(tags) > maxTags || strings.Join(again, ",") != strings.Join(tags, ",") {
			t.Fatalf("%q is %q, and then %q", list, tags, again)
		}
	})
}
