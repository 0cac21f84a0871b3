package compat

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice"
)

func TestObject(t *testing.T) {
	v := &sluice.Invalid{}
	o, err := parseObject(
		[]byte(` {"a":"ü\u00fc","n":null,"m":{"x":"1","y":2.50,"z":true},"o":[1],"b":{"k":null,"l":[]},"u":1} `),
		v,
	)
	if err != nil {
		t.Fatal(err)
	}
	if a, given := o.Text("a", "string"); a != "üü" || !given {
		t.Errorf("a is %q, %v", a, given)
	}
	if none, given := o.Text("none", "string"); none != "" || given || o.Has("none") {
		t.Errorf("a missing member is %q, %v", none, given)
	}
	if n, given := o.Text("n", "date"); n != "" || given || !o.Has("n") {
		t.Errorf("null is %q, %v", n, given)
	}
	if diff := cmp.Diff(map[string]string{"x": "1", "y": "2.50", "z": "true"}, o.Pairs("m")); diff != "" {
		t.Error(diff)
	}
	o.Pairs("o")
	o.Pairs("b")
	if got := o.Pairs("none"); got != nil {
		t.Errorf("%v", got)
	}
	want := []string{"b.k type:string:null", "b.l type:string:array", "n type:date:null", "o type:object:array"}
	if got := failures(v); !slices.Equal(got, want) {
		t.Errorf("failures %q, want %q", got, want)
	}
	if got := o.Unknown(); !slices.Equal(got, []string{"u"}) {
		t.Errorf("unknown are %q", got)
	}
	if want, got, ok := IsMistyped("type:date:null"); want != "date" || got != "null" || !ok {
		t.Errorf("%q %q %v", want, got, ok)
	}
	if _, _, ok := IsMistyped("invalid"); ok {
		t.Error("IsMistyped accepts another code")
	}
}

func TestMalformedObject(t *testing.T) {
	for body, want := range map[string]sluice.Code{
		"": "", "{}": "", "null": sluice.CodeValidation, "[]": sluice.CodeValidation, "{": sluice.CodeValidation,
		`{} {}`: sluice.CodeValidation,
		`"a"`:   sluice.CodeValidation, "{'a':1}": sluice.CodeValidation,
		strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000): sluice.CodeValidation,
	} {
		if _, err := parseObject([]byte(body), &sluice.Invalid{}); sluice.CodeOf(err) != want {
			t.Errorf("%.20s: %v, want %q", body, err, want)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	for short, want := range map[string]string{"pdf": "application/pdf", "PNG": "image/png", "txt": "text/plain; charset=utf-8", "csv": "text/csv", "nosuch": "nosuch"} {
		got := MediaTypes(short)
		if !slices.Contains(got, want) {
			t.Errorf("%s: %q lacks %s", short, got, want)
		}
		for _, one := range got {
			if s := ShortType(sluice.File{Type: one}); short != "nosuch" && s != strings.ToLower(short) {
				t.Errorf("%s: %s is of short type %q", short, one, s)
			}
		}
	}
}

// JSON that parsers interpret differently is refused.
func TestAmbiguousObject(t *testing.T) {
	v := &sluice.Invalid{}
	if _, err := parseObject([]byte(`{"a":"1","a":"2","m":{"k":"x","k":"y"},"s":"\ud800","n":1.0}`), v); err != nil {
		t.Fatal(err)
	}
	if got, want := failures(v), []string{"a invalid", "m.k invalid", "s invalid"}; !slices.Equal(got, want) {
		t.Errorf("failures %q, want %q", got, want)
	}
}
