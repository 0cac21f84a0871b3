package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice"
	"sluice/internal/brand"
	"sluice/internal/follow"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/compat"
	"sluice/internal/httpd/compat/digitalriver"
	"sluice/internal/httpd/compat/metorial"
	"sluice/internal/httpd/compat/stripe"
	"sluice/internal/httpd/fastpath"
	"sluice/internal/jobs"
	"sluice/internal/maintain/fsck"
	"sluice/internal/obs"
	"sluice/internal/server"
	"sluice/internal/service"
)

// serveCommand is the configuration of a server. Every flag has an environment
// variable: --public-url is SLUICE_PUBLIC_URL.
type serveCommand struct {
	Listen string `help:"Address to listen on; ${default} by default." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	place
	Delivery        string         `help:"How files are delivered: ${enum}. redirect sends clients to a presigned URL of the bucket that is valid for a minute; the server then cannot see whether the bytes were sent." enum:"proxy,redirect" default:"proxy"`
	PublicURL       string         `help:"Base URL of links. Required unless the server listens on loopback." placeholder:"URL"`
	Purposes        string         `help:"YAML file of the purposes that files may have; a built-in set by default." placeholder:"FILE"`
	MaxLinkLifetime string         `help:"Longest lifetime of links, for keys without a limit of their own; none allows links without expiry; ${default} by default." default:"24h" placeholder:"DURATION"`
	RateLimit       bool           `help:"Limit the request rate of each key. In the environment, SLUICE_RATE_LIMIT=false is --no-rate-limit." default:"true" negatable:""`
	FastPath        bool           `help:"Answer plain downloads without net/http, at less processor time; the answers are the same. --no-fast-path leaves all requests to net/http." default:"true" negatable:""`
	MetricsListen   string         `help:"Address to serve /metrics on, for Prometheus; not served by default." placeholder:"HOST:PORT"`
	TrustedProxies  []proxyNetwork `help:"Addresses and networks of proxies whose X-Forwarded-For is trusted; none by default." placeholder:"CIDR,…"`
	From            string         `help:"Name of the sender that confirmation pages show; the name of the brand by default." placeholder:"NAME"`
	Brand           string         `help:"YAML file of the name, logo, colour and contacts that the pages of links show; none by default." placeholder:"FILE"`
	LedgerOrigin    string         `help:"Prefix of the names of new logs; the host of the public URL by default. Existing logs keep their names." placeholder:"NAME"`
	Compat          string         `help:"Vendors whose APIs are served beside the native one, or none; all by default." default:"stripe,metorial,digitalriver" placeholder:"VENDOR,…"`
	ScrubInterval   string         `help:"Interval at which all stored files are read and compared with their digests, an hour or more; 0 disables it; ${default} by default." default:"30d" placeholder:"DURATION"`
	CheckInterval   string         `help:"Interval at which the pages of a SQLite database are checked, an hour or more; the index of each log is checked every seventh time; 0 disables both; ${default} by default." default:"24h" placeholder:"DURATION"`
	LogFormat       string         `help:"Format of the log on stderr: ${enum}." enum:"text,json" default:"text"`
	Heads           string         `help:"File in which this process keeps the newest signed head of each log; by default the secrets file's name with .heads appended." placeholder:"FILE"`
	AcceptRollback  bool           `help:"Start even though the database is older than the last signed checkpoint, as after restoring a backup, and record it in the log." env:"-"`
	anchorFlags
	mailFlags
	consoleFlags

	adapters []compat.Adapter // named by Compat; set by config
	brand    brand.Brand      // of the file Brand; set by config
}

// proxyNetwork is a network in CIDR notation, or a single address.
type proxyNetwork struct{ netip.Prefix }

// UnmarshalText parses the value of a flag.
func (n *proxyNetwork) UnmarshalText(text []byte) (err error) {
	trimmed := strings.TrimSpace(string(text))
	if addr, failed := netip.ParseAddr(trimmed); failed == nil && addr.Zone() == "" {
		n.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	if n.Prefix, err = netip.ParsePrefix(trimmed); err != nil {
		return fmt.Errorf("%q is neither an address, such as 10.0.0.1, nor a network, such as 10.0.0.0/8", trimmed)
	}
	return nil
}

// stopGrace is how long an orderly stop waits for downloads and uploads. Tests
// shorten it.
var stopGrace = 30 * time.Second

// gcPercent lets the small heap grow to five times its live size before a
// collection. With Go's default of 100, collections took a fifth of the time of
// a download. GOGC overrides it.
const gcPercent = 400

// heapFloor is memory that counts as live and is never touched, so it takes no
// room. With it the heap grows to 40 MiB more before a collection, also while
// little is live. Without it, collections of the few megabytes that a busy server
// holds take a twentieth of the time of a download.
const heapFloor = 8 << 20

func (s *serveCommand) Run(ctx context.Context, out *output) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
		floor := make([]byte, heapFloor)
		defer runtime.KeepAlive(floor)
	}
	log := s.logger(out)
	for _, w := range out.warnings {
		log.Warn(w)
	}
	// Keep running when the reader of the log goes away.
	signal.Ignore(syscall.SIGPIPE)
	// Listen first: a start that fails because the port is taken must not
	// create and print a key.
	listener, err := listen(s.Listen, "--listen")
	if err != nil {
		return err
	}
	defer listener.Close()
	config, err := s.config(listener.Addr(), log)
	if err != nil {
		return err
	}
	if err := s.consoleFlags.open(config.PublicURL); err != nil {
		return err
	}
	defer s.consoleFlags.close()
	s.warn(config.PublicURL, log)
	followers, err := s.followers(ctx)
	if err != nil {
		return err
	}
	heads, err := s.remembered(&config)
	if err != nil {
		return err
	}
	if err := s.place.refuseRestored(s.AcceptRollback); err != nil {
		return err
	}
	metrics := obs.New(version())
	i, err := s.place.open(ctx, config, opening{create: true, redirect: s.Delivery == "redirect", metrics: metrics})
	if err != nil {
		return err
	}
	first, err := i.service.Start(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) { // interrupted before it served
		return i.close()
	}
	if errors.Is(err, service.ErrRolledBack) {
		err = fmt.Errorf("%w; restore the right database, or, if an older one was restored on purpose, "+
			"start once with --accept-rollback", err)
	}
	err = s.place.explain(err)
	if err == nil {
		err = s.place.acceptRestored()
	}
	if err == nil {
		err = s.serve(ctx, i, metrics, heads, followers, listener, first, log, out)
	}
	if err = errors.Join(err, i.close()); err == nil {
		log.Info("stopped")
	}
	return err
}

func prefixes(networks []proxyNetwork) (all []netip.Prefix) {
	for _, n := range networks {
		all = append(all, n.Prefix)
	}
	return all
}

func listen(address, flag string) (net.Listener, error) {
	if err := checkAddress(address); err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address with %s", err, flag)
	}
	return l, nil
}

// checkAddress refuses a text that is not an address on any machine.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address; write HOST:PORT, such as 127.0.0.1:8080", address)
	}
	return nil
}

// config returns the service's configuration.
func (s *serveCommand) config(addr net.Addr, log *slog.Logger) (c service.Config, err error) {
	c.Log, c.LedgerOrigin = log, s.LedgerOrigin
	if c.PublicURL, err = s.publicURL(addr); err != nil {
		return c, err
	}
	if c.MaxLinkLifetime, err = parseLifetime(s.MaxLinkLifetime); err != nil {
		return c, usageError{fmt.Errorf("--max-link-lifetime: %w", err)}
	}
	if strings.ContainsFunc(s.LedgerOrigin, func(r rune) bool { return r == '+' || unicode.IsSpace(r) }) {
		return c, usageError{fmt.Errorf("--ledger-origin: %q contains a space or a plus sign, "+
			"which the name of a log must not contain", s.LedgerOrigin)}
	}
	if err := checkFrom(s.From); err != nil {
		return c, usageError{err}
	}
	if err := s.mailFlags.check(); err != nil {
		return c, usageError{err}
	}
	c.Mail = s.mailServer != nil
	if err := s.consoleFlags.check(); err != nil {
		return c, usageError{err}
	}
	if s.adapters, err = parseCompat(s.Compat); err != nil {
		return c, usageError{err}
	}
	if _, err := parseInterval("--scrub-interval", s.ScrubInterval); err != nil {
		return c, usageError{err}
	}
	if _, err := parseInterval("--check-interval", s.CheckInterval); err != nil {
		return c, usageError{err}
	}
	if s.Brand != "" {
		if s.brand, err = brand.Load(s.Brand); err != nil {
			return c, usageError{fmt.Errorf("--brand: %w", err)}
		}
	}
	if c.Purposes, err = loadPurposes(s.Purposes); err != nil {
		err = usageError{fmt.Errorf("--purposes: %w", err)}
	}
	return c, err
}

// maxFrom is the largest length of --from in characters. Pages show it within a
// sentence.
const maxFrom = 100

func checkFrom(name string) error {
	switch {
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("--from: %q is not a single line of text", name)
	case name != "" && strings.TrimSpace(name) == "":
		return errors.New("--from: the name is blank; omit the flag for no name")
	case utf8.RuneCountInString(name) > maxFrom:
		return fmt.Errorf("--from: the limit is %d characters, and the name has %d", maxFrom, utf8.RuneCountInString(name))
	}
	return nil
}

func (s *serveCommand) logger(out *output) *slog.Logger {
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out.stderr, &slog.HandlerOptions{ReplaceAttr: inMilliseconds}))
	}
	return slog.New(slog.NewTextHandler(out.stderr, nil))
}

// inMilliseconds replaces a duration by milliseconds and adds the unit to its
// name. slog would write nanoseconds without a unit.
func inMilliseconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key+"_ms", float64(a.Value.Duration().Microseconds())/1000)
	}
	return a
}

// publicURL returns --public-url, or the address of a loopback listener. It
// never depends on a request.
func (s *serveCommand) publicURL(addr net.Addr) (string, error) {
	if s.PublicURL != "" {
		return s.PublicURL, nil
	}
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || !at.Addr().IsLoopback() {
		return "", usageError{fmt.Errorf("%s is reachable from other machines; give --public-url, the base URL of links",
			addr)}
	}
	return "http://" + addr.String(), nil
}

// parseCompat parses --compat. It returns the vendors' adapters in the order in
// which requests are matched.
func parseCompat(text string) (adapters []compat.Adapter, err error) {
	if text = strings.TrimSpace(text); text == "" || text == "none" {
		return nil, nil
	}
	wanted := map[string]bool{}
	for _, name := range strings.Split(text, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var known []string
	for _, d := range []compat.Adapter{stripe.Adapter(), metorial.Adapter(), digitalriver.Adapter()} {
		if known = append(known, d.Vendor); wanted[d.Vendor] {
			adapters = append(adapters, d)
		}
		delete(wanted, d.Vendor)
	}
	for name := range wanted {
		return nil, fmt.Errorf("--compat: unknown vendor %q; choose from %s, or none", name, strings.Join(known, ","))
	}
	return adapters, nil
}

// warn logs flags that make the server trust or reveal more than intended.
func (s *serveCommand) warn(public string, log *slog.Logger) {
	for _, p := range s.TrustedProxies {
		bits, small := p.Bits(), 16
		if p.Addr().Is4In6() {
			bits -= 96
		}
		if p.Addr().Unmap().Is4() {
			small = 8
		}
		if bits < small && !p.Addr().IsPrivate() {
			log.Warn("--trusted-proxies includes public addresses: anyone there can forge a client address and pass allowed_ips",
				"network", p.String())
		}
	}
	s.mailFlags.warn(os.Args, log)
	s.consoleFlags.warn(os.Args, log)
	u, err := url.Parse(public)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return
	}
	if at, err := netip.ParseAddr(u.Hostname()); err != nil || !at.IsLoopback() {
		log.Warn("--public-url is http: links and API keys are sent unencrypted; use https, with a proxy in front",
			"host", u.Host)
	}
}

func (s *serveCommand) serve(
	ctx context.Context, i *installation, metrics *obs.Metrics, heads *headsFile, followers []follow.Follower,
	l net.Listener, first *service.First, log *slog.Logger, out *output,
) error {
	opts := server.Options{
		Options: httpd.Options{Log: log, Registry: metrics.Registry, TrustedProxies: prefixes(s.TrustedProxies)},
		From:    s.From, Brand: s.brand, Adapters: s.adapters,
		Console: s.consoleFlags.options, NoConsole: !s.Console,
	}
	states := &jobs.States{Next: metrics}
	opts.Console.FailingJobs = states.Failing
	if !s.RateLimit {
		opts.Rates = map[sluice.Mode]httpd.Rate{}
	}
	srv := server.New(i.service, i.gate, opts)
	stopConsole := sync.OnceFunc(s.consoleFlags.serve(srv, log))
	defer stopConsole()
	stopMetrics, err := s.serveMetrics(srv, log)
	if err != nil {
		return err
	}
	defer stopMetrics()
	if first != nil {
		lifetime, _ := parseLifetime(s.MaxLinkLifetime) // checked by config
		welcome(out.stdout, i.service, lifetime, first, opts.Console.URL)
	}
	log.Info("listening", "address", l.Addr().String(), "public_url", i.service.PublicURL(), "version", version())

	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var kept sync.WaitGroup
	scheduler := jobs.Scheduler{Store: i.store, Log: log, Observer: states}
	followed := follow.Runner{Store: i.store, Log: log, Observer: metrics}
	scrubInterval, _ := parseInterval("", s.ScrubInterval) // checked by config
	own := append(jobs.Own(i.service, i.gate), heads.job(i.service))
	own = append(append(own, s.checks(i, metrics, log)...), mailState(i.service, metrics))
	kept.Go(func() { scheduler.Run(background, jobs.Shared(i.service, scrubInterval), own) })
	kept.Go(func() { followed.Run(background, followers) })
	if outbox := s.outbox(i, s.sender(), metrics, log); outbox != nil {
		kept.Go(func() { outbox.Run(background) })
	}
	defer func() { stopBackground(); kept.Wait() }()
	limited := srv.LimitedListener(l, connections()-s.consoleFlags.connections()-s.metricsConnections())
	err = untilStopped(ctx, s.server(srv), limited, i.store.Lost(), log)
	stopConsole()
	if lost := i.store.Err(); lost != nil {
		return errors.Join(err, lost) // nothing more can be committed
	}
	return errors.Join(err, flush(ctx, i.gate))
}

// httpServer is an http.Server, or one with the fast path before it.
type httpServer interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// server makes the HTTP server.
func (s *serveCommand) server(srv *httpd.Server) httpServer {
	hs := srv.HTTPServer(s.Listen)
	if !s.FastPath {
		return hs
	}
	return fastpath.NewServer(srv, hs)
}

// checksAfter is how long after the start the database is checked first; a test waits less.
var checksAfter = 10 * time.Minute

// checks gives the jobs that check the database.
func (s *serveCommand) checks(i *installation, metrics *obs.Metrics, log *slog.Logger) []jobs.Job {
	interval, _ := parseInterval("", s.CheckInterval) // checked by config
	if interval == 0 {
		return nil
	}
	return jobs.Checks(fsck.NewWatch(fsck.Config{
		Store: i.store, Pages: !s.place.shared(), Interval: interval, Log: log, Observer: metrics,
	}), checksAfter)
}

// flushGrace is how long an orderly stop waits for the last deliveries to be
// committed.
const flushGrace = 10 * time.Second

// flush commits the last deliveries. No download may be running.
func flush(ctx context.Context, links *gate.Gate) error {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushGrace)
	defer cancel()
	if err := links.Flush(grace); err != nil {
		return fmt.Errorf("the last deliveries were not committed: %w", err)
	}
	return nil
}

// metricsConnections is how many of the connections of the process are for --metrics-listen.
func (s *serveCommand) metricsConnections() int {
	if s.MetricsListen == "" {
		return 0
	}
	return min(connections()/8, 64)
}

// serveMetrics serves /metrics on its own listener if --metrics-listen is
// given.
func (s *serveCommand) serveMetrics(srv *httpd.Server, log *slog.Logger) (stop func() error, err error) {
	if s.MetricsListen == "" {
		return func() error { return nil }, nil
	}
	l, err := listen(s.MetricsListen, "--metrics-listen")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", srv.Metrics())
	hs := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}
	limited := srv.LimitedListener(l, s.metricsConnections())
	go func() {
		if err := hs.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics listener stopped", "error", err)
		}
	}()
	log.Info("serving metrics", "address", l.Addr().String())
	return hs.Close, nil
}

// untilStopped serves until ctx is done, then waits up to stopGrace for running
// requests. It stops at once when the store is lost.
func untilStopped(ctx context.Context, hs httpServer, l net.Listener, lost <-chan struct{}, log *slog.Logger) error {
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-lost:
		log.Error("the database file was replaced or removed; stopping at once")
		return hs.Close()
	case <-ctx.Done():
	}
	log.Info("stopping", "grace", stopGrace.String())
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if err := hs.Shutdown(grace); err != nil {
		log.Warn("transfers interrupted", "error", err)
		return hs.Close()
	}
	return nil
}

// maxConnections is the largest number of connections, even if the system allows
// more.
const maxConnections = 1 << 20

// sender is the brand that mails are sent in the name of.
func (s *serveCommand) sender() brand.Brand {
	b := s.brand
	b.Name = cmp.Or(s.From, b.Name)
	return b
}
