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
	"time"
	"unicode/utf8"

	"sluice"
	"sluice/api"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/pages"
	"sluice/internal/presentation"
	"sluice/internal/text"
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
	site       *pages.Site
	from       string
	now        func() time.Time
	publicURL  string
	publicPath string // of the public URL, "" for none
	secure     bool   // whether the public URL is https
	// route and routeNamed note that a call is for the route without and with a tail.
	route, routeNamed func(*httpd.Call)
}

// Mount registers the public download with a server. site makes its pages. from is the name of the sender on the pages
// of links; "" shows none.
func Mount(s *httpd.Server, links *gate.Gate, site *pages.Site, from string) {
	f := &face{gate: links, metrics: newMetrics(s.Registry(), links), site: site, from: from,
		now: s.Service().Now, publicURL: s.Service().PublicURL()}
	if public, err := url.Parse(f.publicURL); err == nil {
		f.publicPath, f.secure = public.EscapedPath(), public.Scheme == "https"
	}
	for _, rt := range f.routes() {
		s.Handle(rt)
	}
	f.route, f.routeNamed = s.Observe("GET", path), s.Observe("GET", pathNamed)
	s.UseResponder(f)
}

// The paths of the URL of a link. What follows the token has no meaning.
const (
	path      = "/l/{token}"
	pathNamed = path + "/{tail...}"
)

// Routes is the table of routes of the public download.
func Routes() []httpd.Route { return (&face{}).routes() }

func (f *face) routes() (list []httpd.Route) {
	for _, rt := range []struct{ method, path, operation string }{
		{"GET", path, "redeem"},
		{"GET", pathNamed, "redeemNamed"},
		{"POST", path, "answerLink"},
		{"POST", pathNamed, "answerLinkNamed"},
	} {
		list = append(list, httpd.Route{
			Method: rt.method, Path: rt.path, Scope: httpd.Public, Operation: rt.operation,
			Endpoint: httpd.Endpoint{Serve: f.redeem},
		})
	}
	return list
}

// decision is what the gate decided about a request.
type decision struct {
	grant *gate.Grant
	err   error
	step  step   // that the person has taken
	code  string // for the browser, of gate.SendCode
}

// redeem answers the URL of a link with the bytes of its file. The gate decides, and commits the decision, before the
// first byte leaves. On the fast path, it has decided already.
func (f *face) redeem(w http.ResponseWriter, r *http.Request) {
	c := call{httpd.CallOf(r.Context())}
	protect(c.Header)
	made, ok := c.TakeDecided().(decision)
	if !ok {
		made = f.decide(c, w, r)
	}
	grant, err := made.grant, made.err
	if made.step != stepDownload && (err == nil || err == gate.ErrAsk) {
		f.metrics.redeemed(gate.ErrAsk)
		f.next(c, w, r, made)
		return
	}
	f.metrics.redeemed(err)
	switch {
	case err == gate.ErrUnnamed:
		c.Header["Location"] = []string{named(r, presentation.Name(grant.Link, grant.File))}
		c.Begin(w, http.StatusSeeOther)
		return
	case f.ask(w, r, made):
		return
	case err != nil:
		f.refuse(c, w, r, grant, err)
		return
	}
	c.Link = grant.Link.ID
	if grant.NewVisit != "" {
		f.setVisit(w, r, grant)
	}
	if grant.Cookie != "" {
		http.SetCookie(w, f.cookie(r.PathValue("token"), grantCookieName, grant.Cookie, gate.GrantLasts))
	}
	failed := false
	defer func() { f.conclude(grant, c.Sent, failed) }()
	if grant.Location != "" {
		c.Header["Location"] = []string{grant.Location}
		c.Begin(w, grant.Plan.Status)
		return
	}
	if err := c.deliver(w, r, grant, &failed); err != nil {
		f.refuse(c, w, r, grant, err)
	}
}

// decide has the gate decide about a request.
func (f *face) decide(c call, w http.ResponseWriter, r *http.Request) (made decision) {
	h := httpd.HeadOf(r)
	b, a, err := readBearer(w, r, &h)
	if err != nil {
		return decision{err: err}
	}
	b.Named = r.PathValue("tail") != ""
	b.Address, b.Request = c.Describe(&h, httpd.NewPeer(r.RemoteAddr))
	token := r.PathValue("token")
	switch made.step = a.step; a.step {
	case stepSend:
		b.Language = text.For("", strings.Join(r.Header.Values("Accept-Language"), ",")).Tag()
		made.grant, made.code, made.err = f.gate.SendCode(r.Context(), token, b, a.email)
	case stepVerify:
		made.grant, made.err = f.gate.ProveCode(r.Context(), token, b, cookieOf(r, challengeCookieName, maxSecret), a.code)
	default:
		made.grant, made.err = f.gate.Redeem(r.Context(), token, b)
	}
	return made
}

// named returns the URL of a link with the name of its file at the end, relative to that of r, which has none.
func named(r *http.Request, name string) string {
	if strings.HasSuffix(r.URL.Path, "/") {
		return url.PathEscape(name)
	}
	return r.PathValue("token") + "/" + url.PathEscape(name)
}

// conclude ends a download: sent bytes of the file were handed to the connection.
func (f *face) conclude(g *gate.Grant, sent int64, failed bool) {
	if g.Content != nil {
		g.Content.Close()
		g.Content = nil // the grant waits for its entry, and the bytes need not
	}
	if failed {
		f.gate.Failed(g, sent)
	} else {
		f.gate.Delivered(g, sent)
	}
}

