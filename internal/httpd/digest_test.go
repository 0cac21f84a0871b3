package httpd

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"sluice"
	"sluice/internal/service"
)

func TestParseDigests(t *testing.T) {
	for text, want := range map[string]string{
		`sha-256=:aGVsbG8=:`:                     "sha-256 hello",
		`sha-256=1, sha-256=:aGVsbG8=:`:          "sha-256 hello",
		`sha-256=:aGVsbG8=:, sha-512=:aA==:`:     "sha-256 hello, sha-512 h",
		`sha-256=:aGVsbG8=:,sha-512=:aA==:`:      "sha-256 hello, sha-512 h",
		"sha-256=:aGVsbG8=: \t,\t md5=:aA==:":    "sha-256 hello, md5 h",
		`sha-256=:aA==:, sha-256=:aGVsbG8=:`:     "sha-256 hello",
		`unixsum=::`:                             "unixsum ",
		`*x.y-z_1=:aA==:;a;b=1;c="x\"";d=tok/en`: "*x.y-z_1 h",
		"":                                       "",
	} {
		digests, ok := parseDigests([]string{text})
		var got []string
		for _, d := range digests {
			got = append(got, d.algorithm+" "+string(d.want))
		}
		if text == "" {
			ok = true
		}
		if !ok || strings.Join(got, ", ") != want {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"sha-256", "sha-256=", "sha-256=aGVsbG8=", `sha-256="aGVsbG8="`, "sha-256=:aGVsbG8=", "sha-256=:aGVsbG8:",
		"sha-256=:a GVsbG8=:", "sha-256=:aGVsbG8=:,", ",sha-256=:aGVsbG8=:", "sha-256=:aGVsbG8=: sha-512=:aA==:",
		"SHA-256=:aGVsbG8=:", "sha-256 =:aGVsbG8=:", "sha-256= :aGVsbG8=:", "sha-256=:aGVs\r\nbG8=:", "sha-256=:_-8=:",
		"1=:aA==:", "=:aA==:", "a=?1", "a=1", "a=(:aA==:)", "a=:aA==:;", "a=:aA==:;B", "a=:aA==:;b=", `a=:aA==:;b="`,
		"a=:aA==:, \t", "a=:aA==:;b=@", "a=:aA==:;b=\x80", strings.Join(many(maxDigests+1), ","),
	} {
		if digests, ok := parseDigests([]string{text}); ok {
			t.Errorf("%q is read as %v", text, digests)
		}
	}
	if digests, ok := parseDigests(many(maxDigests)); !ok || len(digests) != maxDigests {
		t.Errorf("of %d digests, %d are read", maxDigests, len(digests))
	}
}

func many(n int) (list []string) {
	for i := range n {
		list = append(list, "a"+strings.Repeat("x", i)+"=:aA==:")
	}
	return list
}

func FuzzDigests(f *testing.F) {
	for _, seed := range []string{
		"", "sha-256=:aGVsbG8=:", `sha-256=:aGVsbG8=:;a="\"", sha-512=:aA==:`, "a=:aA==:,", ";", "\"", "*=::",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		digests, ok := parseDigests([]string{text})
		if !ok {
			return
		}
		// What is read is read the same when it is written plainly.
		var plain []string
		for _, d := range digests {
			plain = append(plain, d.algorithm+"=:"+base64.StdEncoding.EncodeToString(d.want)+":")
		}
		again, ok := parseDigests(plain)
		if len(digests) > 0 && !ok || len(again) != len(digests) {
			t.Fatalf("%q is %q, and then %v", text, plain, again)
		}
		for i := range again {
			if again[i].algorithm != digests[i].algorithm || !bytes.Equal(again[i].want, digests[i].want) {
				t.Fatalf("%q: %v and then %v", text, digests, again)
			}
		}
		var v sluice.Invalid
		p := promised(map[string][]string{"Content-Digest": {text}}, &v)
		sum, rest := p.sha256()
		if p == nil && (sum != nil || rest != nil) || rest.check("file") == nil && rest != nil && len(rest.sums) > 2 {
			t.Fatalf("%q is the promise %v and %v", text, sum, rest)
		}
	})
}

