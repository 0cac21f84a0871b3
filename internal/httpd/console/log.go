package console

import (
	"context"
	"html/template"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/email"
	"sluice/internal/sentence"
	"sluice/internal/service"
)

func (s *site) mountLog(export, report http.HandlerFunc) {
	s.page("GET /log", sluice.AuditRead, (*visit).listLog)
	s.page("GET /log/{id}", sluice.AuditRead, (*visit).showEntry)
	s.page("GET /log/{id}/evidence.json", sluice.AuditRead, (*visit).showEvidence)
	s.page("GET /log/{id}/leaf.json", sluice.AuditRead, (*visit).sendLeaf)
	s.page("GET /log/{id}/proof.txt", sluice.AuditRead, (*visit).sendProof)
	// These record what they answer with, so they are no GET.
	s.page("POST /log/export", sluice.AuditRead, func(v *visit) error { return v.document(v.exportName(), export) })
	s.page("POST /log/report", sluice.AuditRead, func(v *visit) error { return v.document("report.html", report) })
}

// logParams are the parameters that filter entries: those of the API, and from and to, which are days.
var logParams = []string{
	"q", "action", "outcome", "recipient", "client_ip", "file_id", "link_id", "key_id", "person_id", "request_id", "ids",
	"from", "to", "created", "created[gt]", "created[gte]", "created[lt]", "created[lte]",
}

// line is an entry in a list.
type line struct {
	Parts []linked
	Facts []sentence.Fact
	Tone  sentence.Tone
	Time  time.Time
	Seq   int64
	Path  string // of the page of the entry
}

// linked is a part of a sentence, with the address of the page of what it names; "" if there is none for the person.
type linked struct {
	sentence.Part
	Path string
}

// lineOf puts an entry into a list.
func (v *visit) lineOf(e sluice.Entry) line {
	s := sentence.Of(e)
	l := line{Facts: s.Facts, Tone: s.Tone, Time: e.Time, Seq: e.Seq, Path: v.path("/log/" + e.ID)}
	for _, p := range s.Parts {
		l.Parts = append(l.Parts, linked{p, v.pathOf(p)})
	}
	return l
}

// places are the pages of what a part of a sentence names, and the scopes that they need.
var places = map[sentence.Kind]struct {
	path  string
	scope sluice.Scope
}{
	sentence.File: {"/files/", sluice.FilesRead}, sentence.Link: {"/links/", sluice.LinksRead},
	sentence.Key: {"/keys/", sluice.KeysAdmin}, sentence.Actor: {"/keys/", sluice.KeysAdmin},
	sentence.Entry: {"/log/", sluice.AuditRead},
}

func (v *visit) pathOf(p sentence.Part) string {
	place, ok := places[p.Kind]
	if !ok || p.ID == "" || !v.caller.Grants(place.scope) {
		return ""
	}
	return v.path(place.path + url.PathEscape(p.ID))
}

// logList is the page with the list of entries.
type logList struct {
	Form     *fields
	Lines    []line
	Pages    pager
	Actions  []sluice.Action
	Filtered bool
	Open     bool         // whether the filters that are shown on demand are used
	Query    template.URL // the filter as the API takes it
	Now      time.Time
}

func (v *visit) listLog() error {
	q := v.r.URL.Query()
	if text := strings.TrimSpace(q.Get("q")); text != "" {
		return v.findInLog(text)
	}
	p := logList{
		Form: newFields(q, logParams...), Actions: sluice.AllActions(), Filtered: isFiltered(q, logParams...),
		Open: isFiltered(q, logParams[5:11]...), Now: v.svc.Now(),
	}
	slices.Sort(p.Actions)
	var invalid sluice.Invalid
	filter, page := logFilter(q, &invalid), pageOf(q)
	list, err := sluice.List[sluice.Entry]{}, invalid.Err()
	if err == nil {
		list, err = v.searchLog(filter, page)
	}
	if err != nil && !p.Form.fail("The log cannot be shown", err) {
		return err
	}
	for _, e := range list.Data {
		p.Lines = append(p.Lines, v.lineOf(e))
	}
	p.Pages = pagerOf(v.r, page, list, func(e sluice.Entry) string { return e.ID })
	p.Query = template.URL(apiQuery(filter)) // it is encoded already
	return v.render("log", p)
}

// searchLasts is how long a page of the log is searched for. A filter for two frequent things that rarely occur
// together reads all entries that have either.
const searchLasts = 3 * time.Second

func (v *visit) searchLog(filter service.EntryFilter, page sluice.Page) (sluice.List[sluice.Entry], error) {
	ctx, cancel := context.WithTimeout(v.r.Context(), searchLasts)
	defer cancel()
	list, err := v.svc.Entries.List(ctx, v.caller, filter, page)
	if err != nil && ctx.Err() != nil && v.r.Context().Err() == nil {
		err = sluice.Errorf(sluice.CodeValidation, "too many entries match a part of this filter and not all of it: "+
			"choose a shorter time")
	}
	return list, err
}

// searched are the parameters that an id of an object or an address stands for, by how it begins.
var searched = []struct{ prefix, param string }{
	{sluice.PrefixFile, "file_id"}, {sluice.PrefixLink, "link_id"}, {sluice.PrefixKey, "key_id"},
	{sluice.PrefixRequest, "request_id"},
}

