package httpd

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"sluice"
	"sluice/api"
)

func (s *Server) getAccount(ctx context.Context, c *call, _ *struct{}) (*body[api.Account], error) {
	all, err := s.svc.Accounts.List(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(a sluice.Account) bool { return a.ID == c.caller.Ledger.Account })
	if i < 0 {
		return nil, sluice.Errorf(sluice.CodeNotFound, "this key has no account any more")
	}
	key, err := wireKey(c, c.caller.Key)
	return &body[api.Account]{api.Account{
		Object: "account", ID: all[i].ID, Name: all[i].Name, Created: all[i].Created.Unix(), Livemode: c.caller.Ledger.Mode.Live(), Key: key,
	}}, err
}

// health says that the process answers.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	c.guard(c.header)
	c.answer(c.record(w), http.StatusOK, "application/json", map[string]string{"status": "ok"})
}

// ready says whether changes could be committed and bytes stored.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	if err := s.readiness.ask(r.Context(), s.svc.Ready); err != nil {
		c.guard(c.header)
		c.fail(c.record(w), r, sluice.Wrap(sluice.CodeUnavailable, "the server is not ready", err))
		return
	}
	s.health(w, r)
}

// readyFor is how long an answer of readiness holds, and readyWait how long the
// question may take.
const (
	readyFor  = time.Second
	readyWait = 10 * time.Second
)

// readiness remembers for a moment whether the server was ready. A question
// costs a commit and a file, and anybody may ask: of those who ask at once, one
// asks for all. The zero value is ready.
type readiness struct {
	mu   sync.Mutex
	last *readyProbe
}

// readyProbe is one question.
type readyProbe struct {
	done chan struct{} // closed when the rest is set
	at   time.Time     // when it was answered
	err  error
}

// ask gives the answer to the newest question, or puts a new one. It waits no
// longer than ctx lasts.
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

// showMetrics serves what the server counts to a live key that administers keys:
// the counts are of the whole process, of all accounts and both modes.
func (s *Server) showMetrics(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	err := refuseQuery(r.URL)
	if err == nil && !c.caller.Ledger.Mode.Live() {
		err = sluice.Errorf(sluice.CodeForbidden, "metrics are of all accounts and modes, so only a live key gets them")
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	s.exposition.ServeHTTP(w, r)
}
