package httpd

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"sluice"
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
		// Digests that are parsed parse the same when they are written plainly.
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
		p := Promised(map[string][]string{"Content-Digest": {text}}, &v)
		sum, rest := p.SHA256()
		if p == nil && (sum != nil || rest != nil) || rest.Check("file") == nil && rest != nil && len(rest.sums) > 2 {
			t.Fatalf("%q is the promise %v and %v", text, sum, rest)
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
