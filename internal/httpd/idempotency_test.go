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
	for _, value := range []string{``, `""`, `"a`, `"a"b`, `"a";b`, `"a", "b"`, `"\a"`, "\"\x7f\"", "\t", `"é"`} {
		if got, ok := idempotencyKey(value); ok {
			t.Errorf("%q is the key %q", value, got)
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
		if key == "" || len(key) > service.MaxIdempotencyKeyLen ||
			strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q is the key %q", value, key)
		}
		if again, ok := idempotencyKey(`"` + quote.Replace(key) + `"`); !ok || again != key {
			t.Fatalf("%q is the key %q, and quoted %q", value, key, again)
		}
	})
}

func BenchmarkIdempotencyKey(b *testing.B) {
	for _, c := range []struct{ name, value string }{{"plain", "01J8Z5Y7Q4"}, {"quoted", `"01J8Z5Y7Q4"`}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := idempotencyKey(c.value); !ok {
					b.Fatal("not read")
				}
			}
		})
	}
}
