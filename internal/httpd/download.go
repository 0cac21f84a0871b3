package httpd

import (
	"cmp"
	"encoding/base64"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/presentation"
)

// protection is what every answer under /l carries: no
// browser shall run, keep, frame or index what a stranger uploaded.
var protection = http.Header{
	"Content-Security-Policy":      {"sandbox; default-src 'none'; frame-ancestors 'none'"},
	"X-Content-Type-Options":       {"nosniff"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Referrer-Policy":              {"no-referrer"},
	"X-Robots-Tag":                 {"noindex, nofollow"},
	"Cache-Control":                {"private, no-store"},
}

// playerPolicy goes with sound and film that is shown: the player that a
// browser opens for it fetches the address of the page once more, part by part,
// and with the cookie of its grant. It runs no script either.
var playerPolicy = []string{"sandbox allow-same-origin; default-src 'none'; media-src 'self'; frame-ancestors 'none'"}

func protect(h http.Header) {
	for name, value := range protection {
		h[name] = value
	}
}

// redeem turns the token of a link into bytes. The service decides and records
// before the first of them leaves.
func (s *Server) redeem(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	protect(c.header)
	b, err := c.bearer(w, r)
	var grant *gate.Grant
	if err == nil {
		grant, err = s.gate.Redeem(r.Context(), r.PathValue("token"), b)
	}
	s.metrics.redeemed(err)
	switch {
	case err == gate.ErrAsk:
		c.ask(w, http.StatusOK, s.question(grant))
		return
	case sluice.ReasonOf(err) == sluice.WrongPassword && b.Person:
		q := s.question(grant)
		q.Wrong = true
		c.ask(w, http.StatusForbidden, q)
		return
	case err != nil:
		c.refuse(w, r, err)
		return
	}
	c.link = grant.Link.ID
	if grant.Cookie != "" {
		http.SetCookie(w, s.grantCookie(r.PathValue("token"), grant.Cookie))
	}
	defer func() {
		if c.failed {
			s.gate.Failed(grant, c.sent)
		} else {
			s.gate.Delivered(grant, c.sent)
		}
	}()
	if grant.Location != "" {
		c.header["Location"] = []string{grant.Location}
		c.begin(w, grant.Plan.Status)
		return
	}
	if grant.Content != nil {
		defer grant.Content.Close()
	}
	c.deliver(w, r, grant)
}

// grantCookieName is the cookie by which a browser gets parts of a file.
const grantCookieName = "sluice_grant"

// grantCookie goes to one link only.
func (s *Server) grantCookie(token, secret string) *http.Cookie {
	return &http.Cookie{
		Name: grantCookieName, Value: secret, Path: s.publicPath + "/l/" + token, MaxAge: int(gate.GrantLasts.Seconds()),
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteStrictMode,
	}
}

// bearer is whoever presents a link's URL with r. A password comes in
// X-Link-Password, by Basic authentication (RFC 7617), whose user name says
// nothing, or in the form of the page that asks for it.
func (c *call) bearer(w http.ResponseWriter, r *http.Request) (gate.Bearer, error) {
	b := gate.Bearer{
		Address: c.server.proxies.client(r), Password: r.Header.Get("X-Link-Password"), Request: c.request(r),
		Person: strings.Contains(r.Header.Get("Accept"), "text/html"), Answered: r.Method == http.MethodPost,
		Want: wantOf(r),
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

// asUTF8 reads what is no UTF-8 as ISO-8859-1, in which some clients send
// headers. A link's password is UTF-8, so the bytes cannot be one as they are.
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

// deliver sends what the plan of a grant selects of its file.
func (c *call) deliver(w http.ResponseWriter, r *http.Request, g *gate.Grant) {
	f, plan := g.File, g.Plan
	switch plan.Status {
	case http.StatusPreconditionFailed:
		c.refuse(w, r, sluice.Errorf(sluice.CodePreconditionFailed, "the file is not the one that was asked for"))
		return
	case http.StatusRequestedRangeNotSatisfiable:
		if plan.Beyond {
			c.header["Content-Range"] = []string{"bytes */" + strconv.FormatInt(f.Size, 10)}
		}
		c.refuse(w, r, sluice.Errorf(sluice.CodeRange, "no byte of the file lies in the range"))
		return
	}
	h, values := c.header, make([]string, 0, 8)
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
		c.begin(w, plan.Status)
		return
	}
	set("Last-Modified", gate.Modified(f).Format(http.TimeFormat))
	set("Accept-Ranges", "bytes")
	d := newDelivery(w, r, c.server.stall, c.server.slow)
	defer func() { c.sent, c.failed = d.sent, d.failed() }() // also when content panics
	var err error
	if len(plan.Parts) == 1 {
		set("Content-Type", presentation.Type(f))
		set("Content-Length", strconv.FormatInt(plan.Parts[0].Length, 10))
		if plan.Ranged {
			set("Content-Range", contentRange(plan.Parts[0], f.Size))
		}
		c.begin(w, plan.Status)
		if plan.Bytes > 0 {
			err = d.send(g.Content, plan.Parts[0])
		}
	} else {
		err = c.deliverParts(w, d, g)
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// reprDigest is the Repr-Digest of a file (RFC 9530).
func reprDigest(f sluice.File) string {
	digest := append(make([]byte, 0, 64), "sha-256=:"...)
	digest = base64.StdEncoding.AppendEncode(digest, f.SHA256[:])
	return string(append(digest, ':'))
}

func (c *call) begin(w http.ResponseWriter, status int) {
	c.status = status
	w.WriteHeader(status)
}

// deliverParts sends several ranges as multipart/byteranges (RFC 9110 section 14.6).
func (c *call) deliverParts(w http.ResponseWriter, d *delivery, g *gate.Grant) error {
	heads := make([]textproto.MIMEHeader, len(g.Plan.Parts))
	var frame counter
	measured := multipart.NewWriter(&frame)
	for i, p := range g.Plan.Parts {
		heads[i] = textproto.MIMEHeader{"Content-Range": {contentRange(p, g.File.Size)}, "Content-Type": {presentation.Type(g.File)}}
		_, _ = measured.CreatePart(heads[i]) // a counter takes everything
	}
	_ = measured.Close()
	c.header["Content-Type"] = []string{"multipart/byteranges; boundary=" + measured.Boundary()}
	c.header["Content-Length"] = []string{strconv.FormatInt(int64(frame)+g.Plan.Bytes, 10)}
	c.begin(w, g.Plan.Status)
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

// played reports whether a browser shows a file by a player.
func played(f sluice.File) bool {
	return strings.HasPrefix(f.Type, "audio/") || strings.HasPrefix(f.Type, "video/")
}

// refuse answers a download that is not to be: a browser with a page, anyone
// else with a problem.
func (c *call) refuse(w http.ResponseWriter, r *http.Request, err error) {
	w = c.record(w)
	c.header.Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		c.fail(w, r, err)
		return
	}
	p := c.problem(r.Context(), err)
	c.showPage(w, p.Status, refusalPage, p)
}
