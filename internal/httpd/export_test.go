package httpd

import (
	"net"
	"time"

	"sluice"
)

// SetStall sets how long a transfer may stall.
func (s *Server) SetStall(d time.Duration) { s.transfer.Stall = d }

// SetPace sets how many bytes a reader must take in each window.
func (s *Server) SetPace(window time.Duration, bytes int64) {
	s.transfer.Window, s.transfer.Bytes = window, bytes
}

// OpenConns is the number of open connections of a LimitedListener.
func OpenConns(l net.Listener) int { return len(l.(*listener).open) }

// Limiter is a limiter for tests.
type Limiter struct{ *limiter }

// MaxCounted is maxCounted.
const MaxCounted = maxCounted

// NewLimiter makes a limiter.
func NewLimiter(rates map[sluice.Mode]Rate) Limiter { return Limiter{newLimiter(rates)} }

// Take counts one request.
func (l Limiter) Take(k sluice.Key, now time.Time) bool {
	_, ok := l.take(k, now)
	return ok
}

// Len is the number of keys held. Keys in both turns count twice.
func (l Limiter) Len() int { return len(l.this) + len(l.before) }

// Version is a version of the API for tests.
type Version struct {
	Name   string
	Body   func(operation string, body map[string]any)
	Param  func(operation, name, value string) (string, string)
	Answer func(kind string, object map[string]any)
}

// SetVersions replaces the registry of versions, oldest first.
func (s *Server) SetVersions(all ...Version) {
	s.versions = nil
	for _, v := range all {
		s.versions = append(s.versions, version{v.Name, v.Body, v.Param, v.Answer})
	}
}

// Problems returns the status of every code.
func Problems() map[sluice.Code]int {
	all := map[sluice.Code]int{}
	for code, row := range problems {
		all[code] = row.status
	}
	return all
}

// WithConn is withConn.
var WithConn = withConn

// Expire ends the time of the request that was started.
func (d *Direct) Expire() {
	d.until.Store(1)
	d.RunTimeout()
}

// RunTimeout has the timer end that runs on between decisions.
func (d *Direct) RunTimeout() { d.timeout.Reset(0) }

// TimeoutRuns reports whether that timer runs.
func (d *Direct) TimeoutRuns() bool { return d.running.Load() }
