package httpd

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
)

// Call is one request while it is answered.
type Call struct {
	ID        string
	Caller    service.Caller // on routes that need a key
	URL       *url.URL       // on routes that need a key
	Header    http.Header    // of the answer
	Whole     bool           // whether the whole request arrived, and is in the fingerprint of the idempotency key
	Link      string         // the link that a download redeemed
	Sent      int64          // bytes of a download
	Received  int64          // bytes of an upload
	Failed    func(error)    // answers in place of Fail; nil but for a page that has an operation of the API answer
	server    *Server
	method    string
	route     string // the pattern's path; never the path itself, which may hold a token
	operation string // of the route
	series    *series
	adapter   *Adapter    // nil for the native API and downloads
	asked     http.Header // of the request
	decided   *Decided    // what the fast path has decided about the request, until its face takes it
	version   int         // of the API, as an index of server.versions
	status    int         // 0 until the answer has begun
	began     time.Time
}

type callKey struct{}

// CallOf is the call of a request. Its context must come from Server.ServeHTTP.
func CallOf(ctx context.Context) *Call { return ctx.Value(callKey{}).(*Call) }

// Service is the service behind the server.
func (c *Call) Service() *service.Service { return c.server.svc }

// Transfer bounds how slowly the bytes of the call may flow.
func (c *Call) Transfer() Transfer { return c.server.transfer }

// Log is the log of the server.
func (c *Call) Log() *slog.Logger { return c.server.log }

// Route is the path of the pattern that matched, "" while none has.
func (c *Call) Route() string { return c.route }

// Begun reports whether the answer has begun.
func (c *Call) Begun() bool { return c.status != 0 }

// ServeHTTP answers a request. It gives the request an id, a deadline and a log line, and turns a panic into a
// problem.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &Call{
		server: s, ID: s.svc.NewRequestID(), method: r.Method, series: s.metrics.unrouted,
		asked: r.Header, Header: w.Header(), began: time.Now(),
	}
	if c.decided = takeDecided(r.Context()); c.decided != nil {
		c.ID, c.began = c.decided.ID, c.decided.Began
	}
	c.Header["X-Request-Id"] = []string{c.ID}
	// A connection keeps the deadlines of its previous request.
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(c.began.Add(AnswerTimeout))
	if r.ContentLength != 0 {
		_ = rc.SetReadDeadline(c.began.Add(BodyTimeout))
	}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	defer c.finish(w, r) // before choose, which must not lose what was decided
	if s.isElsewhere(r) {
		c.Guard()
		c.Miss(c.Record(w), r, sluice.Errorf(sluice.CodeNotFound, "there is nothing at this path"))
		return
	}
	if s.choose != nil {
		c.adapter, r = s.choose(r)
	}
	if c.adapter != nil {
		c.URL = r.URL
		c.Guard()
		c.adapter.Serve(c, w, r)
		return
	}
	Dispatch(s.mux, w, r, s.unrouted)
}

// finish logs a request after its answer. A panic becomes a problem when nothing has been sent, and otherwise breaks
// the connection.
func (c *Call) finish(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		c.server.log.Error("panic", "request", c.ID, "route", c.route, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		if c.status == 0 {
			c.Fail(c.Record(w), r, sluice.Errorf(sluice.CodeInternal, ""))
			p = nil
		}
	}
	if d := c.decided; d != nil {
		d.Abandon()
	}
	c.observe()
	c.log(r.Context(), p != nil)
	if c.isNoise() {
		c.server.slowDown(r.Context())
	}
	if p != nil {
		panic(http.ErrAbortHandler)
	}
}

func (c *Call) observe() {
	c.series.observe(c.status, time.Since(c.began).Seconds())
	if c.Sent > 0 {
		c.server.metrics.sent.Add(float64(c.Sent))
	}
	if c.Received > 0 {
		c.server.metrics.uploaded.Add(float64(c.Received))
	}
}

