package text

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/feature/plural"
)

// TestCatalogue compares each language with English: no text is missing, unknown or empty, each has the arguments of
// the English one, and each text that counts has exactly the plural categories of its language.
func TestCatalogue(t *testing.T) {
	english := catalogue()[0]
	for _, l := range catalogue() {
		needed := map[plural.Form]bool{plural.Other: true}
		for n := range int64(1000) {
			needed[l.category(n)] = true
		}
		for name := range english.texts {
			if _, ok := l.texts[name]; !ok {
				t.Errorf("%s: the text %s is missing", l.name, name)
			}
		}
		for name, f := range l.texts {
			of, ok := english.texts[name]
			if !ok {
				t.Errorf("%s: the text %s is not in English", l.name, name)
			}
			if len(of) > 1 && !maps.Equal(categoriesOf(f), needed) {
				t.Errorf("%s: %s has the plural categories %v, want %v", l.name, name, categoriesOf(f), needed)
			}
			for _, form := range f {
				if strings.TrimSpace(form) != form || form == "" {
					t.Errorf("%s: %s is %q", l.name, name, form)
				}
				if got, want := argumentsOf(form), argumentsOf(of[plural.Other]); !slices.Equal(got, want) {
					t.Errorf("%s: %s has the arguments %v, want %v", l.name, name, got, want)
				}
			}
		}
	}
}

func categoriesOf(f forms) map[plural.Form]bool {
	all := map[plural.Form]bool{}
	for category := range f {
		all[category] = true
	}
	return all
}

func argumentsOf(form string) []string {
	return slices.Sorted(slices.Values(regexp.MustCompile(`\{[a-z]*\}`).FindAllString(form, -1)))
}

// TestTextsAreUsed looks for the name of each text, in quotes, in the templates and programs of this module.
func TestTextsAreUsed(t *testing.T) {
	var all strings.Builder
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "node_modules" || d.Name() == "tests" || d.Name() == ".git") {
			return orSkip(err)
		}
		if ext := filepath.Ext(name); (ext == ".go" || ext == ".html") && !strings.HasSuffix(name, "_test.go") {
			b, err := os.ReadFile(name)
			all.Write(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	programs := all.String()
	for name := range catalogue()[0].texts {
		if !strings.Contains(programs, `"`+name+`"`) && !strings.HasPrefix(name, "month_") {
			t.Errorf("the text %s is not used", name)
		}
	}
}

// orSkip skips a folder, unless there is an error.
func orSkip(err error) error {
	if err != nil {
		return err
	}
	return filepath.SkipDir
}

// TestFor chooses a language by what a link says and by what a browser accepts.
func TestFor(t *testing.T) {
	for _, test := range []struct{ wanted, accepted, want string }{
		{"", "", "en"},
		{"", "de-AT,de;q=0.9,en;q=0.8", "de"},
		{"", "pt-PT", "pt"},
		{"", "zh-TW,zh;q=0.9", "zh"},
		{"", "ja", "ja"},
		{"", "fi,nl;q=0.5", "nl"},
		{"", "fi", "en"},
		{"", "en;q=0.1,pl", "pl"},
		{"", "*", "en"},
		{"", "xx;q=,,;;", "en"},
		{"", strings.Repeat("de,", 1000), "en"},
		{"fr", "de", "fr"},
		{"klingon", "de", "de"},
	} {
		if got := For(test.wanted, test.accepted).Tag(); got != test.want {
			t.Errorf("For(%q, %.20q) = %s, want %s", test.wanted, test.accepted, got, test.want)
		}
	}
}

// FuzzFor reads arbitrary Accept-Language fields.
func FuzzFor(f *testing.F) {
	f.Add("de-AT,de;q=0.9,en;q=0.8")
	f.Add("-,;q=1;q==")
	f.Fuzz(func(t *testing.T, accepted string) {
		if got := For("", accepted).Tag(); !slices.Contains(Languages(), got) {
			t.Errorf("%q gave %q", accepted, got)
		}
	})
}

// TestForms writes numbers, sizes, times and plurals in the form of the reader.
func TestForms(t *testing.T) {
	at := time.Date(2026, 3, 1, 14, 5, 6, 0, time.FixedZone("", 3600))
	for tag, want := range map[string][]string{
		"en": {"1 byte", "2 bytes", "1.6 MB", "1 March 2026, 13:05 UTC", "in 1 minute", "in 3 days", "12,345 left"},
		"de": {"1 Byte", "2 Byte", "1,6 MB", "1. März 2026, 13:05 Uhr (UTC)", "in 1 Minute", "in 3 Tagen", "noch 12.345"},
		"fr": {"1 octet", "2 octets", "1,6 Mo", "1er mars 2026 à 13:05 UTC", "dans 1 minute", "dans 3 jours",
			"12\u00a0345 restants"},
		"pl": {"1 bajt", "2 bajty", "1,6 MB", "1 marca 2026, 13:05 UTC", "za 1 minutę", "za 3 dni",
			"pozostało 12\u00a0345"},
		"ja": {"1 バイト", "2 バイト", "1.6 MB", "2026年3月1日 13:05（UTC）", "1分後", "3日後", "残り12,345回"},
		"pt": {"1 byte", "2 bytes", "1,6 MB", "1º de março de 2026, 13:05 UTC", "em 1 minuto", "em 3 dias",
			"restam 12.345"},
	} {
		l := For(tag, "")
		got := []string{l.Size(1), l.Size(2), l.Size(1_600_000), l.Date(at), l.In(59 * time.Second),
			l.In(80 * time.Hour), l.Text("downloads_left", "n", int64(12_345))}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", tag, got, want)
		}
	}
	if got := For("pl", "").Text("downloads_left", "n", int64(23)); got != "pozostały 23" {
		t.Errorf("few in Polish: %q", got)
	}
	if got := For("en", "").Size(999_950_000_000_000_0); got != "9,999.5 TB" {
		t.Errorf("a large size: %q", got)
	}
	// What an argument says is no argument.
	if got := For("en", "").Text("message_from", "name", "{name}{n}"); got != "Message from {name}{n}" {
		t.Errorf("%q", got)
	}
}
