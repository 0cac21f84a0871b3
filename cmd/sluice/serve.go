package main

import (
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
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"sluice"
	"sluice/internal/follow"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/compat"
	"sluice/internal/httpd/compat/digitalriver"
	"sluice/internal/httpd/compat/metorial"
	"sluice/internal/httpd/compat/stripe"
	"sluice/internal/jobs"
	"sluice/internal/maintain/fsck"
	"sluice/internal/obs"
	"sluice/internal/service"
)

// serveCommand is the configuration of a server. Every flag has an environment
// variable: --public-url is SLUICE_PUBLIC_URL.
type serveCommand struct {
	Listen string `help:"Address to listen on; ${default} when left out." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	place
	Delivery        string         `help:"Who sends the bytes of a link: ${enum}. A redirect leads to a presigned URL of the bucket, good for a minute; that bytes were sent is not observed." enum:"proxy,redirect" default:"proxy"`
	PublicURL       string         `help:"Where links lead. Needed unless the server listens on loopback." placeholder:"URL"`
	Purposes        string         `help:"YAML file of the purposes files may have; a default set when left out." placeholder:"FILE"`
	MaxLinkLifetime string         `help:"Longest lifetime of links, for keys without a value of their own; none for links without end." default:"24h" placeholder:"DURATION"`
	RateLimit       bool           `help:"Limit the rate of requests of each key. In the environment, SLUICE_RATE_LIMIT=false is --no-rate-limit." default:"true" negatable:""`
	MetricsListen   string         `help:"Address to serve /metrics on, for Prometheus; nowhere when left out." placeholder:"HOST:PORT"`
	TrustedProxies  []proxyNetwork `help:"Addresses and networks of proxies whose X-Forwarded-For is believed; of none when left out." placeholder:"CIDR,…"`
	From            string         `help:"Who files are from, as the pages of links that ask first say it; nobody when left out." placeholder:"NAME"`
	LedgerOrigin    string         `help:"What the names of new logs begin with; the host of the public URL when left out. A log keeps its name." placeholder:"NAME"`
	Compat          string         `help:"Vendors whose APIs are served beside the native one; write none to serve no other." default:"stripe,metorial,digitalriver" placeholder:"VENDOR,…"`
	ScrubInterval   string         `help:"How often all stored bytes are read and compared with what was uploaded, an hour or more; 0 for never." default:"30d" placeholder:"DURATION"`
	CheckInterval   string         `help:"How often the pages of a SQLite database are checked, an hour or more, and the index of each log every seventh time; 0 for never." default:"24h" placeholder:"DURATION"`
	LogFormat       string         `help:"Form of the log on stderr: ${enum}." enum:"text,json" default:"text"`
	Heads           string         `help:"File in which this process keeps the newest signed head of each log; that of the secrets with .heads at its end when left out." placeholder:"FILE"`
	AcceptRollback  bool           `help:"Start even though the database is older than the last signed checkpoint (after restoring a backup), and record that." env:"-"`
	anchorFlags

	doors []compat.Door // that Compat names, once config has read it
}

// proxyNetwork is a network in CIDR notation, or one address.
type proxyNetwork struct{ netip.Prefix }

// UnmarshalText reads the value of a flag.
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

// How long an orderly stop waits for downloads and uploads to end; a test
// waits less.
var stopGrace = 30 * time.Second

// gcPercent has the garbage collector wait until the heap, which is small, has
// grown to five times what is in use: a fifth of the time of a download went
// into collecting. GOGC says otherwise where it is set.
const gcPercent = 400

func (s *serveCommand) Run(ctx context.Context, out *output) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	log := s.logger(out)
	for _, w := range out.warnings {
		log.Warn(w)
	}
	// A log whose reader has gone is no reason to end.
	signal.Ignore(syscall.SIGPIPE)
	// The port is taken before anything is made, so that a start that fails
	// for want of it prints no key.
	listener, err := listen(s.Listen, "--listen")
	if err != nil {
		return err
	}
	defer listener.Close()
	config, err := s.config(listener.Addr(), log)
	if err != nil {
		return err
	}
	s.warn(config.PublicURL, log)
	followers, err := s.followers(ctx)
	if err != nil {
		return err
	}
	heads, err := s.remembered(&config)
	if err != nil {
		return err
	}
	metrics := obs.New(version())
	i, err := s.place.open(ctx, config, opening{create: true, redirect: s.Delivery == "redirect", metrics: metrics})
	if err != nil {
		return err
	}
	first, err := i.service.Start(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) { // asked to stop before it served
		return i.close()
	}
	if errors.Is(err, service.ErrRolledBack) {
		err = fmt.Errorf("%w; put back the database that belongs here, or, if an older one was restored on purpose, start once with --accept-rollback", err)
	}
	err = s.place.explain(err)
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

// checkAddress refuses what is no address to listen on, whatever the machine.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%q is no address; write HOST:PORT, such as 127.0.0.1:8080", address)
	}
	return nil
}

// config is what the flags say of the service.
func (s *serveCommand) config(addr net.Addr, log *slog.Logger) (c service.Config, err error) {
	c.Log, c.LedgerOrigin = log, s.LedgerOrigin
	if c.PublicURL, err = s.publicURL(addr); err != nil {
		return c, err
	}
	if c.MaxLinkLifetime, err = parseLifetime(s.MaxLinkLifetime); err != nil {
		return c, usageError{fmt.Errorf("--max-link-lifetime: %w", err)}
	}
	if strings.ContainsFunc(s.LedgerOrigin, func(r rune) bool { return r == '+' || unicode.IsSpace(r) }) {
		return c, usageError{fmt.Errorf("--ledger-origin: %q has a space or a plus sign, which the name of a log may not have", s.LedgerOrigin)}
	}
	if err := checkFrom(s.From); err != nil {
		return c, usageError{err}
	}
	if s.doors, err = parseCompat(s.Compat); err != nil {
		return c, usageError{err}
	}
	if _, err := parseInterval("--scrub-interval", s.ScrubInterval); err != nil {
		return c, usageError{err}
	}
	if _, err := parseInterval("--check-interval", s.CheckInterval); err != nil {
		return c, usageError{err}
	}
	if c.Purposes, err = loadPurposes(s.Purposes); err != nil {
		err = usageError{fmt.Errorf("--purposes: %w", err)}
	}
	return c, err
}

// maxFrom bounds --from, in characters: it stands in one sentence of a page.
const maxFrom = 100

func checkFrom(name string) error {
	switch {
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("--from: %q is not one line of text", name)
	case name != "" && strings.TrimSpace(name) == "":
		return errors.New("--from: a name of spaces says nothing; leave it out")
	case utf8.RuneCountInString(name) > maxFrom:
		return fmt.Errorf("--from: a name has at most %d characters, this one has %d", maxFrom, utf8.RuneCountInString(name))
	}
	return nil
}

func (s *serveCommand) logger(out *output) *slog.Logger {
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out.stderr, &slog.HandlerOptions{ReplaceAttr: inMilliseconds}))
	}
	return slog.New(slog.NewTextHandler(out.stderr, nil))
}

// inMilliseconds writes a duration as a number whose name has its unit: slog
// writes nanoseconds, and says so nowhere.
func inMilliseconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key+"_ms", float64(a.Value.Duration().Microseconds())/1000)
	}
	return a
}

// publicURL is what was configured, or the listener's own address when only
// this machine can reach it. It is never taken from what a request claims.
func (s *serveCommand) publicURL(addr net.Addr) (string, error) {
	if s.PublicURL != "" {
		return s.PublicURL, nil
	}
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || !at.Addr().IsLoopback() {
		return "", usageError{fmt.Errorf("%s can be reached from other machines; say with --public-url where links shall lead", addr)}
	}
	return "http://" + addr.String(), nil
}

// parseCompat reads --compat: the vendors' wire contracts that are served beside
// the native API, in the order in which a request is matched with them.
func parseCompat(text string) (doors []compat.Door, err error) {
	if text = strings.TrimSpace(text); text == "" || text == "none" {
		return nil, nil
	}
	wanted := map[string]bool{}
	for _, name := range strings.Split(text, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var known []string
	for _, d := range []compat.Door{stripe.Door(), metorial.Door(), digitalriver.Door()} {
		if known = append(known, d.Vendor); wanted[d.Vendor] {
			doors = append(doors, d)
		}
		delete(wanted, d.Vendor)
	}
	for name := range wanted {
		return nil, fmt.Errorf("--compat: there is no %q; choose from %s, or none", name, strings.Join(known, ","))
	}
	return doors, nil
}

// warn tells of flags that make a server believe or show more than was meant.
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
	u, err := url.Parse(public)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return
	}
	if at, err := netip.ParseAddr(u.Hostname()); err != nil || !at.IsLoopback() {
		log.Warn("--public-url is http: links and API keys pass in the clear; use https, with a proxy in front", "host", u.Host)
	}
}

func (s *serveCommand) serve(ctx context.Context, i *installation, metrics *obs.Metrics, heads *headsFile, followers []follow.Follower, l net.Listener, first *service.First, log *slog.Logger, out *output) error {
	opts := httpd.Options{Log: log, Registry: metrics.Registry, TrustedProxies: prefixes(s.TrustedProxies), From: s.From, Doors: s.doors}
	if !s.RateLimit {
		opts.Rates = map[sluice.Mode]httpd.Rate{}
	}
	srv, err := httpd.New(i.service, i.gate, opts)
	if err != nil {
		return err
	}
	stopMetrics, err := s.serveMetrics(srv, log)
	if err != nil {
		return err
	}
	defer stopMetrics()
	if first != nil {
		lifetime, _ := parseLifetime(s.MaxLinkLifetime) // config has checked it
		welcome(out.stdout, i.service, lifetime, first)
	}
	log.Info("listening", "address", l.Addr().String(), "public_url", i.service.PublicURL(), "version", version())

	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var kept sync.WaitGroup
	scheduler := jobs.Scheduler{Store: i.store, Log: log, Observer: metrics}
	followed := follow.Runner{Store: i.store, Log: log, Observer: metrics}
	scrubInterval, _ := parseInterval("", s.ScrubInterval) // config has checked it
	own := append(jobs.Own(i.service, i.gate), heads.job(i.service))
	own = append(own, s.checks(i, metrics, log)...)
	kept.Go(func() { scheduler.Run(background, jobs.Shared(i.service, scrubInterval), own) })
	kept.Go(func() { followed.Run(background, followers) })
	defer func() { stopBackground(); kept.Wait() }()
	err = untilStopped(ctx, srv.HTTPServer(s.Listen), srv.LimitedListener(l, connections()), i.store.Lost(), log)
	if lost := i.store.Err(); lost != nil {
		return errors.Join(err, lost) // nothing can be committed any more
	}
	return errors.Join(err, flush(ctx, i.gate))
}

// checksAfter is how long after the start the database is checked first; a test waits less.
var checksAfter = 10 * time.Minute

// checks gives the jobs that check the database.
func (s *serveCommand) checks(i *installation, metrics *obs.Metrics, log *slog.Logger) []jobs.Job {
	interval, _ := parseInterval("", s.CheckInterval) // config has checked it
	if interval == 0 {
		return nil
	}
	return jobs.Checks(fsck.NewWatch(fsck.Config{
		Store: i.store, Pages: !s.place.shared(), Interval: interval, Log: log, Observer: metrics,
	}), checksAfter)
}

// flushGrace is how long an orderly stop waits for the store to take what was delivered.
const flushGrace = 10 * time.Second

// flush commits what was delivered. No download is under way any more.
func flush(ctx context.Context, links *gate.Gate) error {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushGrace)
	defer cancel()
	if err := links.Flush(grace); err != nil {
		return fmt.Errorf("the last deliveries could not be recorded: %w", err)
	}
	return nil
}

// serveMetrics serves /metrics on a listener of its own, if there is to be one.
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
	hs := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := hs.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics listener stopped", "error", err)
		}
	}()
	log.Info("serving metrics", "address", l.Addr().String())
	return hs.Close, nil
}

// untilStopped serves until ctx ends, and then until what has begun is
// finished, or stopGrace is over. When the store is lost, it ends at once.
func untilStopped(ctx context.Context, hs *http.Server, l net.Listener, lost <-chan struct{}, log *slog.Logger) error {
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
		log.Warn("transfers were cut off", "error", err)
		return hs.Close()
	}
	return nil
}

// maxConnections bounds the connections of a server whatever the system allows.
const maxConnections = 1 << 20