func TestOnceKeyForms(t *testing.T) {
	for value, want := range map[string]string{`a`: "a", `"a"`: "a", `"\\\""`: `\"`, `a"b`: `a"b`, `\`: `\`, ` `: " "} {
		if got, ok := onceKey(value); !ok || got != want {
			t.Errorf("%q: %q, %v", value, got, ok)
		}
	}
	for _, value := range []string{``, `""`, `"a`, `"a"b`, `"a";b`, `"a", "b"`, `"\a"`, "\"\x7f\"", "\t", `"é"`} {
		if got, ok := onceKey(value); ok {
			t.Errorf("%q is the key %q", value, got)
		}
	}
}

func FuzzOnceKey(f *testing.F) {
	for _, seed := range []string{"", "a", `"a"`, `"a\"b\\"`, `"`, "\x7f", strings.Repeat("x", 256)} {
		f.Add(seed)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	f.Fuzz(func(t *testing.T, value string) {
		key, ok := onceKey(value)
		if !ok {
			return
		}
		if key == "" || len(key) > service.MaxIdempotencyKeyLen || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q is the key %q", value, key)
		}
		if again, ok := onceKey(`"` + quote.Replace(key) + `"`); !ok || again != key {
			t.Fatalf("%q is the key %q, and quoted %q", value, key, again)
		}
	})
}

func FuzzTags(f *testing.F) {
	for _, seed := range []string{"", "*", `"a"`, `W/"a", "b"`, `"a",,"b" ,`, `"a" "b"`, `"`, `"a,b"`, strings.Repeat(`"a",`, 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		tags, ok := parseTags(list)
		if !ok {
			return
		}
		again, ok := parseTags(strings.Join(tags, ", "))
		if !ok || len(tags) == 0 || len(tags) > maxTags || strings.Join(again, ",") != strings.Join(tags, ",") {
			t.Fatalf("%q is %q, and then %q", list, tags, again)
		}
	})
}

// FuzzFields sets fields of an upload that a stranger names.
func FuzzFields(f *testing.F) {
	for _, seed := range [][2]string{
		{"purpose", "generic"}, {"metadata[a]", "1"}, {"metadata", `{"a":"1"}`}, {"metadata", `{"a":null}`}, {"link[metadata][k]", "v"}, {"link[metadata]", "[]"},
		{"link[expires_in_seconds]", "none"}, {"link[expires_at]", "1e3"}, {"link[max_downloads]", "-1"}, {"link[allowed_ips]", "10.0.0.0/8, ::1"},
		{"link[", ""}, {"link[]", ""}, {"link[a][b]", ""}, {"linked_resources", `[{"type":"order","id":"1"}]`}, {"linked_resources", `[null]`}, {"link[password]", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		fields := newFields()
		fields.set(name, value)
		first := fields.invalid.Err()
		if _, err := fields.file(""); first == nil && err == nil {
			for _, known := range []string{"purpose", "title", "filename", "metadata", "linked_resources", "metadata[", "link["} {
				if name == known || strings.HasSuffix(known, "[") && strings.HasPrefix(name, known) && strings.HasSuffix(name, "]") {
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

// FuzzRange reads bounds of a query: what is accepted is in order.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"", "1", "0", "-1", "253402300800", "2026-03-04T05:06:07Z", "2026-03-04T05:06:07.5+01:00", "1.5", "٣", "2026-03-04T05:06:60Z"} {
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

func BenchmarkParseDigests(b *testing.B) {
	field := "sha-256=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := parseDigests([]string{field}); !ok {
			b.Fatal("not read")
		}
	}
}

func BenchmarkIdempotencyKey(b *testing.B) {
	for _, c := range []struct{ name, value string }{{"plain", "01J8Z5Y7Q4"}, {"quoted", `"01J8Z5Y7Q4"`}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := onceKey(c.value); !ok {
					b.Fatal("not read")
				}
			}
		})
	}
}
