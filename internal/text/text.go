// Package text is the catalogue of what people read: pages and mails, in ten languages.
//
// Each language is a file in languages, which maps the name of a text to the text. A text that counts something has one
// form for each plural category of its language (Unicode CLDR), and the argument n selects the form. {name} in a text
// stands for the argument of that name. English is the measure: the other languages have the same texts, with the same
// arguments.
package text

import (
	"embed"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
	"gopkg.in/yaml.v3"
)

//go:embed languages/*.yaml
var files embed.FS

// tags are the languages of the catalogue as BCP 47 tags. The first is for readers of none of them.
var tags = []string{"en", "de", "fr", "es", "it", "nl", "pt", "pl", "ja", "zh"}

// Languages returns the tags (BCP 47) of the languages, English first. The caller may change the slice.
func Languages() []string { return append([]string(nil), tags...) }

// Language is one language of the catalogue. It may be used by many goroutines at once.
type Language struct {
	name  string
	tag   language.Tag
	texts map[string]forms
}

// forms are the forms of a text by plural category. A text that counts nothing has only the form Other.
type forms map[plural.Form]string

// catalogue reads the languages when the first text is needed, since most commands need none.
var catalogue = sync.OnceValue(func() (list []*Language) {
	for _, name := range tags {
		b, err := files.ReadFile("languages/" + name + ".yaml")
		if err != nil {
			panic(err) // it is embedded
		}
		l := &Language{name: name, tag: language.MustParse(name)}
		if err := yaml.Unmarshal(b, &l.texts); err != nil {
			panic(err) // a test reads them all
		}
		list = append(list, l)
	}
	return list
})

// categories are the plural categories of CLDR.
var categories = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many,
	"other": plural.Other,
}

// UnmarshalYAML reads a text, or a mapping from plural categories to the forms of a text.
func (f *forms) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*f = forms{plural.Other: node.Value}
		return nil
	}
	var named map[string]string
	if err := node.Decode(&named); err != nil {
		return err
	}
	*f = forms{}
	for name, form := range named {
		category, ok := categories[name]
		if !ok {
			return fmt.Errorf("line %d: %q is not a plural category", node.Line, name)
		}
		(*f)[category] = form
	}
	return nil
}

// maxAccepted limits the Accept-Language that is read, in bytes. That of a browser is a tenth of it.
const maxAccepted = 1000

var matcher = sync.OnceValue(func() language.Matcher {
	list := make([]language.Tag, len(tags))
	for i, name := range tags {
		list[i] = language.MustParse(name)
	}
	return language.NewMatcher(list)
})

// For returns the language for a reader: the wanted one, or, if that is "" or none of the catalogue, the one that fits
// the Accept-Language of the reader's browser best (RFC 9110 section 12.5.4; RFC 4647). It is English if none does.
func For(wanted, accepted string) *Language {
	for _, l := range catalogue() {
		if l.name == wanted {
			return l
		}
	}
	if len(accepted) > maxAccepted {
		accepted = ""
	}
	asked, _, err := language.ParseAcceptLanguage(accepted)
	if err != nil {
		asked = nil
	}
	_, i, confidence := matcher().Match(asked...)
	if confidence == language.No {
		i = 0
	}
	return catalogue()[i]
}

// Tag is the tag of the language (BCP 47), for the attribute lang.
func (l *Language) Tag() string { return l.name }

// Dir is the direction of the script, for the attribute dir.
func (l *Language) Dir() string { return "ltr" } // of all ten

// Text returns a text of the catalogue. arguments are names and values in turn. A value is a string or an int64, which
// is written in the form of the language. Text panics if the catalogue has no such text.
func (l *Language) Text(name string, arguments ...any) string {
	f, ok := l.texts[name]
	if !ok {
		panic("the catalogue has no text " + name)
	}
	form := f[plural.Other]
	pairs := make([]string, 0, len(arguments))
	for i := 0; i+1 < len(arguments); i += 2 {
		key, value := arguments[i].(string), arguments[i+1]
		n, counts := value.(int64)
		if counts {
			value = l.Number(n)
		}
		if chosen, ok := f[l.category(n)]; ok && counts && key == "n" {
			form = chosen
		}
		pairs = append(pairs, "{"+key+"}", fmt.Sprint(value))
	}
	return strings.NewReplacer(pairs...).Replace(form)
}

// category returns the plural category of n things.
func (l *Language) category(n int64) plural.Form {
	const million = 1_000_000 // the rules of CLDR look at the last six digits, and at whether there are more
	if n > million {
		n = million + n%million
	}
	return plural.Cardinal.MatchPlural(l.tag, int(n), 0, 0, 0, 0)
}

// Number writes n in the form of the language.
func (l *Language) Number(n int64) string {
	return message.NewPrinter(l.tag).Sprint(number.Decimal(n))
}

// Size writes a number of bytes, with one decimal from 1,000 on, in decimal units.
func (l *Language) Size(n int64) string {
	if n < 1000 {
		return l.Text("size_bytes", "n", n)
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"size_kb", "size_mb", "size_gb", "size_tb"} {
		if value /= 1000; value < 999.95 {
			break
		}
	}
	return l.Text(unit, "n", message.NewPrinter(l.tag).Sprint(number.Decimal(value, number.Scale(1))))
}

// Date writes a time to the minute, in UTC and with its name: a page without a script does not know the time zone of
// its reader.
func (l *Language) Date(t time.Time) string {
	t = t.UTC()
	day := l.Number(int64(t.Day()))
	if t.Day() == 1 {
		day = l.Text("first_day")
	}
	return l.Text("date", "day", day, "month", l.Text(fmt.Sprintf("month_%d", t.Month())),
		"year", t.Format("2006"), "time", t.Format("15:04"))
}

// In writes how far away a later time is, in whole minutes, hours or days.
func (l *Language) In(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return l.Text("in_days", "n", int64(d/(24*time.Hour)))
	case d >= 2*time.Hour:
		return l.Text("in_hours", "n", int64(d/time.Hour))
	}
	return l.Text("in_minutes", "n", max(1, int64(d/time.Minute)))
}
