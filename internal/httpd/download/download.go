// Package download answers the URLs of links, under /l: with the bytes of a file, with a page that asks for a password,
// or with a refusal. It calls the gate for every decision.
package download

import (
	"cmp"
	"encoding/base64"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/presentation"
)

// protection holds the headers of every answer under /l. They stop a browser from running, keeping, framing or
// indexing an uploaded file.
var protection = http.Header{
	"Content-Security-Policy":      {"sandbox; default-src 'none'; frame-ancestors 'none'"},
	"X-Content-Type-Options":       {"nosniff"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Referrer-Policy":              {"no-referrer"},
	"X-Robots-Tag":                 {"noindex, nofollow"},
	"Cache-Control":                {"private, no-store"},
}

// playerPolicy goes with audio and video that is shown. The player of the browser requests the address of the page
// again, part by part, with the cookie of the grant. It runs no script either.
var playerPolicy = []string{"sandbox allow-same-origin; default-src 'none'; media-src 'self'; frame-ancestors 'none'"}

func protect(h http.Header) {
	for name, value := range protection {
		h[name] = value
	}
}

// face answers the requests for links.
type face struct {
	gate       *gate.Gate
	metrics    *metrics
	from       string
	publicPath string // of the public URL, "" for none
	secure     bool   // whether the public URL is https
}

// Mount registers the public download with a server. from is the name of the sender on the pages of links; "" shows
// none.
func Mount(s *httpd.Server, links *gate.Gate, from string) {
	f := &face{gate: links, metrics: newMetrics(s.Registry(), links), from: from}
	if public, err := url.Parse(s.Service().PublicURL()); err == nil {
		f.publicPath, f.secure = public.EscapedPath(), public.Scheme == "https"
	}
	for _, rt := range f.routes() {
		s.Handle(rt)
	}
}

// Routes is the table of routes of the public download.
func Routes() []httpd.Route { return (&face{}).routes() }

func (f *face) routes() (list []httpd.Route) {
	for _, rt := range []struct{ method, path, operation string }{
		{"GET", "/l/{token}", "redeem"},
		{"GET", "/l/{token}/{tail...}", "redeemNamed"},
		{"POST", "/l/{token}", "answerLink"},
		{"POST", "/l/{token}/{tail...}", "answerLinkNamed"},
	} {
		list = append(list, httpd.Route{
			Method: rt.method, Path: rt.path, Scope: httpd.Public, Operation: rt.operation,
			Endpoint: httpd.Endpoint{Serve: f.redeem},
		})
	}
	return list
}

// redeem answers the URL of a link with the bytes of its file. The gate decides, and commits the decision, before the
// first byte leaves.
func (f *face) redeem(w http.ResponseWriter, r *http.Request) {
	c := call{httpd.CallOf(r.Context())}
	protect(c.Header)
	b, err := readBearer(w, r)
	b.Address, b.Request = c.Address(r), c.Request(r)
	var grant *gate.Grant
	if err == nil {
		grant, err = f.gate.Redeem(r.Context(), r.PathValue("token"), b)
	}
	f.metrics.redeemed(err)
	switch {
	case err == gate.ErrAsk:
		c.ask(w, http.StatusOK, f.question(grant))
		return
	case sluice.ReasonOf(err) == sluice.WrongPassword && b.Person:
		q := f.question(grant)
		q.Wrong = true
		c.ask(w, http.StatusForbidden, q)
		return
	case err != nil:
		c.refuse(w, r, err)
		return
	}
	c.Link = grant.Link.ID
	if grant.Cookie != "" {
		http.SetCookie(w, f.grantCookie(r.PathValue("token"), grant.Cookie))
	}
	failed := false
	defer func() {
		if failed {
			f.gate.Failed(grant, c.Sent)
		} else {
			f.gate.Delivered(grant, c.Sent)
		}
	}()
	if grant.Location != "" {
		c.Header["Location"] = []string{grant.Location}
		c.Begin(w, grant.Plan.Status)
		return
	}
	if grant.Content != nil {
		defer grant.Content.Close()
	}
	if err := c.deliver(w, r, grant, &failed); err != nil {
		c.refuse(w, r, err)
	}
}

// grantCookieName is the cookie that lets a browser request further parts of a file.
const grantCookieName = "sluice_grant"

// grantCookie is the cookie of one grant. The browser sends it to the address of its link only.
func (f *face) grantCookie(token, secret string) *http.Cookie {
	return &http.Cookie{
		Name: grantCookieName, Value: secret, Path: f.publicPath + "/l/" + token, MaxAge: int(gate.GrantLasts.Seconds()),
		HttpOnly: true, Secure: f.secure, SameSite: http.SameSiteStrictMode,
	}
}

// readBearer reads what a request for a link brings. A password comes in X-Link-Password, in the form of the page that
// asks for it, or by Basic authentication (RFC 7617), whose user name is ignored.
func readBearer(w http.ResponseWriter, r *http.Request) (gate.Bearer, error) {
	b := gate.Bearer{
		Password: r.Header.Get("X-Link-Password"), Person: httpd.IsBrowser(r),
		Answered: r.Method == http.MethodPost, Want: wantOf(r),
	}
	if cookie, err := r.Cookie(grantCookieName); err == nil && len(cookie.Value) <= 64 {
		b.Cookie = cookie.Value
	}
	if b.Answered {
		if err := ownPage(r); err != nil {
			return b, err
		}
		answer, err := readAnswer(w, r)
		if err != nil {
			return b, err
		}
		b.Password = cmp.Or(b.Password, answer.Get("password"))
	}
	if b.Password == "" {
		_, b.Password, _ = r.BasicAuth()
	}
	b.Password = asUTF8(b.Password)
	b.Answered = b.Answered || b.Password != ""
	return b, nil
}

// asUTF8 converts a header from ISO-8859-1, which some clients use, when it is not UTF-8. The password of a link is
// UTF-8, so other bytes cannot be one.
func asUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// SendFile answers a caller who has files:content with a file, or with the part of it that the request selects. An
// error means that nothing was written.
func SendFile(c *httpd.Call, links *gate.Gate, w http.ResponseWriter, r *http.Request, id string) error {
	g, err := links.ReadFile(r.Context(), c.Caller, id, wantOf(r))
	if err != nil {
		return err
	}
	defer g.Content.Close()
	protect(c.Header)
	failed := false
	if err := (call{c}).deliver(w, r, g, &failed); err != nil {
		c.Header.Set("Vary", "Accept")
		return err
	}
	return nil
}

// call is a request for the bytes of a file.
type call struct{ *httpd.Call }

// deliver sends the part of a file that the plan of its grant selects. An error means that nothing was written. When
// the bytes break off, it panics with http.ErrAbortHandler; failed then tells whether the content is the cause.
func (c call) deliver(w http.ResponseWriter, r *http.Request, g *gate.Grant, failed *bool) error {
	f, plan := g.File, g.Plan
	switch plan.Status {
	case http.StatusPreconditionFailed:
		return sluice.Errorf(sluice.CodePreconditionFailed, "the file is not the version that the request is for")
	case http.StatusRequestedRangeNotSatisfiable:
		if plan.Beyond {
			c.Header["Content-Range"] = []string{"bytes */" + strconv.FormatInt(f.Size, 10)}
		}
		return sluice.Errorf(sluice.CodeRange, "the range contains no byte of the file")
	}
	h, values := c.Header, make([]string, 0, 8)
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	disposition := presentation.Disposition(g.Link, f)
	set("Content-Disposition", disposition)
	if played(f) && strings.HasPrefix(disposition, "inline") {
		h["Content-Security-Policy"] = playerPolicy
	}
	set("Etag", fileTag(f))
	set("Repr-Digest", reprDigest(f))
	if plan.Status == http.StatusNotModified {
		c.Begin(w, plan.Status)
		return nil
	}
	set("Last-Modified", gate.Modified(f).Format(http.TimeFormat))
	set("Accept-Ranges", "bytes")
	d := newDelivery(w, r, c.Transfer())
	defer func() { c.Sent, *failed = d.sent, d.failed() }() // also when content panics
	var err error
	if len(plan.Parts) == 1 {
		set("Content-Type", presentation.Type(f))
		set("Content-Length", strconv.FormatInt(plan.Parts[0].Length, 10))
		if plan.Ranged {
			set("Content-Range", contentRange(plan.Parts[0], f.Size))
		}
		c.Begin(w, plan.Status)
		if plan.Bytes > 0 {
			err = d.send(g.Content, plan.Parts[0])
		}
	} else {
		err = c.deliverParts(w, d, g)
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// reprDigest is the Repr-Digest of a file (RFC 9530).
func reprDigest(f sluice.File) string {
	digest := append(make([]byte, 0, 64), "sha-256=:"...)
	digest = base64.StdEncoding.AppendEncode(digest, f.SHA256[:])
	return string(append(digest, ':'))
}

// deliverParts sends several ranges as multipart/byteranges (RFC 9110 section 14.6).
func (c call) deliverParts(w http.ResponseWriter, d *delivery, g *gate.Grant) error {
	heads := make([]textproto.MIMEHeader, len(g.Plan.Parts))
	var frame counter
	measured := multipart.NewWriter(&frame)
	for i, p := range g.Plan.Parts {
		heads[i] = textproto.MIMEHeader{
			"Content-Range": {contentRange(p, g.File.Size)}, "Content-Type": {presentation.Type(g.File)},
		}
		_, _ = measured.CreatePart(heads[i]) // a counter never fails
	}
	_ = measured.Close()
	c.Header["Content-Type"] = []string{"multipart/byteranges; boundary=" + measured.Boundary()}
	c.Header["Content-Length"] = []string{strconv.FormatInt(int64(frame)+g.Plan.Bytes, 10)}
	c.Begin(w, g.Plan.Status)
	out := multipart.NewWriter(w)
	if err := out.SetBoundary(measured.Boundary()); err != nil {
		return err
	}
	for i, p := range g.Plan.Parts {
		if _, err := out.CreatePart(heads[i]); err != nil {
			return err
		}
		if err := d.send(g.Content, p); err != nil {
			return err
		}
	}
	return out.Close()
}

// counter counts what is written to it.
type counter int64

func (n *counter) Write(p []byte) (int, error) {
	*n += counter(len(p))
	return len(p), nil
}

// played reports whether a browser shows a file in a player.
func played(f sluice.File) bool {
	return strings.HasPrefix(f.Type, "audio/") || strings.HasPrefix(f.Type, "video/")
}

// refuse answers a refused download: a browser with a page, every other client with a problem.
func (c call) refuse(w http.ResponseWriter, r *http.Request, err error) {
	w = c.Record(w)
	c.Header.Set("Vary", "Accept")
	if !httpd.IsBrowser(r) {
		c.Fail(w, r, err)
		return
	}
	p := c.Problem(r.Context(), err)
	c.showPage(w, p.Status, refusalPage, p)
}
