package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice"
)

// tally is what a summary counts.
type tally struct {
	opened            int
	first, last       time.Time // of the openings
	proven            int       // openings by people who proved an address
	people            map[string]int
	whole, cut, dark  int // openings whose download was complete, ended early, or has no record of its end
	failed            int
	refused, repeated int64
	missing           int // entries with personal values that are missing
}

func tallyOf(rows []row) tally {
	t := tally{people: map[string]int{}}
	for _, r := range rows {
		e := r.entry
		if len(e.Redacted) > 0 {
			t.missing++
		}
		switch {
		case e.Outcome == sluice.Refused:
			t.refused++
			t.repeated += e.Repeats
		case e.Action == sluice.LinkRedeemed:
			t.open(e)
		}
	}
	return t
}

// open counts a redemption. HEAD and answers without a file, such as 304, open nothing.
func (t *tally) open(e sluice.Entry) {
	d := e.Delivery
	if d == nil || e.Request != nil && e.Request.Method == "HEAD" {
		return
	}
	if d.Status != 200 && d.Status != 206 && d.Status != 303 {
		return
	}
	if d.Returned {
		t.failed++
		return
	}
	if t.opened == 0 {
		t.first = e.Time
	}
	t.opened++
	t.last = e.Time
	switch {
	case d.Sent == nil:
		t.dark++
	case d.Sent.Complete:
		t.whole++
	default:
		t.cut++
	}
	if p := e.Recipient; p != nil && p.Verification != "" {
		t.proven++
		t.people[cmp.Or(p.Email, "an erased address")]++
	}
}

// summary says in sentences what a report has.
func summary(rows []row) []string {
	if len(rows) == 0 {
		return []string{"No entry of the log matches what was asked for."}
	}
	t := tallyOf(rows)
	first, last := rows[0], rows[len(rows)-1]
	lines := []string{fmt.Sprintf("This report has %s of the log, from %s to %s.",
		plural(int64(len(rows)), "entry", "entries"), moment(first.entry.Time), moment(last.entry.Time))}
	lines = append(lines, t.openings()...)
	switch {
	case t.refused == 0:
		lines = append(lines, "Nothing was refused.")
	case t.repeated == 0:
		lines = append(lines, plural(t.refused, "request was", "requests were")+" refused.")
	default:
		lines = append(lines, fmt.Sprintf("%s refused, and %s counted without an entry of its own.",
			plural(t.refused, "request was", "requests were"), plural(t.repeated, "repetition was", "repetitions were")))
	}
	if t.missing > 0 {
		lines = append(lines, fmt.Sprintf("In %s, personal values are missing, because they were erased.",
			plural(int64(t.missing), "entry", "entries")))
	}
	return append(lines, gaps(rows))
}

func (t *tally) openings() (lines []string) {
	if t.opened == 0 {
		lines = append(lines, "No file was opened through a link.")
	} else {
		line := "Files were opened " + plural(int64(t.opened), "time", "times") + " through links"
		switch {
		case t.opened == 1:
			line += ", on " + moment(t.first) + "."
		default:
			line += ", first on " + moment(t.first) + " and last on " + moment(t.last) + "."
		}
		lines = append(lines, line)
		if t.proven == 0 {
			lines = append(lines, "Nobody who opened one had proved an e-mail address.")
		} else {
			lines = append(lines, fmt.Sprintf("%d of %d openings were by people who had proved their e-mail address: %s.",
				t.proven, t.opened, t.who()))
		}
		lines = append(lines, fmt.Sprintf("Downloads: %d complete, %d ended early, %d without a record of the end.",
			t.whole, t.cut, t.dark))
	}
	if t.failed > 0 {
		lines = append(lines, plural(int64(t.failed), "download", "downloads")+" failed in the server and did not count.")
	}
	return lines
}

// who lists people by how often they opened something.
func (t *tally) who() string {
	const most = 20
	names := slices.SortedFunc(maps.Keys(t.people), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.people[b], t.people[a]), strings.Compare(a, b))
	})
	var list []string
	for _, name := range names[:min(most, len(names))] {
		list = append(list, fmt.Sprintf("%s (%d)", name, t.people[name]))
	}
	if n := len(names) - most; n > 0 {
		list = append(list, plural(int64(n), "other", "others"))
	}
	return strings.Join(list, ", ")
}

// gaps states which numbers between the first and the last entry are not in a report.
func gaps(rows []row) string {
	const most = 10
	first, last := rows[0].seq, rows[len(rows)-1].seq
	var missing int64
	var list []string
	for i := 1; i < len(rows); i++ {
		from, to := rows[i-1].seq+1, rows[i].seq-1
		if from > to {
			continue
		}
		missing += to - from + 1
		if len(list) < most {
			span := number(from)
			if to > from {
				span += "–" + number(to)
			}
			list = append(list, span)
		} else if len(list) == most {
			list = append(list, "…")
		}
	}
	if first == last {
		return fmt.Sprintf("The entry has the number %d.", first)
	}
	if missing == 0 {
		return fmt.Sprintf("The entries have the numbers %d to %d of the log, and none of them is missing.", first, last)
	}
	others := "1 entry between them is not in this report, because it does not match what was asked for"
	if missing > 1 {
		others = number(missing) + " entries between them are not in this report, because they do not match what was " +
			"asked for"
	}
	return fmt.Sprintf("The entries have numbers from %d to %d of the log. %s: %s.",
		first, last, others, strings.Join(list, ", "))
}

// plural returns a number with the word for it.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}