// The cookies of links.
const (
	grantCookieName     = "sluice_grant"     // lets a browser request further parts of a file
	challengeCookieName = "sluice_challenge" // a code is good only with it
	visitCookieName     = "sluice_visit"     // what the browser has shown at the link
)

// The longest values of cookies that are read.
const (
	maxSecret = 64
	maxVisit  = 2048
)

// cookieOf returns the value of a cookie, or "" if it is longer than limit.
func cookieOf(r *http.Request, name string, limit int) string {
	cookie, err := r.Cookie(name)
	if err != nil || len(cookie.Value) > limit {
		return ""
	}
	return cookie.Value
}

// cookie is a cookie of a link. The browser sends it to the address of that link only, and only from its own pages. A
// lifetime of 0 removes it.
func (f *face) cookie(token, name, value string, lasts time.Duration) *http.Cookie {
	age := int(lasts.Seconds())
	if age <= 0 {
		age = -1
	}
	return &http.Cookie{
		Name: name, Value: value, Path: f.publicPath + "/l/" + token, MaxAge: age,
		HttpOnly: true, Secure: f.secure, SameSite: http.SameSiteStrictMode,
	}
}

// bearerOf reads what every request for a link brings.
func bearerOf(h *httpd.Head) gate.Bearer { return gate.Bearer{Person: h.IsBrowser(), Want: wantOf(h)} }

// readBearer reads what a request for a link brings, whose head is h. A password comes in X-Link-Password, in the form
// of the page that asks for it, or by Basic authentication (RFC 7617), whose user name is ignored.
func readBearer(w http.ResponseWriter, r *http.Request, h *httpd.Head) (b gate.Bearer, a answer, err error) {
	b = bearerOf(h)
	b.Password, b.Answered = r.Header.Get("X-Link-Password"), r.Method == http.MethodPost
	b.Cookie, b.Visit = cookieOf(r, grantCookieName, maxSecret), cookieOf(r, visitCookieName, maxVisit)
	if b.Answered {
		if err := ownPage(r); err != nil {
			return b, a, err
		}
		if a, err = readAnswer(w, r); err != nil {
			return b, a, err
		}
		b.Password, b.Terms, b.Again = cmp.Or(b.Password, a.password), a.terms, a.again
	}
	if b.Password == "" {
		_, b.Password, _ = r.BasicAuth()
	}
	b.Password = asUTF8(b.Password)
	b.Answered = b.Answered || b.Password != ""
	return b, a, nil
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
	h := httpd.HeadOf(r)
	g, err := links.ReadFile(r.Context(), c.Caller, id, wantOf(&h))
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
	about := aboutFile(g.Link, f)
	h, values := c.Header, make([]string, 0, 8)
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	set("Content-Disposition", about.disposition)
	if about.plays {
		h["Content-Security-Policy"] = playerPolicy
	}
	set("Etag", about.tag)
	set("Repr-Digest", about.digest)
	if plan.Status == http.StatusNotModified {
		c.Begin(w, plan.Status)
		return nil
	}
	set("Last-Modified", about.modified)
	set("Accept-Ranges", "bytes")
	d := newDelivery(w, r, c.Transfer())
	defer func() { c.Sent, *failed = d.sent, d.failed() }() // also when content panics
	var err error
	if len(plan.Parts) == 1 {
		set("Content-Type", about.mediaType)
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

// about is what the headers of an answer say about a file.
type about struct {
	disposition, tag, digest, modified, mediaType string
	plays                                         bool // a browser shows the file in a player
}

func aboutFile(l sluice.Link, f sluice.File) about {
	a := about{
		disposition: presentation.Disposition(l, f), tag: fileTag(f), digest: reprDigest(f),
		modified: gate.Modified(f).Format(http.TimeFormat), mediaType: presentation.Type(f),
	}
	a.plays = played(f) && strings.HasPrefix(a.disposition, "inline")
	return a
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

// refuse answers a refused download: a browser with a page, every other client with a problem. The grant is that of the
// link, if the gate returned one.
func (f *face) refuse(c call, w http.ResponseWriter, r *http.Request, g *gate.Grant, err error) {
	c.Header.Set("Vary", "Accept")
	unverified := sluice.ReasonOf(err) == sluice.VerificationRequired
	if !httpd.IsBrowser(r) && !unverified {
		c.Fail(c.Record(w), r, err)
		return
	}
	p := c.Problem(r.Context(), err)
	if unverified {
		c.Header.Set("WWW-Authenticate", challengeScheme)
		p.VerifyURL = f.publicURL + "/l/" + r.PathValue("token")
	}
	if !httpd.IsBrowser(r) {
		c.Answer(c.Record(w), p.Status, api.ProblemType, p)
		return
	}
	language := ""
	if g != nil {
		language = g.Link.Access.Get().Language
	}
	f.site.Refusal(w, r, p.Status, language, pages.Refusal{Reason: sluice.Refusal(p.Reason), RequestID: p.RequestID})
}

// challengeScheme is the WWW-Authenticate of a link that asks for a proved address: RFC 9110 section 15.5.2 demands
// one. No program can answer it by itself.
const challengeScheme = "Verification"
