package server

import (
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

func timeRange(q api.Created, v *sluice.Invalid) (t sluice.TimeRange) {
	at := func(param, text string) (first, last *time.Time) {
		if text == "" {
			return nil, nil
		}
		from, to, ok := moment(text)
		if !ok {
			v.Add(param, "invalid", "%s is neither unix seconds nor an RFC 3339 time", param)
		}
		return &from, &to
	}
	t.GTE, t.LTE = at("created", q.Created)
	if t.GTE != nil && (q.CreatedGT != "" || q.CreatedGTE != "" || q.CreatedLT != "" || q.CreatedLTE != "") {
		v.Add("created", "invalid", "give created or bounds of it, not both")
		return t
	}
	_, t.GT = at("created[gt]", q.CreatedGT)
	if q.CreatedGTE != "" {
		t.GTE, _ = at("created[gte]", q.CreatedGTE)
	}
	t.LT, _ = at("created[lt]", q.CreatedLT)
	if q.CreatedLTE != "" {
		_, t.LTE = at("created[lte]", q.CreatedLTE)
	}
	return t
}

// maxUnix is the last second of the year 9999, beyond which RFC 3339 does not reach.
const maxUnix = 253402300799

// moment reads unix seconds or an RFC 3339 time. A text without a fraction
// stands for its whole second, as created does in an answer; first and last
// are the ends of it.
func moment(text string) (first, last time.Time, ok bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		first = time.Unix(n, 0).UTC()
		return first, first.Add(time.Second - time.Microsecond), n >= 0 && n <= maxUnix
	}
	first, err := time.Parse(time.RFC3339, text)
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
		v.Add("ids", "too_many", "at most %d ids fit in one request", api.MaxIDs)
	}
	return ids
}

// listed is the output of a list.
type listed[T any] struct {
	Link string `header:"Link" doc:"rel=next and rel=prev, RFC 8288"`
	Body api.List[T]
}

// list answers with one page of a list, and says where the pages beside it are.
func list[T, W any](c *call, page sluice.Page, l sluice.List[T], id func(T) string, wire func(*call, T) (W, error)) (*listed[W], error) {
	out := &listed[W]{Body: api.List[W]{Object: "list", Data: []W{}, HasMore: l.More, URL: c.url.EscapedPath()}}
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
	// Whoever came from one side may go back there.
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

// pageLink is a link (RFC 8288) to the page beside the one asked for.
func (c *call) pageLink(param, id, rel string) string {
	query := c.url.Query()
	query.Del("starting_after")
	query.Del("ending_before")
	query.Set(param, id)
	u := url.URL{Path: c.url.Path, RawPath: c.url.RawPath, RawQuery: query.Encode()}
	return "<" + c.server.svc.PublicURL() + u.String() + `>; rel="` + rel + `"`
}
