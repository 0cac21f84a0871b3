package server

import (
	"context"
	"net/http"

	"sluice"
	"sluice/api"
)

func (s *Server) getAccount(_ context.Context, c *call, _ *struct{}) (*body[api.Account], error) {
	key := api.Key{ID: c.caller.Key.ID, Name: c.caller.Key.Name, Scopes: texts(c.caller.Key.Scopes)}
	return &body[api.Account]{api.Account{
		Object: "account", ID: c.caller.Ledger.Account, Livemode: c.caller.Ledger.Mode.Live(), Key: key,
	}}, nil
}

// health says that the process answers.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	c.guard(c.header)
	answer(c.record(w), http.StatusOK, "application/json", map[string]string{"status": "ok"})
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