// findInLog leads to the entry or the filter that a text stands for: an id, an e-mail address, or an address of a
// network.
func (v *visit) findInLog(text string) error {
	if strings.HasPrefix(text, sluice.PrefixEntry) {
		return v.redirect(v.path("/log/" + url.PathEscape(text)))
	}
	param := "person_id"
	for _, s := range searched {
		if strings.HasPrefix(text, s.prefix) {
			param = s.param
		}
	}
	if _, err := netip.ParseAddr(text); err == nil {
		param = "client_ip"
	} else if strings.Contains(text, "@") {
		param = "recipient"
	}
	q := v.r.URL.Query()
	q.Del("q")
	for _, name := range []string{"starting_after", "ending_before"} {
		q.Del(name)
	}
	for name, values := range q {
		if len(values) == 0 || values[0] == "" {
			q.Del(name)
		}
	}
	q.Set(param, text)
	return v.redirect(v.path("/log?" + q.Encode()))
}

// logFilter reads a filter of the log.
func logFilter(q url.Values, v *sluice.Invalid) service.EntryFilter {
	get := func(name string) string { return strings.TrimSpace(q.Get(name)) }
	f := service.EntryFilter{
		FileID: get("file_id"), LinkID: get("link_id"), KeyID: get("key_id"), PersonID: get("person_id"),
		RequestID: get("request_id"), Action: sluice.Action(get("action")), Created: days(q, v),
	}
	switch outcome := sluice.Outcome(get("outcome")); outcome {
	case "", sluice.Allowed, sluice.Refused:
		f.Outcome = outcome
	default:
		v.Add("outcome", "invalid", "this is allowed or refused")
	}
	if text := get("recipient"); text != "" {
		address, err := email.Canonical(text)
		if err != nil {
			v.Add("recipient", "invalid", "%s", err)
		}
		f.Recipient = address
	}
	if text := get("client_ip"); text != "" {
		address, err := netip.ParseAddr(text)
		if err != nil {
			v.Add("client_ip", "invalid", "this is not an IP address")
		}
		f.ClientIP = address.Unmap().String()
	}
	for _, ids := range q["ids"] {
		f.IDs = append(f.IDs, strings.Split(ids, ",")...)
	}
	if len(f.IDs) > maxIDs {
		v.Add("ids", "too_many", "at most %d ids can be asked for", maxIDs)
	}
	moments(q, v, &f.Created)
	return f
}

// maxIDs is the largest number of ids in a filter, as for the API.
const maxIDs = 100

// moments reads the range of times of the API, in Unix seconds or RFC 3339.
func moments(q url.Values, v *sluice.Invalid, r *sluice.TimeRange) {
	read := func(name string, until time.Duration) *time.Time {
		text := q.Get(name)
		if text == "" {
			return nil
		}
		t, err := time.Parse(time.RFC3339, text)
		if n, number := strconv.ParseInt(text, 10, 64); number == nil && n >= 0 && n <= lastSecond {
			t, err = time.Unix(n, 0).UTC(), nil
		}
		if err != nil {
			v.Add("from", "invalid", "%s is Unix seconds or an RFC 3339 time", name)
		}
		if !strings.Contains(text, ".") {
			t = t.Add(until) // a text without a fraction stands for its whole second
		}
		return &t
	}
	const rest = time.Second - time.Microsecond
	set := func(bound **time.Time, t *time.Time) {
		if t != nil {
			*bound = t
		}
	}
	set(&r.GTE, read("created", 0))
	set(&r.LTE, read("created", rest))
	set(&r.GT, read("created[gt]", rest))
	set(&r.GTE, read("created[gte]", 0))
	set(&r.LT, read("created[lt]", 0))
	set(&r.LTE, read("created[lte]", rest))
}

const lastSecond = 253402300799 // of the year 9999, the end of RFC 3339

// apiQuery is a filter as the query of the API.
func apiQuery(f service.EntryFilter) string {
	q := url.Values{}
	for name, value := range f.Asked() {
		q.Set(name, value)
	}
	return q.Encode()
}

// document answers with what an operation of the API answers with, as a file of a name, or with a page if it fails. Its
// query is the address of the form.
func (v *visit) document(name string, h http.HandlerFunc) error {
	v.call.Header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	v.call.Failed = func(err error) {
		v.call.Header.Del("Content-Disposition")
		v.fail(err)
	}
	h(v.w, v.r)
	return nil
}

// exportName is the name of the file of an export.
func (v *visit) exportName() string {
	if v.r.URL.Query().Get("format") == "csv" {
		return "audit.csv"
	}
	return "audit.ndjson"
}

// Groups are the actions that a filter offers, by the kind of their objects.
func (p logList) Groups() (groups []actionGroup) {
	named := map[string][]sluice.Action{}
	for _, a := range p.Actions {
		object, _, _ := strings.Cut(string(a), ".")
		named[object] = append(named[object], a)
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		groups = append(groups, actionGroup{name, named[name]})
	}
	return groups
}

// actionGroup are the actions on one kind of objects.
type actionGroup struct {
	Name    string
	Actions []sluice.Action
}
