// Package console serves the console, under /console: the pages on which people manage files, links and the log in a
// browser. It calls the service for everything, so a person can do what a key with the same scopes can, and no more.
//
// The mode is a part of each path, such as /console/test/files, and not hidden in a cookie: two tabs of a browser may
// show two modes. Every page works without a script.
package console

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"sluice"
	"sluice/internal/brand"
	"sluice/internal/httpd"
	"sluice/internal/httpd/look"
	"sluice/internal/service"
	"sluice/internal/signin"
)

// Options configures the console. The zero value is usable.
type Options struct {
	// Brand is what the pages show of the operator.
	Brand brand.Brand
	// URL is the base URL at which browsers reach the server; the public URL of the service if "". It decides whether
	// cookies need TLS, and which origin may send forms.
	URL string
	// Export and Report answer POSTs for many entries of the log at once: see native.Documents.
	Export, Report http.HandlerFunc
	// FailingJobs names the background jobs of this process that failed when they ran last; nil if nobody knows.
	FailingJobs func() []string
	// Provider signs people in; nil for none. With one, nobody signs in with an API key.
	Provider *signin.Provider
}

// site makes the pages of one server.
type site struct {
	server *httpd.Server
	svc    *service.Service
	brand  brand.Brand
	base   string // path of the console, without a slash at its end
	secure bool   // whether browsers reach it over TLS
	back   string // URL to which a provider sends browsers back
	forms  *http.CrossOriginProtection
	tries  tries
	static *look.Folder // style sheets and modules

	streams     streams
	readiness   readiness
	failingJobs func() []string
	// provider is nil if people sign in with API keys.
	provider *signin.Provider
}

// Mount registers the console with a server.
func Mount(s *httpd.Server, svc *service.Service, opts Options) {
	site := newSite(s, svc, opts)
	site.mountSignIn()
	site.static.Mount(s)
	site.mountHome()
	site.mountFiles()
	site.mountLinks()
	site.mountLog(opts.Export, opts.Report)
	site.mountKeys()
	site.mountPeople()
	site.mountSettings()
	s.HandlePage("/console/", site.open("GET", "/console/{path...}", func(v *visit) error {
		return sluice.Errorf(sluice.CodeNotFound, "there is no page at this address")
	}))
}

func newSite(s *httpd.Server, svc *service.Service, opts Options) *site {
	if opts.URL == "" {
		opts.URL = svc.PublicURL()
	}
	site := &site{
		server: s, svc: svc, brand: opts.Brand, base: "/console", forms: http.NewCrossOriginProtection(),
		tries: tries{now: svc.Now}, provider: opts.Provider, static: newStatic(opts.Brand),
		failingJobs: opts.FailingJobs,
	}
	site.back = strings.TrimSuffix(opts.URL, "/") + callbackPath
	if u, err := url.Parse(opts.URL); err == nil {
		site.base = strings.TrimSuffix(u.EscapedPath(), "/") + "/console"
		site.secure = u.Scheme == "https"
		_ = site.forms.AddTrustedOrigin(u.Scheme + "://" + u.Host) // a proxy may change the Host of a request
	}
	return site
}

// anyone is the scope of pages that need none.
const anyone sluice.Scope = ""

// visit is one request of a person for a page.
type visit struct {
	*site
	w       http.ResponseWriter
	r       *http.Request
	call    *httpd.Call
	mode    sluice.Mode      // of the page; "" for a page that has none
	caller  service.Caller   // with mode: who signed in
	session sluice.Session   // with mode: that of the caller
	callers []service.Caller // all that the browser is signed in as, one for each mode; empty if nobody signed in
}

// page registers a page of a mode. The pattern is a method and the path below /console/test and /console/live, such as
// "GET /files/{id}". Only someone who signed in, to that mode and with the scope, reaches h. An error of h becomes a
// page.
//
// A GET must not change anything: only requests with other methods are protected against other sites.
func (s *site) page(pattern string, scope sluice.Scope, h func(*visit) error) {
	method, path, _ := strings.Cut(pattern, " ")
	for _, mode := range []sluice.Mode{sluice.Test, sluice.Live} {
		s.server.HandlePage(method+" /console/"+string(mode)+path, s.open(method, "/console/{mode}"+path,
			func(v *visit) error {
				if err := v.enter(mode); err != nil {
					return err
				}
				if scope != anyone {
					if err := s.svc.Allow(v.r.Context(), v.caller, scope); err != nil {
						return err
					}
				}
				return h(v)
			}))
	}
}

