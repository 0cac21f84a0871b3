package pages

import (
	"net/http"

	"sluice/api"
)

// Home answers with the page of the server itself. docs is the address of the API reference.
func (s *Site) Home(w http.ResponseWriter, r *http.Request, docs string) {
	v := view{Language: language(r, ""), Page: docs}
	v.Title = v.T("home_title")
	if s.brand.Name != "" {
		v.Title = s.brand.Name
	}
	s.show(w, r, http.StatusOK, "home", v)
}

// Miss answers with the page that says that nothing is at an address of the server, or not for the method of the
// request.
func (s *Site) Miss(w http.ResponseWriter, r *http.Request, p *api.Problem) {
	v := view{Language: language(r, ""), Page: p}
	v.Title = v.T(Refusal{Status: p.Status}.title())
	s.show(w, r, p.Status, "miss", v)
}
