package console

import (
	"cmp"
	"fmt"
	"html/template"
	"strings"
	"time"

	"sluice"
	"sluice/internal/sentence"
	"sluice/internal/text"
)

// english is the language of the console. It is read when it is needed first, as the templates are.
func english() *text.Language { return text.For("en", "") }

// size is a number of bytes in words, and number a number with its separators.
func size(n int64) string   { return english().Size(n) }
func number(n int64) string { return english().Number(n) }

// functions are what templates call, besides the methods of their data.
var functions = template.FuncMap{
	"when": when, "day": day, "ago": ago, "size": size, "number": number, "visible": sentence.Visible,
	"paragraphs": paragraphs, "count": sentence.Count, "clip": clip,
	"full": full, "name": fileName, "tail": tail, "lifetime": lifetime,
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
			return sentence.Count(int64(d/u.unit), u.name)
		}
	}
	return sentence.Count(max(1, int64(d/time.Minute)), "minute")
}

// lifetime is a duration exactly, in the largest unit that divides it.
func lifetime(d time.Duration) string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if d%u.unit == 0 {
			return sentence.Count(int64(d/u.unit), u.name)
		}
	}
	return sentence.Count(int64(d/time.Second), "second")
}

// paragraphs is sentence.Visible for a text of several lines.
func paragraphs(s string) string {
	list := strings.Split(s, "\n")
	for i := range list {
		list[i] = sentence.Visible(strings.TrimSuffix(list[i], "\r"))
	}
	return strings.Join(list, "\n")
}

// tail is the end of an id, by which people tell it from others on a page.
func tail(id string) string { return "…" + id[max(0, len(id)-6):] }

// fileName is how a file is called: by its name or, if that was erased, by its id.
func fileName(f sluice.File) string { return sentence.Visible(cmp.Or(f.Filename, f.ID)) }

// clip shortens a text to some characters.
func clip(most int, s string) string {
	runes := []rune(s)
	if len(runes) <= most {
		return s
	}
	return string(runes[:most-1]) + "…"
}
