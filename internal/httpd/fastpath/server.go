package fastpath

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"sluice/internal/httpd"
)

// Server is an http.Server with the fast path before it.
type Server struct {
	on    *httpd.Server
	after *http.Server
	mu    sync.Mutex
	front *Listener // nil before Serve
	ended bool
}

// NewServer makes a Server whose other requests to answers, which must be an HTTPServer of on.
func NewServer(on *httpd.Server, to *http.Server) *Server { return &Server{on: on, after: to} }

// Serve answers the requests of l, once, until Shutdown or Close. It returns http.ErrServerClosed then.
func (s *Server) Serve(l net.Listener) error {
	front := Listen(s.on, s.after, l)
	s.mu.Lock()
	ended := s.ended
	s.front = front
	s.mu.Unlock()
	if ended {
		l.Close()
		return http.ErrServerClosed
	}
	return s.after.Serve(front)
}

func (s *Server) end() *Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	return s.front
}

// Shutdown stops as http.Server.Shutdown does: it accepts nothing more, closes the connections without a request, and
// waits for the answers that have begun until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	// A connection may come from the fast path with a request that is decided, so the http.Server goes on until that
	// has none left. Meanwhile it closes each connection after its answer.
	s.after.SetKeepAlivesEnabled(false)
	var err error
	if front := s.end(); front != nil {
		err = front.Drain(ctx)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, s.after.Shutdown(ctx))
}

// Close closes all connections at once.
func (s *Server) Close() error {
	var err error
	if front := s.end(); front != nil {
		err = front.abort()
	}
	return errors.Join(err, s.after.Close())
}
