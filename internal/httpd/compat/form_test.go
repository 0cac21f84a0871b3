package compat

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"sluice"
)

func parse(text string) (*Form, *sluice.Invalid) {
	v := &sluice.Invalid{}
	return ParseForm(text, v), v
}

// failures returns "param code" of each failure.
func failures(v *sluice.Invalid) (list []string) {
	var e *sluice.Error
	if err := v.Err(); err != nil {
		e = err.(*sluice.Error)
		for _, f := range e.Fields {
			list = append(list, f.Param+" "+f.Code)
		}
	}
	slices.Sort(list)
	return list
}

func TestForm(t *testing.T) {
	f, v := parse("a=1&b[]=x&b[]=y&c[1]=two&c[0]=one&d[k]=v&d[k.2]=v+2&e[m][n]=%C3%BC&g=&&h=1&h=2&i[j]=1")
	a, given := f.Text("a")
	if a != "1" || !given {
		t.Errorf("a is %q, %v", a, given)
	}
	for name, want := range map[string][]string{"b": {"x", "y"}, "c": {"one", "two"}, "h": {"1", "2"}, "none": nil} {
		if got := f.Texts(name); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	d, _ := f.Map("d")
	if diff := cmp.Diff(map[string]string{"k": "v", "k.2": "v 2"}, d); diff != "" {
		t.Error(diff)
	}
	m, _ := f.Members("e").Map("m")
	if m["n"] != "ü" {
		t.Errorf("e[m] is %v", m)
	}
	if empty, given := f.Map("g"); len(empty) != 0 || !given {
		t.Errorf("g is %v, %v", empty, given)
	}
	if _, given := f.Map("none"); given {
		t.Error("a missing member is reported as given")
	}
	if got := failures(v); got != nil {
		t.Errorf("got failures %q", got)
	}
	if got := f.Unknown(); !slices.Equal(got, []string{"i"}) {
		t.Errorf("unknown are %q", got)
	}
}

func TestUnknownMembers(t *testing.T) {
	f, _ := parse("created[gt]=1&created[near]=2&x[y]=1&a=1")
	f.Members("created").Text("gt")
	if got := f.Unknown(); !slices.Equal(got, []string{"a", "created[near]", "x"}) {
		t.Errorf("unknown are %q", got)
	}
}

// TestMalformedForm reads members as another kind than they are.
func TestMalformedForm(t *testing.T) {
	ask := func(f *Form) {
		f.Text("text")
		f.Texts("list")
		f.Map("map")
		f.Members("inner").Text("a")
	}
	for text, want := range map[string][]string{
		"text=1&text=2":                        {"text invalid"},
		"text[a]=1":                            {"text invalid"},
		"list[a]=1":                            {"list[a] invalid"},
		"list[0][a]=1":                         {"list[0] invalid"},
		"list[-1]=1":                           {"list[-1] invalid"},
		"list[99999999]=1":                     {"list[99999999] invalid"},
		"map=1":                                {"map invalid"},
		"map[a]=1&map[a]=2":                    {"map[a] invalid"},
		"map[a][b]=1":                          {"map[a] invalid"},
		"inner=1":                              {"inner invalid"},
		"[a]=1":                                {"[a] invalid"},
		"a]=1":                                 {"a] invalid"},
		"a[b=1":                                {"a[b invalid"},
		"a[b]c=1":                              {"a[b]c invalid"},
		"a[b]]=1":                              {"a[b]] invalid"},
		"a[[b]]=1":                             {"a[[b]] invalid"},
		"=1":                                   {" invalid"},
		"a[b][c][d][e]=1":                      {"a[b][c][d][e] invalid"},
		"a=%zz":                                {"a invalid"},
		"a=%ff":                                {"a invalid"},
		"a=%00":                                {"a invalid"},
		"%00=a":                                {"? invalid"},
		"%ff=a":                                {"? invalid"},
		"%zz=a":                                {" invalid"},
		"a=" + strings.Repeat("x", maxValue+1): {"a too_long"},
		strings.Repeat("n", maxName+1) + "=1":  {strings.Repeat("n", 64) + " invalid"},
		strings.Repeat("a=1&", maxFields) + "a=1": {" too_many"},
	} {
		f, v := parse(text)
		ask(f)
		if got := failures(v); !slices.Equal(got, want) {
			t.Errorf("%.40s: failures %q, want %q", text, got, want)
		}
	}
}

// The failures of a form always have the same order, because the fingerprint of a
// failed upload includes them.
func TestFailuresInOrder(t *testing.T) {
	read := func() string {
		v := &sluice.Invalid{}
		f := ParseForm(
			"l[x]=1&l[y]=1&l[z]=1&l[a][b]=1&l[c][d]=1&l[7]=1&l[07]=2&m[a]=1&m[a]=2&m[b]=1&m[b]=2&m[c][x]=1&m[d][x]=1&u[1]=1&w=2",
			v,
		)
		list := f.Texts("l")
		f.Map("m")
		for _, name := range f.Unknown() {
			v.Add(name, "unknown", "unknown")
		}
		return fmt.Sprint(v.Err(), list, failures(v))
	}
	first := read()
	for range 100 {
		if again := read(); again != first {
			t.Fatalf("%s\nand then\n%s", first, again)
		}
	}
}

func TestRange(t *testing.T) {
	second := func(text string) (first, last int, ok bool) {
		n, err := strconv.Atoi(text)
		return n, n + 9, err == nil
	}
	p := func(n int) *int { return &n }
	for text, want := range map[string]sluice.Range[int]{
		"":                {},
		"n=10":            {GTE: p(10), LTE: p(19)},
		"n[gt]=10":        {GT: p(19)},
		"n[gte]=10":       {GTE: p(10)},
		"n[lt]=10":        {LT: p(10)},
		"n[lte]=10":       {LTE: p(19)},
		"n[gt]=1&n[lt]=9": {GT: p(10), LT: p(9)},
	} {
		f, v := parse(text)
		if diff := cmp.Diff(want, Range(f, "n", "a number", second)); diff != "" || v.Err() != nil ||
			f.Unknown() != nil {
			t.Errorf("%s: %s %v %v", text, diff, v.Err(), f.Unknown())
		}
	}
	for text, want := range map[string][]string{
		"n=x":            {"n invalid"},
		"n=":             {"n invalid"},
		"n[gt]=x":        {"n[gt] invalid"},
		"n=1&n[gt]=2":    {"n invalid"},
		"n[gt]=1&n[gt]=": {"n[gt] invalid"},
	} {
		f, v := parse(text)
		Range(f, "n", "a number", second)
		if got := failures(v); !slices.Equal(got, want) {
			t.Errorf("%s: failures %q, want %q", text, got, want)
		}
	}
	f, _ := parse("n[near]=1")
	Range(f, "n", "a number", second)
	if got := f.Unknown(); !slices.Equal(got, []string{"n[near]"}) {
		t.Errorf("unknown are %q", got)
	}
}

// TestSpan walks a list of five objects in both orders and both directions.
func TestSpan(t *testing.T) {
	newest := []string{"5", "4", "3", "2", "1"}
	service := func(p sluice.Page) sluice.List[string] {
		data := newest
		switch {
		case p.After != "":
			data = newest[slices.Index(newest, p.After)+1:]
		case p.Before != "":
			data = newest[:slices.Index(newest, p.Before)]
		}
		up := p.Before != "" || p.Last
		if len(data) <= p.Limit {
			return sluice.List[string]{Data: data}
		}
		if up {
			return sluice.List[string]{Data: data[len(data)-p.Limit:], More: true}
		}
		return sluice.List[string]{Data: data[:p.Limit], More: true}
	}
	for _, c := range []struct {
		span          Span
		want          string
		before, after bool
	}{
		{Span{Limit: 2}, "54", false, true},
		{Span{Limit: 2, After: "4"}, "32", true, true},
		{Span{Limit: 2, After: "2"}, "1", true, false},
		{Span{Limit: 2, Before: "1"}, "32", true, true},
		{Span{Limit: 2, Before: "4"}, "5", false, true},
		{Span{Limit: 9}, "54321", false, false},
		{Span{Limit: 2, OldestFirst: true}, "12", false, true},
		{Span{Limit: 2, OldestFirst: true, After: "2"}, "34", true, true},
		{Span{Limit: 2, OldestFirst: true, After: "4"}, "5", true, false},
		{Span{Limit: 2, OldestFirst: true, Before: "5"}, "34", true, true},
		{Span{Limit: 2, OldestFirst: true, Before: "2"}, "1", false, true},
	} {
		got := InOrder(c.span, service(c.span.Page()))
		if strings.Join(got.Data, "") != c.want || got.HasBefore != c.before || got.HasAfter != c.after {
			t.Errorf("%+v: %+v, want %s %v %v", c.span, got, c.want, c.before, c.after)
		}
	}
}

func TestNames(t *testing.T) {
	for param, want := range map[string]string{
		"purpose": "purpose", "metadata": "metadata", "metadata.a": "metadata[a]", "metadata.a.b": "metadata[a.b]",
		"link.metadata.a.b": "link[metadata][a.b]", "linked_resources.0.id": "linked_resources[0][id]", "": "",
	} {
		if got := Bracketed(param); got != want {
			t.Errorf("%s is %s, want %s", param, got, want)
		}
	}
	for _, c := range []struct{ mediaType, filename, want string }{
		{"application/pdf", "a", "pdf"}, {"text/csv; charset=utf-8", "a.CSV", "csv"}, {"image/jpeg", "a.jpeg", "jpg"},
		{"application/octet-stream", "a.PSD", "psd"}, {"application/octet-stream", "a.b c", ""}, {"application/octet-stream", "a", ""},
	} {
		if got := ShortType(sluice.File{Type: c.mediaType, Filename: c.filename}); got != c.want {
			t.Errorf("%v: %s", c, got)
		}
	}
}

// FuzzForm parses arbitrary input: parsing ends and keeps its limits. Names without
// brackets are parsed like by the standard library.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"a=1&b[]=x&c[0]=y&d[k]=v", "a[b][c][d]=1", "a[[]]=1", "%5B%5D=1", "a%5Bb%5D=1", "a[=1&a]=2", "=&=&&", "a=%",
		"+[+]=+", strings.Repeat("[", 99), strings.Repeat("a&", 600),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		form, v := parse(text)
		std, err := url.ParseQuery(text)
		if err != nil || v.Err() != nil {
			return
		}
		if *form.count > maxFields {
			t.Fatalf("the form has %d fields", *form.count)
		}
		for name, values := range std {
			if strings.ContainsAny(name, "[]") {
				continue
			}
			if got := form.texts[name]; !slices.Equal(got, values) {
				t.Fatalf("%q: got %q, url.ParseQuery %q", name, got, values)
			}
		}
		for name := range form.members {
			form.Text(name)
			form.Texts(name)
			form.Map(name)
			Range(form, name, "nothing", func(string) (int, int, bool) { return 0, 0, false })
		}
		if n := len(form.Unknown()); n > maxFields {
			t.Fatal(fmt.Sprint(n))
		}
	})
}

func TestSniffer(t *testing.T) {
	for _, c := range []struct{ content, declared, filename, want string }{
		{"%PDF-1.7", "application/octet-stream", "scan", "application/pdf"},
		{"%PDF-1.7", "", "scan", "application/pdf"},
		{"%PDF-1.7", "text/csv", "scan", "text/csv"},
		{"%PDF-1.7", "application/octet-stream", "a.png", ""},
		{"", "application/octet-stream", "scan", ""},
		{strings.Repeat("a", 5000), "application/octet-stream", "scan", "text/plain; charset=utf-8"},
	} {
		s := &Sniffer{Content: iotest.HalfReader(strings.NewReader(c.content))}
		if got, err := io.ReadAll(s); err != nil || string(got) != c.content {
			t.Fatalf("%q, %v", got, err)
		}
		if got := s.MediaType(c.declared, c.filename); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
