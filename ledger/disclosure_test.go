package ledger

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestDisclosureLine(t *testing.T) {
	d := Disclosure{Seq: 12, Field: "/request/ip", Salt: Salt{0: 0xAB, 15: 1}, Value: "203.0.113.7"}
	want := `{"field":"/request/ip","salt":"ab000000000000000000000000000001","seq":12,"value":"203.0.113.7"}`
	got, err := AppendDisclosure(nil, d)
	if err != nil || string(got) != want || !IsCanonical(got) {
		t.Errorf("%s, %v", got, err)
	}
	if back, err := ParseDisclosure(got); err != nil || back != d {
		t.Errorf("%+v, %v", back, err)
	}
	for i := range got {
		for bit := range 8 {
			changed := bytes.Clone(got)
			changed[i] ^= 1 << bit
			if back, err := ParseDisclosure(changed); err == nil && back == d {
				t.Errorf("byte %d ^ %#x parses to the same disclosure", i, 1<<bit)
			}
		}
	}
}

func TestDisclosureRefused(t *testing.T) {
	const salt = `"salt":"ab000000000000000000000000000001"`
	for _, line := range []string{
		"", "{}", `{"field":"/a",` + salt + `,"seq":1,"value":"v"} `,
		` {"field":"/a",` + salt + `,"seq":1,"value":"v"}`,
		`{"field":"/a",` + salt + `,"seq":1,"value":"v"`, `{"field":"/a",` + salt + `,"seq":01,"value":"v"}`,
		`{"field":"/a",` + salt + `,"seq":-1,"value":"v"}`,
		`{"field":"/a",` + salt + `,"seq":281474976710656,"value":"v"}`,
		`{"field":"/a",` + salt + `,"seq":,"value":"v"}`, `{"field":"/a",` + salt + `,"seq":1,"value":v}`,
		`{"field":"/a","salt":"AB000000000000000000000000000001","seq":1,"value":"v"}`,
		`{"field":"/a","salt":"ab","seq":1,"value":"v"}`,
		`{"field":"/a","salt":"zz000000000000000000000000000001","seq":1,"value":"v"}`,
		`{"field":"/a",` + salt + `,"seq":1,"value":"\u0041"}`,
		`{` + salt + `,"field":"/a","seq":1,"value":"v"}`, `{"field":"/a",` + salt + `,"seq":1,"value":"v","x":1}`,
		"{\"field\":\"/a\"," + salt + ",\"seq\":1,\"value\":\"\xff\"}",
	} {
		if d, err := ParseDisclosure([]byte(line)); !errors.Is(err, ErrDisclosure) {
			t.Errorf("%s: %+v, %v", line, d, err)
		}
	}
	long := []byte(`{"field":"/a",` + salt + `,"seq":1,"value":"` + strings.Repeat("v", MaxDisclosure) + `"}`)
	if _, err := ParseDisclosure(long); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
	for _, d := range []Disclosure{
		{Seq: -1}, {Seq: MaxSize + 1}, {Field: "\xff"}, {Value: "\xff"}, {Value: strings.Repeat("v", MaxDisclosure)},
	} {
		if got, err := AppendDisclosure([]byte("x"), d); err == nil || string(got) != "x" {
			t.Errorf("%.50q: %.50q, %v", d.Value, got, err)
		}
	}
}

func TestOpens(t *testing.T) {
	salt := Salt{1}
	leaf := []byte(
		`{"a":{"b/c":"` + Commit(
			salt, []byte("v"),
		) + `","d~":"` + Commit(
			salt, []byte("w"),
		) + `"},"e":"` + Commit(
			salt, nil,
		) + `"}`,
	)
	if !IsCanonical(leaf) {
		t.Fatal("the leaf is not canonical")
	}
	for _, test := range []struct {
		d    Disclosure
		want bool
	}{
		{Disclosure{0, "/a/b~1c", salt, "v"}, true},
		{Disclosure{0, "/a/d~0", salt, "w"}, true},
		{Disclosure{0, "/e", salt, ""}, true},
		{Disclosure{0, "/a/b/c", salt, "v"}, false},
		{Disclosure{0, "a/b~1c", salt, "v"}, false},
		{Disclosure{0, "/a/b~1c/", salt, "v"}, false},
		{Disclosure{0, "/a", salt, "v"}, false},
		{Disclosure{0, "", salt, "v"}, false},
		{Disclosure{0, "/a/b~1c", Salt{2}, "v"}, false},
		{Disclosure{0, "/a/b~1c", salt, "V"}, false},
	} {
		if got := test.d.Opens(leaf); got != test.want {
			t.Errorf("%+v: %v", test.d, got)
		}
	}
}

func FuzzParseDisclosure(f *testing.F) {
	f.Add([]byte(`{"field":"/request/ip","salt":"ab000000000000000000000000000001","seq":12,"value":"203.0.113.7\n"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		d, err := ParseDisclosure(line)
		if err != nil {
			return
		}
		back, err := AppendDisclosure(nil, d)
		if err != nil || !bytes.Equal(back, line) || len(line) <= MaxLeaf && !IsCanonical(line) {
			t.Fatalf("%q parses to %+v, which is written as %q, %v", line, d, back, err)
		}
	})
}

func BenchmarkParseDisclosure(b *testing.B) {
	line := []byte(`{"field":"/request/ip","salt":"ab000000000000000000000000000001","seq":12,"value":"203.0.113.7"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDisclosure(line); err != nil {
			b.Fatal(err)
		}
	}
}
