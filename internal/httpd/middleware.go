package httpd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
)

// call is what is known of one request while it is answered.
type call struct {
	server    *Server
	id        string
	method    string
	route     string         // the pattern's path; never the path itself, which may hold a token
	operation string         // of the route
	series    *series        // what is observed of the route
	door      *door          // that the request came through; nil for the native API
	asked     http.Header    // of the request
	caller    service.Caller // on routes that ask for a key
	version   int            // that is spoken with the caller, in server.versions
	whole     bool           // whether all of the request came, and is in caller.Once.Fingerprint
	link      string         // on downloads: the link redeemed
	status    int            // 0 until the answer has begun
	sent      int64          // bytes of a download
	failed    bool           // whether a download broke off because of Sluice
	received  int64          // bytes of an upload
	url       *url.URL       // on routes that ask for a key
	header    http.Header    // of the answer
	began     time.Time
}

type callKey struct{}

func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// ServeHTTP answers a request: it gives it an id, a deadline, and a line in the
// log, and turns a panic into a problem.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{
		server: s, id: s.svc.NewRequestID(), method: r.Method, series: s.metrics.unrouted,
		asked: r.Header, header: w.Header(), began: time.Now(),
	}
	c.header["X-Request-Id"] = []string{c.id}
	// A connection keeps the deadline of its last answer.
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(c.began.Add(answerTimeout))
	if r.ContentLength != 0 {
		_ = rc.SetReadDeadline(c.began.Add(bodyTimeout))
	}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	c.door, r = s.chooseDoor(r)
	defer c.finish(w, r)
	switch {
	case c.door != nil:
		c.door.enter(c, w, r)
	case isClean(r):
		s.mux.ServeHTTP(w, r)
	default:
		s.unrouted(w, r)
	}
}

// finish logs a request that was answered, or ends one that panicked: with a
// problem while nothing has been sent, else by breaking the connection.
func (c *call) finish(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		c.server.log.Error("panic", "request", c.id, "route", c.route, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if c.status == 0 {
			c.fail(c.record(w), r, sluice.Errorf(sluice.CodeInternal, ""))
			p = nil
		}
	}
	c.observe()
	c.log(r, p != nil)
	if c.isNoise() {
		c.server.slowDown(r.Context())
	}
	if p != nil {
		panic(http.ErrAbortHandler)
	}
}

func (c *call) observe() {
	c.series.observe(c.status, time.Since(c.began).Seconds())
	if c.sent > 0 {
		c.server.metrics.sent.Add(float64(c.sent))
	}
	if c.received > 0 {
		c.server.metrics.uploaded.Add(float64(c.received))
	}
}

// log writes a line of what was answered. Downloads that went well are told of
// by the audit log, and here only where everything is.
func (c *call) log(r *http.Request, aborted bool) {
	level := slog.LevelInfo
	if c.link != "" && c.status < 400 && !aborted {
		level = slog.LevelDebug
	}
	if !c.server.log.Enabled(r.Context(), level) {
		return
	}
	unlogged := int64(0)
	if c.isNoise() {
		if !c.server.noise.Allow() {
			c.server.unlogged.Add(1)
			return
		}
		unlogged = c.server.unlogged.Swap(0)
	}
	attrs := []slog.Attr{
		slog.String("request", c.id),
		slog.String("method", clean(r.Method)),
		slog.String("route", c.route),
		slog.Int("status", c.status),
		slog.Duration("took", time.Since(c.began)),
	}
	if c.caller.Key.ID != "" {
		attrs = append(attrs, slog.String("key", c.caller.Key.ID))
	}
	if c.link != "" {
		attrs = append(attrs, slog.String("link", c.link), slog.Int64("sent", c.sent))
	}
	if aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	if unlogged > 0 {
		attrs = append(attrs, slog.Int64("unlogged", unlogged))
	}
	c.server.log.LogAttrs(r.Context(), level, "answered", attrs...)
}

