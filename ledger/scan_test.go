package ledger

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestIsCanonical(t *testing.T) {
	for _, doc := range []string{
		`{}`, `[]`, `""`, `0`, `-1`, `1.5`, `1e+21`, `1e-7`, `100000000000000000000`, `9007199254740991`, `5e-324`,
		`1.7976931348623157e+308`,
		`true`, `false`, `null`, `[1,"a",{"":[]},[[]]]`, `{"a":1,"b":{"a":2}}`, `"\b\t\n\f\r\"\\\u0000\u001f"`,
		"\"\x7fé€😂\u2028\"",
		`{"\n":1,"\u000b":2}`, `{"\r":1,"1":2}`, "{\"😂\":1,\"\ufb33\":2}", `{"":1,"\u0000":2,"a":3,"a\u0000":4}`,
	} {
		if !IsCanonical([]byte(doc)) {
			t.Errorf("%s was refused", doc)
		}
	}
	for _, doc := range []string{
		``, ` `, ` {}`, `{} `, `{`, `[`, `"`, `"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `[1`,
		`[1,`, `[1,]`, `[,]`, `{"a" :1}`, `{1:2}`, `{"a":}`,
		`{"b":1,"a":2}`, `{"a":1,"a":2}`, `{"\u000b":1,"\n":2}`, "{\"\ufb33\":1,\"😂\":2}", `{"a\u0000":1,"a":2}`,
		`01`, `-`, `-0`, `+1`, `1.0`, `1.`, `.5`, `1e5`, `1E+21`, `1e21`, `1e+021`, `1e400`, `0x10`, `1_0`,
		`9007199254740993`, `NaN`, `tru`, `nulls`, `True`,
		`"\u0041"`, `"\u000A"`, `"\u000a"`, `"\u001F"`, `"\/"`, `"\u00e9"`, `"\ud83d\ude02"`, `"\x"`, `"\u00"`, `"\u"`,
		`"\`, `"\u+00f"`, `"\u0_0b"`,
		"\"\n\"", "\"\x00\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xc3\"", "\xef\xbb\xbf1", `1 2`, `{}{}`,
	} {
		if IsCanonical([]byte(doc)) {
			t.Errorf("%s was accepted", doc)
		}
	}
}

// Deep nesting neither crashes nor changes the result.
func TestDepth(t *testing.T) {
	for _, depth := range []int{maxDepth, maxDepth + 1, MaxLeaf / 2} {
		for _, doc := range []string{
			strings.Repeat("[", depth) + strings.Repeat("]", depth),
			strings.Repeat(`{"":`, min(depth, maxDepth+1)) + "1" + strings.Repeat("}", min(depth, maxDepth+1)),
		} {
			_, err := Canonical([]byte(doc))
			if got := IsCanonical([]byte(doc)); got != (err == nil) || got != (depth <= maxDepth) {
				t.Errorf("%.10s, %d deep: %v, %v", doc, depth, got, err)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	doc := []byte(`{"":{"":1},"a":{"b":"c","é\n":[2]},"m":{"action":"x"},"z":null}`)
	for pointer, want := range map[string]string{
		"": string(doc), "/": `{"":1}`, "//": "1", "/a/b": `"c"`, "/a/é\n": "[2]", "/z": "null", "/m/action": `"x"`,
	} {
		if got, ok := lookup(doc, pointer); !ok || string(got) != want {
			t.Errorf("%q: %s, %v, want %s", pointer, got, ok, want)
		}
	}
	for _, pointer := range []string{"a", "/b", "/a/b/c", "/a/é/0", "/action", "/z/", "/a/", "///"} {
		if got, ok := lookup(doc, pointer); ok {
			t.Errorf("%q: %s", pointer, got)
		}
	}
}

// lookup and encoding/json find the same values in a canonical document.
func FuzzLookup(f *testing.F) {
	f.Add([]byte(`{"a":{"b":"c"}}`), "a", "b")
	f.Add([]byte(`{"~/":{"\n":1}}`), "~/", "\n")
	f.Fuzz(func(t *testing.T, doc []byte, one, two string) {
		escape := strings.NewReplacer("~", "~0", "/", "~1").Replace
		got, ok := lookup(doc, "/"+escape(one)+"/"+escape(two))
		if !IsCanonical(doc) {
			return
		}
		var outer, inner map[string]json.RawMessage
		if json.Unmarshal(doc, &outer) == nil {
			_ = json.Unmarshal(outer[toValidUTF8(one)], &inner)
		}
		want, found := inner[toValidUTF8(two)]
		if ok != found || string(got) != string(want) {
			t.Fatalf("%q of %q in %s: %s, %v, want %s", two, one, doc, got, ok, want)
		}
	})
}

func TestIsCanonicalDoesNotAllocate(t *testing.T) {
	leaf, _ := testLeaf(7)
	if n := testing.AllocsPerRun(100, func() { IsCanonical(leaf) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkIsCanonical(b *testing.B) {
	leaf := redemption(7)
	b.SetBytes(int64(len(leaf)))
	b.ReportAllocs()
	for b.Loop() {
		if !IsCanonical(leaf) {
			b.Fatal("not canonical")
		}
	}
}

func TestAllPlain(t *testing.T) {
	for c := range 256 {
		for at := range 8 {
			word := []byte("abcdefgh")
			word[at] = byte(c)
			want := c < utf8.RuneSelf && plain[c]
			if got := allPlain(binary.LittleEndian.Uint64(word)); got != want {
				t.Errorf("%q: %v", word, got)
			}
		}
	}
	if !allPlain(binary.LittleEndian.Uint64([]byte("sha256:0"))) {
		t.Error("plain text is not reported as plain")
	}
}
