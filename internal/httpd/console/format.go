package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"

	"sluice"
	"sluice/internal/text"
)

// english is the language of the console.
var english = text.For("en", "")

// functions are what templates call, besides the methods of their data.
var functions = template.FuncMap{
	"when": when, "day": day, "ago": ago, "size": english.Size, "number": english.Number, "visible": visible,
	"paragraphs": paragraphs, "count": count, "clip": clip, "lifetime": lifetime,
}

// when is a moment to the minute. Its title has the date in full.
func when(t time.Time) template.HTML { return moment(t, "2 Jan 2006, 15:04") }

// day is the date of a moment.
func day(t time.Time) template.HTML { return moment(t, "2 Jan 2006") }

func moment(t time.Time, layout string) template.HTML {
	if t.IsZero() {
		return ""
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, t.Format(time.RFC3339),
		t.Format("Monday, 2 January 2006, 15:04:05 UTC"), t.Format(layout)))
}

// ago is the distance between two moments in words, such as "in 3 days" or "2 hours ago".
func ago(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case d > 0:
		return "in " + roughly(d)
	case d > -time.Minute:
		return "just now"
	}
	return roughly(-d) + " ago"
}

// roughly is a duration in its largest unit that fits at least twice, or else in the next smaller one.
func roughly(d time.Duration) string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"year", 365 * 24 * time.Hour}, {"month", 30 * 24 * time.Hour}, {"day", 24 * time.Hour}, {"hour", time.Hour}} {
		if d >= 2*u.unit {
			return count(int64(d/u.unit), u.name)
		}
	}
	return count(max(1, int64(d/time.Minute)), "minute")
}

// lifetime is a duration exactly, in the largest unit that divides it.
func lifetime(d time.Duration) string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if d%u.unit == 0 {
			return count(int64(d/u.unit), u.name)
		}
	}
	return count(int64(d/time.Second), "second")
}

// count is a number of things, such as "3 days".
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return english.Number(n) + " " + thing + "s"
}

// visible shows a text of someone else as it is. Characters that would be invisible, end the line or change the order
// of the text around them become their code points, such as [U+202E]: a file name can otherwise look like another.
func visible(s string) string {
	if !strings.ContainsFunc(s, isHidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isHidden(r) {
			fmt.Fprintf(&b, "[U+%04X]", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// paragraphs is visible for a text of several lines.
func paragraphs(s string) string {
	list := strings.Split(s, "\n")
	for i := range list {
		list[i] = visible(strings.TrimSuffix(list[i], "\r"))
	}
	return strings.Join(list, "\n")
}

func isHidden(r rune) bool {
	return r != '\u200c' && r != '\u200d' && // joiners of letters and emoji
		(unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar)
}

// clip shortens a text to some characters.
func clip(most int, s string) string {
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most-1]) + "…"
}

// nameOf is how a file is called: by its name, or by its id where that is all that is known.
func nameOf(f *sluice.FilePart) string {
	if f.Filename == "" {
		return f.ID
	}
	return visible(f.Filename)
}