// slowDown makes strangers wait when they ask for nothing more often than is
// good for others: a connection that is kept waiting sends no more.
func (s *Server) slowDown(ctx context.Context) {
	turn := s.strangers.Reserve()
	delay := turn.Delay()
	if delay > strangersWait {
		turn.Cancel()
		delay = strangersWait
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// isNoise reports whether nobody known asked for nothing there is. Anyone can
// ask for that without end, so few of these are logged, and all are counted.
func (c *call) isNoise() bool {
	return c.caller.Key.ID == "" && c.link == "" &&
		(c.status == http.StatusNotFound || c.status == http.StatusUnauthorized || c.status == http.StatusMethodNotAllowed)
}

// handle registers a route. Where it asks for a key, its endpoint is reached only by a caller who has the route's
// scope.
func (s *Server) handle(rt route) {
	series := s.metrics.series(rt.path, rt.method)
	s.mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r.Context())
		c.route, c.operation, c.series = rt.path, rt.operation, series
		if rt.scope == Public {
			rt.endpoint.serve(w, r)
			return
		}
		c.url = r.URL
		w = c.record(w)
		c.guard(c.header)
		if err := c.admit(r, rt.scope, rt.endpoint.json); err != nil {
			c.fail(w, r, err)
			return
		}
		rt.endpoint.serve(w, r)
	})
}

// admit finds the caller of a request, who must have requests left and the
// scope, and settles what holds for every answer to them.
func (c *call) admit(r *http.Request, scope sluice.Scope, json bool) error {
	if err := c.authenticate(r); err != nil {
		return err
	}
	// Both say something in every answer to a caller, whatever the other finds.
	limited, unspoken := c.limit(), c.speak(r)
	if limited != nil {
		return limited
	}
	if unspoken != nil {
		return unspoken
	}
	if err := c.identify(r); err != nil {
		return err
	}
	if json {
		if err := c.receive(r); err != nil {
			return err
		}
	}
	if scope == AnyKey {
		return nil
	}
	return c.server.svc.Allow(r.Context(), c.caller, scope)
}

// authenticate finds the caller behind the key of a request (RFC 6750 section
// 2.1). A door may take it by Basic authentication too.
func (c *call) authenticate(r *http.Request) (err error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return sluice.Errorf(sluice.CodeUnauthenticated, "give an API key: Authorization: Bearer sk_…")
	}
	scheme, secret, _ := strings.Cut(headers[0], " ")
	if user, _, ok := r.BasicAuth(); ok && c.door != nil && c.door.Basic {
		scheme, secret = "Bearer", user
	}
	if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return sluice.Errorf(sluice.CodeUnauthenticated, "the Authorization header is not one Bearer key")
	}
	c.caller, err = c.server.svc.Keys.Authenticate(r.Context(), strings.Trim(secret, " "), c.request(r))
	return err
}

// request is what an audit entry shall keep of r.
func (c *call) request(r *http.Request) sluice.Request {
	q := sluice.Request{
		ID: c.id, Method: r.Method, Route: c.route, Range: r.Header.Get("Range"), IP: r.RemoteAddr,
		ForwardedFor: strings.Join(r.Header.Values("X-Forwarded-For"), ", "), UserAgent: r.UserAgent(),
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		q.IP = host
	}
	if at := c.server.proxies.client(r); at.IsValid() {
		q.ClientIP = at.String()
	}
	if from := r.Referer(); from != "" {
		if u, err := url.Parse(from); err == nil {
			q.RefererHost = u.Host
		}
	}
	return q
}

// guard sets the headers of every answer of the API.
func (c *call) guard(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

// record makes w note the status it is given.
func (c *call) record(w http.ResponseWriter) http.ResponseWriter { return &recorder{w, c} }

type recorder struct {
	http.ResponseWriter
	call *call
}

func (w *recorder) WriteHeader(status int) {
	if w.call.status == 0 && status >= 200 {
		w.call.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.call.status == 0 {
		w.call.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// clean makes a text of a stranger fit for one line of a log or a problem.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > 64 {
		s = strings.ToValidUTF8(s[:64], "")
	}
	return s
}
