package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// canonicalOf returns the canonical form of a Go value by the reference implementation.
func canonicalOf(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jcs.Transform(raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAppendStringForms(t *testing.T) {
	for in, want := range map[string]string{
		"":                     `""`,
		"plain":                `"plain"`,
		"\b\t\n\f\r":           `"\b\t\n\f\r"`,
		"\x00\x0b\x1f\x7f":     "\"\\u0000\\u000b\\u001f\x7f\"",
		`"\/`:                  `"\"\\/"`,
		"<&>\u2028\u2029é€😂":   "\"<&>\u2028\u2029é€😂\"",
		"a\xffb\xc3":           "\"a\uFFFDb\uFFFD\"",
		"\xed\xa0\x80":         "\"\uFFFD\uFFFD\uFFFD\"",
		"\uFFFD":               "\"\uFFFD\"",
		"ends in escape\n":     `"ends in escape\n"`,
		"\xf0\x9f\x98 cut off": "\"\uFFFD\uFFFD\uFFFD cut off\"",
	} {
		if got := string(AppendString([]byte("x"), in)); got != "x"+want {
			t.Errorf("AppendString(%q) = %s, want x%s", in, got, want)
		}
	}
}

// The order of RFC 8785, section 3.2.3, with its own example.
// Every ASCII character is found wherever it stands among eight bytes that are read at once.
func TestAppendStringPositions(t *testing.T) {
	for c := range byte(utf8.RuneSelf) {
		for before := range 10 {
			in := strings.Repeat("!", before) + string(rune(c)) + strings.Repeat("~", 9-before)
			if got, want := string(AppendString(nil, in)), canonicalOf(t, in); got != want {
				t.Fatalf("AppendString(%q) = %s, want %s", in, got, want)
			}
		}
	}
}

func TestAppendStringMapOrder(t *testing.T) {
	m := map[string]string{
		"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
		"\U0001F600": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis",
	}
	want := `{"\r":"Carriage Return","1":"One","` + "\u0080" + `":"Control","ö":"Latin Small Letter O With Diaeresis",` +
		`"€":"Euro Sign","😀":"Emoji: Grinning Face","` + "\ufb33" + `":"Hebrew Letter Dalet With Dagesh"}`
	if got := string(AppendStringMap(nil, m)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(AppendStringMap(nil, nil)); got != "{}" {
		t.Errorf("nil map: %s", got)
	}
}

func TestAppendStringMapKeepsOneOfEqualKeys(t *testing.T) {
	m := map[string]string{"k\xff": "second", "k\xfe": "first", "k": "short", "k\uFFFDz": "long"}
	want := "{\"k\":\"short\",\"k\uFFFD\":\"first\",\"k\uFFFDz\":\"long\"}"
	got := AppendStringMap(nil, m)
	if string(got) != want || !IsCanonical(got) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAppendStringMapLarge(t *testing.T) {
	m := map[string]string{}
	for i := range 100 {
		m[fmt.Sprint(i)] = strings.Repeat("v", i)
	}
	if got, want := string(AppendStringMap(nil, m)), canonicalOf(t, m); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCanonical(t *testing.T) {
	got, err := Canonical([]byte(` { "b" : [ 1.50, 1e20, -0, null ], "a" : "\u00e9\/" } `))
	if want := `{"a":"é/","b":[1.5,100000000000000000000,0,null]}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for _, bad := range []string{"", "{", `{"a":1,"a":2}`, `"\ud800"`, "\"\xff\"", "1e999", "01", "[1,]", "1 2", "\xef\xbb\xbf1"} {
		if got, err := Canonical([]byte(bad)); err == nil {
			t.Errorf("Canonical(%q) = %s, want an error", bad, got)
		}
	}
}

func TestCanonicalBound(t *testing.T) {
	fits := []byte(`"` + strings.Repeat("a", MaxLeaf-2) + `"`)
	if !IsCanonical(fits) {
		t.Error("a document of MaxLeaf bytes was refused")
	}
	if over := []byte(`"` + strings.Repeat("a", MaxLeaf-1) + `"`); IsCanonical(over) {
		t.Error("a document of MaxLeaf+1 bytes was accepted")
	}
	grows := []byte("[" + strings.Repeat("1e20,", MaxLeaf/10) + "1]")
	for _, big := range [][]byte{append(fits, ' '), grows} {
		if _, err := Canonical(big); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v, want ErrTooLarge", len(big), err)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a\"\\\x00\x1f\x7f", "é€😂\u2028", "\xff\xed\xa0\x80", "<&>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := string(AppendString(nil, s))
		if want := canonicalOf(t, s); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		var back string
		if err := json.Unmarshal([]byte(got), &back); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(s) && back != s {
			t.Fatalf("%q was decoded as %q", s, back)
		}
	})
}

func FuzzAppendStringMap(f *testing.F) {
	f.Add("a", "1", "b", "2", "\U0001F600", "3", "\ufb33", "4")
	f.Add("é", "", "\xff", "x", "\xfe", "y", "", "\n")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2, k3, v3, k4, v4 string) {
		m := map[string]string{k1: v1, k2: v2, k3: v3, k4: v4}
		got := AppendStringMap(nil, m)
		if len(got) <= MaxLeaf && !IsCanonical(got) {
			t.Fatalf("not canonical: %s", got)
		}
		for k := range m {
			if !utf8.ValidString(k) {
				return // the key may equal another, which jcs refuses
			}
		}
		if want := canonicalOf(t, m); string(got) != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[true,null,"x"]}`, `"\ud83d\ude02"`, "1E+3", "-0.0", `{"":{}}`, "[]", "5e-324"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := Canonical(data)
		if err != nil {
			return
		}
		var a, b any
		if json.Unmarshal(data, &a) != nil || json.Unmarshal(out, &b) != nil {
			t.Fatalf("encoding/json refused %q or %q", data, out)
		}
		again, err := Canonical(out)
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("%q is not its own canonical form: %q, %v", out, again, err)
		}
		if !IsCanonical(out) || IsCanonical(data) != bytes.Equal(data, out) {
			t.Fatalf("IsCanonical disagrees on %q", data)
		}
	})
}

// BenchmarkEncodeEntry encodes an entry of a redemption like the hot path.
func BenchmarkEncodeEntry(b *testing.B) {
	metadata := map[string]string{"invoice": "INV-2026-0042", "customer": "Überfluss GmbH", "region": "eu"}
	agent := "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36"
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		dst := append(buf, `{"account":`...)
		dst = AppendString(dst, "acct_01JD8Q5W0000000000000000AA")
		dst = append(dst, `,"action":"link.redeemed","id":`...)
		dst = AppendString(dst, "aud_01JD8Q5W0000000000000000BB")
		dst = append(dst, `,"link":{"metadata":`...)
		dst = AppendStringMap(dst, metadata)
		dst = append(dst, `},"request":{"ip":"`...)
		dst = AppendCommitment(dst, Salt{1}, "203.0.113.7")
		dst = append(dst, `","user_agent":"`...)
		dst = AppendCommitment(dst, Salt{2}, agent)
		buf = append(dst, `"}}`...)[:0]
	}
}

func BenchmarkAppendString(b *testing.B) {
	s := strings.Repeat("quarterly report, final.pdf ", 4)
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendString(buf[:0], s)
	}
}

func BenchmarkAppendStringMap(b *testing.B) {
	m := map[string]string{
		"invoice":  "INV-2026-0042",
		"customer": "Überfluss GmbH",
		"region":   "eu",
		"sent-by":  "billing",
	}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendStringMap(buf[:0], m)
	}
}
