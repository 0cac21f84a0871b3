package httpd

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"sluice"
	"sluice/api"
	"sluice/internal/service"
)

// How long a peer may take. A transfer has no total limit; it ends when it stalls.
const (
	headerTimeout = 10 * time.Second // to send the head of a request
	BodyTimeout   = 30 * time.Second // to send a JSON body
	AnswerTimeout = time.Minute      // from the head of a request to the end of its answer, transfers aside
	stallTimeout  = 30 * time.Second // the longest time without a byte in a transfer
	slowWindow    = 10 * time.Minute // in which the reader of a download must take slowBytes
	slowBytes     = 600 << 10        // 1 KiB a second
	idleTimeout   = 2 * time.Minute  // between the requests of a connection
	maxHeader     = 64 << 10         // bytes
)

// Transfer bounds how slowly the bytes of a file may flow.
type Transfer struct {
	Stall  time.Duration // the longest time without a byte
	Window time.Duration // in which a reader takes Bytes, or is cut off
	Bytes  int64
}

// Requests of unknown callers that find nothing are cheap to make, so they are held back: only some of them are
// logged, and beyond a rate each answer waits, at most strangersWait.
const (
	noisePerSecond     = 10
	noiseAtOnce        = 100
	strangersPerSecond = 5_000
	strangersAtOnce    = 1_000
	strangersWait      = 100 * time.Millisecond
)

// Options configures a Server. The zero value is usable.
type Options struct {
	Log *slog.Logger // slog.Default() when nil
	// Rates limit the requests of each key, by the mode of the key: DefaultRates() when nil. A mode without an
	// entry has no limit, so an empty map switches limits off.
	Rates map[sluice.Mode]Rate
	// TrustedProxies are the networks of the proxies whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Registry receives the metrics; a new one when nil.
	Registry *prometheus.Registry
}

// Server answers HTTP requests by the routes that faces register with it. All registrations come before the first
// request; from then on it is safe for concurrent use.
type Server struct {
	svc      *service.Service
	log      *slog.Logger
	mux      *http.ServeMux
	transfer Transfer
	limiter  *limiter
	proxies  trust
	versions []version
	public   map[string]bool // the patterns that need no key
	choose   func(*http.Request) (*Adapter, *http.Request)
	apart    string // the folder that is served by its own handler only, "" for none: see Apart
	notFound func(http.ResponseWriter, *http.Request, *api.Problem)
	metrics  *metrics
	// responder answers plain requests for links on the fast path.
	responder Responder

	noise     *rate.Limiter // of log lines
	unlogged  atomic.Int64  // log lines suppressed since the last one
	strangers *rate.Limiter // of answers

	stopping context.Context // ends when an HTTPServer is shut down
	stop     context.CancelFunc
}

// New makes a Server without routes.
func New(svc *service.Service, opts Options) *Server {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Rates == nil {
		opts.Rates = DefaultRates()
	}
	s := &Server{
		svc: svc, log: opts.Log, mux: http.NewServeMux(), transfer: Transfer{stallTimeout, slowWindow, slowBytes},
		limiter: newLimiter(opts.Rates), proxies: newTrust(opts.TrustedProxies), versions: versions,
		metrics: newMetrics(opts.Registry), public: map[string]bool{},
		noise: rate.NewLimiter(noisePerSecond, noiseAtOnce), strangers: rate.NewLimiter(strangersPerSecond, strangersAtOnce),
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.metrics.watch(svc.Ledgers.State)
	s.metrics.watchScrub(svc.Scrub.State)
	s.mux.HandleFunc("/", s.unrouted)
	return s
}

// Service is the service behind the server.
func (s *Server) Service() *service.Service { return s.svc }

// Registry holds the metrics of the server.
func (s *Server) Registry() *prometheus.Registry { return s.metrics.registry }

// Apart returns a handler for a second listener. It serves the paths of one folder, which the server itself serves no
// longer, and sends the path / there. Call it before the first request.
func (s *Server) Apart(folder string) http.Handler {
	s.apart = folder
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && r.Method == http.MethodGet {
			http.Redirect(w, r, folder, http.StatusSeeOther)
			return
		}
		s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), apartKey{}, true)))
	})
}

type apartKey struct{}

// isElsewhere reports whether a request is for a path that another listener serves.
func (s *Server) isElsewhere(r *http.Request) bool {
	if s.apart == "" {
		return false
	}
	rest, below := strings.CutPrefix(r.URL.Path, s.apart)
	below = below && (rest == "" || rest[0] == '/')
	return below != (r.Context().Value(apartKey{}) != nil)
}

// HTTPServer makes an http.Server for an address, with the limits that keep slow and silent peers from holding
// connections.
func (s *Server) HTTPServer(addr string) *http.Server {
	hs := &http.Server{
		Addr:              addr,
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	hs.RegisterOnShutdown(s.stop)
	return hs
}

// Stopping ends when the shutdown of an HTTPServer begins. Answers without an end of their own, such as streams of
// events, end then.
func (s *Server) Stopping() context.Context { return s.stopping }
