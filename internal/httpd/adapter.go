package httpd

import (
	"net/http"

	"sluice"
)

// Adapter is a face with routes and errors of its own: a vendor's API.
type Adapter struct {
	Prefix string // tells its requests from those of other faces, in fingerprints
	Basic  bool   // whether a key may be the user name of Basic authentication
	Serve  func(c *Call, w http.ResponseWriter, r *http.Request)
	// Fail answers with an error. Retry-After is set.
	Fail func(c *Call, w http.ResponseWriter, r *http.Request, err *sluice.Error)
}

// UseAdapters sets the function that finds the adapter for a request, and the request as that adapter reads it. Nil
// is for requests of the registered routes.
func (s *Server) UseAdapters(choose func(*http.Request) (*Adapter, *http.Request)) { s.choose = choose }
