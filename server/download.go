package server

import (
	"encoding/base64"
	"errors"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"

	"sluice"
)

// maxRanges is how many ranges of a file one request gets; one that asks for
// more gets all of it, as RFC 9110 section 14.2 allows.
const maxRanges = 8

// protection is what every answer under /l carries: no
// browser shall run, keep, frame or index what a stranger uploaded.
var protection = map[string]string{
	"Content-Security-Policy":      "sandbox; default-src 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Robots-Tag":                 "noindex, nofollow",
	"Cache-Control":                "private, no-store",
}

func protect(h http.Header) {
	for name, value := range protection {
		h.Set(name, value)
	}
}

// redeem turns the token of a link into bytes. The service decides and records
// before the first of them leaves.
func (s *Server) redeem(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	protect(c.header)
	grant, err := s.svc.Redeem(r.Context(), r.PathValue("token"), c.bearer(r))
	s.metrics.redeemed(err)
	if err != nil {
		c.refuse(w, r, err)
		return
	}
	defer grant.Content.Close()
	c.link = grant.Link.ID
	c.deliver(w, r, grant)
}

// bearer is whoever presents a link's URL with r. A password comes in
// X-Link-Password or by Basic authentication (RFC 7617), whose user name says
// nothing.
func (c *call) bearer(r *http.Request) sluice.Bearer {
	password := r.Header.Get("X-Link-Password")
	if password == "" {
		_, password, _ = r.BasicAuth()
	}
	return sluice.Bearer{
		Address: c.server.proxies.client(r), Password: password, Spends: r.Method == http.MethodGet, Request: c.request(r),
	}
}

// deliver sends the file of a grant, or the part of it that was asked for.
func (c *call) deliver(w http.ResponseWriter, r *http.Request, g *sluice.Grant) {
	f := g.File
	describe := map[string]string{
		"Content-Type":        mediaType(f.Type),
		"Content-Disposition": leaving(g),
		"ETag":                `"` + f.SHA256.String() + `"`,
		"Repr-Digest":         "sha-256=:" + base64.StdEncoding.EncodeToString(f.SHA256[:]) + ":",
	}
	for name, value := range describe {
		c.header.Set(name, value)
	}
	d := &delivery{ResponseWriter: w, call: c, rc: http.NewResponseController(w)}
	http.ServeContent(d, withRange(r), "", f.Created, g.Content)

	if d.refused != 0 {
		for name := range describe {
			c.header.Del(name)
		}
		c.header.Del("Last-Modified")
		c.refuse(w, r, refusals[d.refused])
		return
	}
	if length, _ := strconv.ParseInt(c.header.Get("Content-Length"), 10, 64); r.Method == http.MethodGet && c.sent < length && c.status < 300 {
		panic(http.ErrAbortHandler)
	}
}

// refusals are the answers of http.ServeContent that are errors.
var refusals = map[int]error{
	http.StatusPreconditionFailed:           sluice.Errorf(sluice.CodePreconditionFailed, "the file is not the one that was asked for"),
	http.StatusRequestedRangeNotSatisfiable: sluice.Errorf(sluice.CodeRange, "no byte of the file lies in the range"),
	http.StatusInternalServerError:          errors.New("the bytes of the file have no size"),
}

// withRange drops a Range that RFC 9110 lets a server ignore or demands that it
// does: for another method than GET, of another unit than bytes, of too many.
func withRange(r *http.Request) *http.Request {
	unit, set, _ := strings.Cut(r.Header.Get("Range"), "=")
	ranges := strings.Split(set, ",")
	switch {
	case unit == "":
	case r.Method != http.MethodGet, !strings.EqualFold(unit, "bytes"), len(ranges) > maxRanges:
		r.Header.Del("Range")
	default:
		for i, spec := range ranges {
			// The last 0 bytes are no bytes, which http.ServeContent does not
			// know; a range from beyond every end is none either.
			if last, isSuffix := strings.CutPrefix(strings.TrimSpace(spec), "-"); isSuffix && last != "" && strings.Trim(last, "0") == "" {
				ranges[i] = strconv.Itoa(math.MaxInt64) + "-"
			}
		}
		r.Header.Set("Range", "bytes="+strings.Join(ranges, ","))
	}
	return r
}

// mediaType gives a stored type as a header may carry it.
func mediaType(t string) string {
	for i := range len(t) {
		if t[i] < ' ' || t[i] > '~' {
			return "application/octet-stream"
		}
	}
	if t == "" || len(t) > sluice.MaxTypeLen {
		return "application/octet-stream"
	}
	return t
}

// refuse answers a download that is not to be: a browser with a page, anyone
// else with a problem.
func (c *call) refuse(w http.ResponseWriter, r *http.Request, err error) {
	w = c.record(w)
	protect(c.header) // http.ServeContent takes some of it back
	c.header.Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		c.fail(w, r, err)
		return
	}
	p := c.problem(r.Context(), err)
	c.header.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(p.Status)
	_ = refusalPage.Execute(w, p)
}

var refusalPage = template.Must(template.New("refusal").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<p>{{if eq .Status 404}}There is no such link. Check that the whole address was copied.
{{- else if eq .Reason "expired"}}This link has expired.
{{- else if eq .Reason "revoked"}}This link was ended by its owner.
{{- else if eq .Reason "file_deleted"}}The file behind this link was deleted.
{{- else if eq .Reason "exhausted"}}This link has been used as often as it may be.
{{- else if eq .Reason "wrong_password"}}This link needs its password.
{{- else if eq .Reason "address_not_allowed"}}This link may not be used from your address.
{{- else if eq .Status 429}}There were too many wrong passwords. Try again later.
{{- else if eq .Status 410}}This link is no longer good.
{{- else}}The file cannot be sent now. Try again later.{{end}}
{{if or (eq .Status 404) (eq .Status 410) (eq .Reason "address_not_allowed")}}Ask whoever gave you the link for a new one.{{end}}
<p>Request {{.RequestID}}
</html>
`))
