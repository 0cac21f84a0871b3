package httpd

import (
	"strings"
	"testing"

	"sluice/internal/service"
)

func TestIdempotencyKeyForms(t *testing.T) {
	for value, want := range map[string]string{`a`: "a", `"a"`: "a", `"\\\""`: `\"`, `a"b`: `a"b`, `\`: `\`, ` `: " "} {
		if got, ok := idempotencyKey(value); !ok || got != want {
			t.Errorf("%q: %q, %v", value, got, ok)
		}
	}
}

func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"", "a", `"a"`, `"a\"b\\"`, `"`, "\x7f", strings.Repeat("x", 256)} {
		f.Add(seed)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, value string) {
		key, ok := idempotencyKey(value)
		if !ok {
			return
		}
		if key == "" || len(key) > service.MaxOnceKeyLen ||
			strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q is the key %q", value, key)
		}
		if again, ok := idempotencyKey(`"` + quote.Replace(key) + `"`); !ok || again != key {
			t.Fatalf("%q is the key %q, and quoted %q", value, key, again)
		}
	})
}