// log writes one line for the request. A successful download is in the audit log already, so its line has the level
// debug.
func (c *Call) log(ctx context.Context, aborted bool) {
	level := slog.LevelInfo
	if c.Link != "" && c.status < 400 && !aborted {
		level = slog.LevelDebug
	}
	if !c.server.log.Enabled(ctx, level) {
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
		slog.String("request", c.ID),
		slog.String("method", Clean(c.method)),
		slog.String("route", c.route),
		slog.Int("status", c.status),
		slog.Duration("took", time.Since(c.began)),
	}
	if c.Caller.Key.ID != "" {
		attrs = append(attrs, slog.String("key", c.Caller.Key.ID))
	}
	if c.Caller.Session.ID != "" {
		attrs = append(attrs, slog.String("session", c.Caller.Session.ID))
	}
	if c.Link != "" {
		attrs = append(attrs, slog.String("link", c.Link), slog.Int64("sent", c.Sent))
	}
	if aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	if unlogged > 0 {
		attrs = append(attrs, slog.Int64("unlogged", unlogged))
	}
	c.server.log.LogAttrs(ctx, level, "request answered", attrs...)
}

// slowDown delays the answer to an unknown caller when such requests come too fast. A connection that waits sends no
// further request.
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

// isNoise reports whether an unknown caller found nothing. Anyone can send such requests without end, so only some of
// them are logged; all are counted.
func (c *Call) isNoise() bool {
	return c.Caller.Actor.Type == "" && c.Link == "" &&
		(c.status == http.StatusNotFound || c.status == http.StatusUnauthorized || c.status == http.StatusMethodNotAllowed)
}

// Admit authenticates the caller of an adapter's request, counts the request, and reads its idempotency key.
func (c *Call) Admit(r *http.Request) error {
	if err := c.authenticate(r); err != nil {
		return err
	}
	if err := c.limit(); err != nil {
		return err
	}
	return c.readIdempotencyKey(r)
}

// admitTo admits the caller of a route of the native API: it also fixes the version of the API and checks the scope.
func (c *Call) admitTo(r *http.Request, scope sluice.Scope, json bool) error {
	if err := c.authenticate(r); err != nil {
		return err
	}
	// Both set headers that every answer to a caller has, so neither skips the other.
	limited, unspoken := c.limit(), c.speak(r)
	if limited != nil {
		return limited
	}
	if unspoken != nil {
		return unspoken
	}
	if err := c.readIdempotencyKey(r); err != nil {
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
	return c.server.svc.Allow(r.Context(), c.Caller, scope)
}

// authenticate finds the caller by the key of a request (RFC 6750 section 2.1). An adapter may accept it by Basic
// authentication too.
func (c *Call) authenticate(r *http.Request) (err error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return sluice.Errorf(sluice.CodeUnauthenticated, "no API key: send it as Authorization: Bearer sk_…")
	}
	scheme, secret, _ := strings.Cut(headers[0], " ")
	if user, _, ok := r.BasicAuth(); ok && c.adapter != nil && c.adapter.Basic {
		scheme, secret = "Bearer", user
	}
	if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return sluice.Errorf(sluice.CodeUnauthenticated, "the Authorization header must hold one API key, as Bearer sk_…")
	}
	c.Caller, err = c.server.svc.Keys.Authenticate(r.Context(), strings.Trim(secret, " "), c.Request(r))
	return err
}

// Guard sets the headers of every answer of the API.
func (c *Call) Guard() {
	c.Header.Set("X-Content-Type-Options", "nosniff")
	c.Header.Set("Cache-Control", "no-store")
}

// Begin writes the head of an answer to a writer that does not record its status.
func (c *Call) Begin(w http.ResponseWriter, status int) {
	c.status = status
	w.WriteHeader(status)
}

// Record wraps w to note the status of the answer.
func (c *Call) Record(w http.ResponseWriter) http.ResponseWriter { return &recorder{w, c} }

type recorder struct {
	http.ResponseWriter
	call *Call
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

// Unwrap serves http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Clean makes a text from outside safe to show in one line of a log or a problem.
func Clean(s string) string {
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
