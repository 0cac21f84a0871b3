package httpd

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/httpd/compat"
	"sluice/internal/service"
)

// How long a peer may take. Transfers have no limit as a whole: what ends them
// is a time without a byte.
const (
	headerTimeout = 10 * time.Second // for the head of a request
	bodyTimeout   = 30 * time.Second // for a JSON body
	answerTimeout = time.Minute      // from the head of a request to its answer, transfers aside
	stallTimeout  = 30 * time.Second // without a byte in a transfer
	slowWindow    = 10 * time.Minute // in which a download must take slowBytes
	slowBytes     = 600 << 10        // 1 KiB a second
	idleTimeout   = 2 * time.Minute  // between requests
	maxHeader     = 64 << 10         // bytes
)

// How many answers to nobody known, for nothing there is, are logged; and how
// many are given before each waits for its turn, and how long at most.
const (
	noisePerSecond     = 10
	noiseAtOnce        = 100
	strangersPerSecond = 5_000
	strangersAtOnce    = 1_000
	strangersWait      = 100 * time.Millisecond
)

// Options is what a Server may be told beyond its service.
type Options struct {
	Log *slog.Logger // slog.Default() when nil
	// Rates limit the requests of each key, by the mode of the key:
	// DefaultRates() when nil. A mode that is not in it has no limit, so an
	// empty map switches limits off.
	Rates map[sluice.Mode]Rate
	// TrustedProxies are the networks of proxies whose X-Forwarded-For is
	// believed; of none when it is empty.
	TrustedProxies []netip.Prefix
	// From is who files are from, as the pages of links that ask first say it;
	// "" to say nothing.
	From string
	// Doors are the wire contracts of vendors that are served beside the
	// native API, on the same service and with the same limits.
	Doors []compat.Adapter
	// Registry takes the metrics; a new one when nil. Metrics serves all that it has.
	Registry *prometheus.Registry
}

// Server answers HTTP. It is safe for concurrent use.
type Server struct {
	svc        *service.Service
	gate       *gate.Gate
	log        *slog.Logger
	mux        *http.ServeMux
	stall      time.Duration
	slow       pace
	limiter    *limiter
	proxies    trust
	versions   []version
	public     map[string]bool // patterns of routes that ask for no key
	doors      []*door
	metrics    *metrics
	exposition http.Handler // of metrics

	noise     *rate.Limiter // of lines in the log
	unlogged  atomic.Int64  // of noise, since the last line
	strangers *rate.Limiter // of answers
	readiness readiness

	from       string
	publicPath string // of the public URL, "" for none
	secure     bool   // whether the public URL is one of https
}

// New makes a Server over a service and the gate of its links.
func New(svc *service.Service, links *gate.Gate, opts Options) (*Server, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Rates == nil {
		opts.Rates = DefaultRates()
	}
	s := &Server{
		svc: svc, gate: links, log: opts.Log, mux: http.NewServeMux(), stall: stallTimeout, slow: pace{slowWindow, slowBytes},
		limiter: newLimiter(opts.Rates), proxies: newTrust(opts.TrustedProxies), versions: versions, metrics: newMetrics(opts.Registry, links.DeliveriesWaiting), public: map[string]bool{},
		from: opts.From, noise: rate.NewLimiter(noisePerSecond, noiseAtOnce), strangers: rate.NewLimiter(strangersPerSecond, strangersAtOnce),
	}
	if public, err := url.Parse(svc.PublicURL()); err == nil {
		s.publicPath, s.secure = public.EscapedPath(), public.Scheme == "https"
	}
	s.metrics.watch(svc.LogState)
	s.metrics.watchScrub(svc.ScrubState)
	s.exposition = s.Metrics()
	for _, rt := range s.routes() {
		s.handle(rt)
		if rt.scope == Public {
			s.public[rt.method+" "+rt.path] = true
		}
	}
	s.browse()
	s.mux.HandleFunc("/", s.unrouted)
	for _, d := range opts.Doors {
		s.doors = append(s.doors, newDoor(s, d))
	}
	return s, nil
}

// HTTPServer makes a server for an address, with the limits that keep slow and
// silent peers from holding it.
func (s *Server) HTTPServer(addr string) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// unrouted answers what no route of the table matches: method_not_allowed when
// the path has other methods, else not_found.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	w = c.record(w)
	c.guard(w.Header())
	if allowed := s.methods(r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		c.miss(w, r, sluice.Errorf(sluice.CodeMethodNotAllowed, "%s is not for this path", clean(r.Method)))
		return
	}
	c.miss(w, r, sluice.Errorf(sluice.CodeNotFound, "there is nothing at this path"))
}

// methods gives the methods that the path of r has.
func (s *Server) methods(r *http.Request) (allowed []string) { return methodsOf(s.mux, r) }

func methodsOf(mux *http.ServeMux, r *http.Request) (allowed []string) {
	if !isClean(r) {
		return nil
	}
	for _, method := range []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(probe); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	return allowed
}

// isClean reports whether the mux would match the path of r as it stands, and
// not answer with a redirect of its own.
func isClean(r *http.Request) bool {
	p := r.URL.Path
	if r.URL.RawPath != "" { // else what is escaped is no dot and no slash
		p = r.URL.EscapedPath()
	}
	cleaned := path.Clean(p)
	return strings.HasPrefix(p, "/") && (cleaned == p || cleaned != "/" && cleaned+"/" == p)
}
