package native

import (
	"context"
	"net/http"
	"sync"
	"time"

	"sluice"
)

// health answers whenever the process runs.
func (s *face) health(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	c.Guard()
	c.Answer(c.Record(w), http.StatusOK, "application/json", map[string]string{"status": "ok"})
}

// ready reports whether the server can commit changes and store bytes.
func (s *face) ready(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	if err := s.readiness.ask(r.Context(), s.svc.Ready); err != nil {
		c.Guard()
		c.Fail(c.Record(w), r, sluice.Wrap(sluice.CodeUnavailable, "the server is not ready", err))
		return
	}
	s.health(w, r)
}

// readyFor is how long the result of a readiness check holds, and readyWait how long a check may take.
const (
	readyFor  = time.Second
	readyWait = 10 * time.Second
)

// readiness keeps the result of the last readiness check for a moment. A check costs a commit and a file, and needs no
// key, so concurrent requests share one check. The zero value is usable.
type readiness struct {
	mu   sync.Mutex
	last *readyProbe
}

// readyProbe is one check.
type readyProbe struct {
	done chan struct{} // closed when at and err are set
	at   time.Time     // when the check ended
	err  error
}

// ask returns the result of the newest check, or starts a new one. It waits no longer than ctx lasts.
func (r *readiness) ask(ctx context.Context, ready func(context.Context) error) error {
	p := r.probe(ctx, ready)
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *readiness) probe(ctx context.Context, ready func(context.Context) error) *readyProbe {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != nil {
		select {
		case <-r.last.done:
			if time.Since(r.last.at) < readyFor {
				return r.last
			}
		default:
			return r.last
		}
	}
	p := &readyProbe{done: make(chan struct{})}
	r.last = p
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWait)
	go func() {
		defer close(p.done)
		defer cancel()
		p.err = ready(ctx)
		p.at = time.Now()
	}()
	return p
}

// showMetrics serves the metrics to a live key with keys:admin. They cover the whole process: all accounts and both
// modes.
func (s *face) showMetrics(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	err := refuseQuery(r.URL)
	if err == nil && !c.Caller.Ledger.Mode.Live() {
		err = sluice.Errorf(sluice.CodeForbidden, "metrics cover all accounts and both modes: use a live key")
	}
	if err != nil {
		c.Fail(w, r, err)
		return
	}
	s.exposition.ServeHTTP(w, r)
}
