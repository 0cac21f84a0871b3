package native

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/api"
)

func pageOf(q api.Page, v *sluice.Invalid) sluice.Page {
	if q.After != "" && q.Before != "" {
		v.Add("ending_before", "invalid", "give starting_after or ending_before, not both")
	}
	return sluice.Page{Limit: q.Limit, After: q.After, Before: q.Before}
}

// bounds are the five parameters that limit a list to a range of values: name for one value, and name[gt], name[gte],
// name[lt] and name[lte].
type bounds struct{ name, eq, gt, gte, lt, lte string }

// rangeOf reads bounds. A text may stand for a span of values, such as all times within a second; parse returns its
// ends. A range includes or excludes a span as a whole.
func rangeOf[T any](
	b bounds, v *sluice.Invalid, want string, parse func(string) (first, last T, ok bool),
) (r sluice.Range[T]) {
	at := func(suffix, text string) (first, last *T) {
		if text == "" {
			return nil, nil
		}
		from, to, ok := parse(text)
		if !ok {
			v.Add(b.name+suffix, "invalid", "%s must be %s", b.name+suffix, want)
		}
		return &from, &to
	}
	r.GTE, r.LTE = at("", b.eq)
	if r.GTE != nil {
		if b.gt+b.gte+b.lt+b.lte != "" {
			v.Add(b.name, "invalid", "give %s or its bounds, not both", b.name)
		}
		return r
	}
	_, r.GT = at("[gt]", b.gt)
	r.GTE, _ = at("[gte]", b.gte)
	r.LT, _ = at("[lt]", b.lt)
	_, r.LTE = at("[lte]", b.lte)
	return r
}

func timeRange(b bounds, v *sluice.Invalid) sluice.TimeRange {
	return rangeOf(b, v, "Unix seconds or an RFC 3339 time, with + as %2B in a URL", moment)
}

func created(q api.Created, v *sluice.Invalid) sluice.TimeRange {
	return timeRange(bounds{"created", q.Created, q.CreatedGT, q.CreatedGTE, q.CreatedLT, q.CreatedLTE}, v)
}

func expires(q api.Expires, v *sluice.Invalid) sluice.TimeRange {
	return timeRange(bounds{"expires_at", q.Expires, q.ExpiresGT, q.ExpiresGTE, q.ExpiresLT, q.ExpiresLTE}, v)
}

func sizes(q api.Size, v *sluice.Invalid) sluice.Range[int64] {
	b := bounds{"size", q.Size, q.SizeGT, q.SizeGTE, q.SizeLT, q.SizeLTE}
	return rangeOf(b, v, "a number of bytes", func(text string) (n, same int64, ok bool) {
		n, err := strconv.ParseInt(text, 10, 64)
		return n, n, err == nil && n >= 0
	})
}

// choice reads a filter that is true, false or absent.
func choice(text string) *bool {
	if text == "" {
		return nil
	}
	chosen := text == "true"
	return &chosen
}

// MaxUnix is the last second of the year 9999, the end of RFC 3339.
const MaxUnix = 253402300799

// moment reads Unix seconds or an RFC 3339 time, and returns its first and last instant. A text without a fraction
// stands for its whole second, like created in an answer.
func moment(text string) (first, last time.Time, ok bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		first = time.Unix(n, 0).UTC()
		return first, first.Add(time.Second - time.Microsecond), n >= 0 && n <= MaxUnix
	}
	first, err := time.Parse(time.RFC3339, strings.ToUpper(text)) // t and z are allowed, too
	if strings.Contains(text, ".") {
		return first, first, err == nil
	}
	return first, first.Add(time.Second - time.Microsecond), err == nil
}

func ids(q api.IDs, v *sluice.Invalid) (ids []string) {
	for _, part := range q.IDs {
		ids = append(ids, strings.Split(part, ",")...)
	}
	if len(ids) > api.MaxIDs {
		v.Add("ids", "too_many", "a request may name at most %d ids", api.MaxIDs)
	}
	return ids
}

// listed is the answer of a list.
type listed[T any] struct {
	Link string
	Body api.List[T]
}

func (l *listed[T]) write(c *call, w http.ResponseWriter, _ *http.Request) {
	if l.Link != "" {
		w.Header().Set("Link", l.Link)
	}
	c.Answer(w, http.StatusOK, "application/json", l.Body)
}

// list answers with one page of a list, and links to the pages beside it.
func list[T, W any](
	c *call, page sluice.Page, l sluice.List[T], id func(T) string, wire func(*call, T) (W, error),
) (*listed[W], error) {
	out := &listed[W]{Body: api.List[W]{Object: "list", Data: []W{}, HasMore: l.More, URL: c.URL.EscapedPath()}}
	for _, item := range l.Data {
		w, err := wire(c, item)
		if err != nil {
			return nil, err
		}
		out.Body.Data = append(out.Body.Data, w)
	}
	if len(l.Data) == 0 {
		return out, nil
	}
	// A client that came from one side may go back there.
	first, last := id(l.Data[0]), id(l.Data[len(l.Data)-1])
	var links []string
	if l.More || page.Before != "" {
		out.Body.NextCursor = &last
		links = append(links, c.pageLink("starting_after", last, "next"))
	}
	if page.After != "" || page.Before != "" && l.More {
		links = append(links, c.pageLink("ending_before", first, "prev"))
	}
	out.Link = strings.Join(links, ", ")
	return out, nil
}

// pageLink is a link (RFC 8288) to the page before or after this one.
func (c *call) pageLink(param, id, rel string) string {
	query := c.URL.Query()
	query.Del("starting_after")
	query.Del("ending_before")
	query.Set(param, id)
	u := url.URL{Path: c.URL.Path, RawPath: c.URL.RawPath, RawQuery: query.Encode()}
	return "<" + c.Service().PublicURL() + u.String() + `>; rel="` + rel + `"`
}
