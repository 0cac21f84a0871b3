package console

import (
	"net/http"
	"net/url"
	"time"

	"sluice"
)

// pageSize is how many objects a list shows at once.
const pageSize = 25

// pageOf reads the cursor of a list from the address, as the API does.
func pageOf(q url.Values) sluice.Page {
	p := sluice.Page{Limit: pageSize, After: q.Get("starting_after"), Before: q.Get("ending_before")}
	if p.After != "" {
		p.Before = ""
	}
	return p
}

// pager has the addresses of the pages beside a page of a list; "" where there is none.
type pager struct{ Newer, Older string }

// pagerOf makes the pager of a list.
func pagerOf[T any](r *http.Request, p sluice.Page, l sluice.List[T], id func(T) string) (pages pager) {
	if len(l.Data) == 0 {
		return pages
	}
	to := func(cursor string, object T) string {
		q := r.URL.Query()
		for _, name := range []string{"starting_after", "ending_before", "did"} {
			q.Del(name)
		}
		q.Set(cursor, id(object))
		return "?" + q.Encode()
	}
	if p.Up() && l.More || p.After != "" {
		pages.Newer = to("ending_before", l.Data[0])
	}
	if !p.Up() && l.More || p.Before != "" {
		pages.Older = to("starting_after", l.Data[len(l.Data)-1])
	}
	return pages
}

// isFiltered reports whether an address has a value for one of some parameters.
func isFiltered(q url.Values, names ...string) bool {
	for _, name := range names {
		if q.Get(name) != "" {
			return true
		}
	}
	return false
}

// days reads a range of days, which are those of UTC, from the parameters from and to.
func days(q url.Values, v *sluice.Invalid) (r sluice.TimeRange) {
	day := func(name string, shift int) *time.Time {
		text := q.Get(name)
		if text == "" {
			return nil
		}
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			v.Add(name, "invalid", "this is not a day such as 2026-11-28")
		}
		t = t.AddDate(0, 0, shift)
		return &t
	}
	r.GTE, r.LT = day("from", 0), day("to", 1)
	return r
}
