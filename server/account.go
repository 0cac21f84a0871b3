package server

import (
	"context"
	"net/http"
	"slices"

	"sluice"
	"sluice/api"
)

func (s *Server) getAccount(ctx context.Context, c *call, _ *struct{}) (*body[api.Account], error) {
	all, err := s.svc.Accounts(ctx)
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
	if err := s.svc.Ready(r.Context()); err != nil {
		c.guard(c.header)
		c.fail(c.record(w), r, sluice.Wrap(sluice.CodeUnavailable, "the server is not ready", err))
		return
	}
	s.health(w, r)
}

// showMetrics serves what the server counts to a live key that administers keys:
// the counts are of the whole process, of all accounts and both modes.
func (s *Server) showMetrics(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	err := checkQuery(r.URL, nil)
	if err == nil && !c.caller.Ledger.Mode.Live() {
		err = sluice.Errorf(sluice.CodeForbidden, "metrics are of all accounts and modes, so only a live key gets them")
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	s.exposition.ServeHTTP(w, r)
}