// open makes the handler of a page that needs no session. route names it in logs and entries.
func (s *site) open(method, route string, h func(*visit) error) http.HandlerFunc {
	matched := s.server.Observe(method, route)
	return func(w http.ResponseWriter, r *http.Request) {
		c := httpd.CallOf(r.Context())
		matched(c)
		protect(c)
		v := &visit{site: s, w: c.Record(w), r: r, call: c}
		err := s.forms.Check(r)
		if err != nil {
			err = sluice.Wrap(sluice.CodeForbidden, "this form was sent by another site", err)
		}
		if err == nil {
			err = h(v)
		}
		if err != nil {
			v.fail(err)
		}
	}
}

// enter finds the session of the request in a mode.
func (v *visit) enter(mode sluice.Mode) error {
	v.mode = mode
	if err := v.findSessions(); err != nil {
		return err
	}
	for _, c := range v.callers {
		if c.Ledger.Mode == mode {
			v.caller, v.session = c, c.Session
			v.call.Caller = c
			return v.call.Limit()
		}
	}
	return sluice.Errorf(sluice.CodeForbidden, "you are not signed in to the %s mode", mode)
}

// protection holds the headers of every page. They stop another site from framing it, and the page from loading
// anything that the server does not serve.
var protection = http.Header{
	"Content-Security-Policy":      {policy("'self'")},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"X-Frame-Options":              {"DENY"},
	// With no-referrer a browser would send Origin: null with forms.
	"Referrer-Policy": {"same-origin"},
	"X-Robots-Tag":    {"noindex, nofollow"},
}

// policy is a Content-Security-Policy (Level 3). forms are the origins that a form may be sent to, and that the answer
// to it may redirect to.
func policy(forms string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
		"form-action " + forms + "; frame-ancestors 'none'; base-uri 'none'"
}

func protect(c *httpd.Call) {
	c.Guard()
	for name, value := range protection {
		c.Header[name] = value
	}
}

// path is the address of a page of the mode of the visit, such as path("/files").
func (v *visit) path(rest string) string { return v.base + "/" + string(v.mode) + rest }

// redirect sends the browser to another page with a GET.
func (v *visit) redirect(to string) error {
	v.call.Header.Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// maxForm is the largest size of a form without a file, in bytes.
const maxForm = 64 << 10

// form reads the form of a POST. A form in a query is ignored.
func (v *visit) form() (url.Values, error) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return nil, sluice.Wrap(sluice.CodeValidation, "the form could not be read", err)
	}
	return v.r.PostForm, nil
}

// isOnce is the form of what Once of a view returns.
var isOnce = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// once has the service take a form that is sent twice for one request: a page gives each of its forms a field once. A
// form that was changed since is another request.
func (v *visit) once(values url.Values) {
	if isOnce.MatchString(values.Get("once")) {
		sent := v.svc.Idempotency.Fingerprint(v.r.URL.Path, values.Encode())
		v.caller.IdempotencyKey = &service.IdempotencyKey{Value: hex.EncodeToString(sent[0][:]), Fingerprint: sent}
	}
}

// fail answers with an error. Someone who is not signed in gets the page that asks to.
func (v *visit) fail(err error) {
	if v.call.Begun() {
		panic(http.ErrAbortHandler)
	}
	if sluice.CodeOf(err) == sluice.CodeUnauthenticated && v.mode != "" && isSafe(v.r.Method) {
		// The path before the console is of the URL at which browsers reach it; a proxy has removed it.
		_ = v.redirect(v.signInPath(strings.TrimSuffix(v.base, "/console") + v.r.URL.RequestURI()))
		return
	}
	p := v.call.Problem(v.r.Context(), err)
	v.call.Header.Del("WWW-Authenticate") // no browser is to ask for a password of its own
	if err := v.show(p.Status, "error", p); err != nil {
		panic(err) // the template works with every problem
	}
}

// isSafe reports whether a method changes nothing (RFC 9110 section 9.2.1).
func isSafe(method string) bool { return method == http.MethodGet || method == http.MethodHead }
