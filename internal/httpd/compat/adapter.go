// Package compat is shared by the adapters for the APIs of other vendors. An
// adapter is a package below this one. It serves a vendor's API with Sluice's
// Service: it translates requests, objects, lists and errors, and has no rules of
// its own.
//
// Package httpd does for an adapter what it does for the native API. It finds the
// adapter and the route, assigns a request id, sets deadlines, logs the request,
// checks the key, applies rate limits, stores responses for Idempotency-Key, and
// streams bytes in and out. The adapter sees a request as a Call.
package compat

import (
	"encoding/json"
	"io"
	"net/http"

	"sluice"
	"sluice/internal/service"
)

// Adapter serves the API of one vendor. A request is routed to it in two ways: by a
// path below /compat/{Vendor}, which is removed from the path, or by the header
// Version on any path except those that the native API serves without a key.
type Adapter struct {
	Vendor  string // a path segment of a-z
	Version string // name of the request header that selects the adapter
	Basic   bool   // whether the user name of Basic authentication (RFC 7617) may be a key
	Routes  []Route

	// Head sets headers of every response, such as the vendor's header for the
	// request id. It is called before the request is routed. It may be nil.
	Head func(h http.Header, r *http.Request, id string)

	// Replayed sets headers of a stored response. first is the id of the original
	// request. It may be nil.
	Replayed func(h http.Header, first string)

	// Fail writes the response to a failed request. X-Request-Id, Retry-After and,
	// with CodeMethodNotAllowed, Allow are already set.
	Fail func(w http.ResponseWriter, r *http.Request, f Failure)
}

// Route is a route of an adapter. A GET route serves HEAD too.
//
// Serve is called only with a valid key that is within its rate limits. The Service
// checks the scope. An error returned by Serve is passed to Adapter.Fail, so Serve
// must not return an error after it has written a response. With an
// Idempotency-Key, the error is stored without its Err, so the other fields must
// contain all that the response needs.
type Route struct {
	Method string
	Path   string // pattern of http.ServeMux, without the prefix: /v1/files/{id}
	Serve  func(c Call) error
}

// Failure describes a failed request.
type Failure struct {
	Err *sluice.Error // with CodeInternal, the response must not reveal the cause
	// Routed says whether the request matched a route. With CodeNotFound, false
	// means that the path does not exist.
	Routed bool
	ID     string // request id
	DocURL string // URL of the page that explains Err.Code
}

// Call is a request to a route.
type Call interface {
	Service() *service.Service
	// Caller is the caller to pass to the Service. If the request has an
	// Idempotency-Key, call Body or Upload before a method of the Service that
	// makes a change: they complete the fingerprint of the request.
	Caller() service.Caller
	// Request returns the request. Its path lacks /compat/{Vendor}, and it has the
	// path values of the route. Only Body and Upload may read its body.
	Request() *http.Request
	// Header returns the header of the response.
	Header() http.Header

	// Body reads the body. A body of more than limit bytes is CodeTooLarge. MaxBody
	// is enough for any body but the content of a file.
	Body(limit int64) ([]byte, error)
	// Upload reads a multipart form (RFC 7578) and stores the part named file while
	// it arrives. A body of another type is CodeUnsupportedType. The limits of the
	// form are those of the native API. A failed upload leaves nothing behind. For
	// content in another encoding, such as base64 in JSON, use Body and
	// Service.Files.Create.
	Upload(to Upload) (service.CreatedFile, error)
	// Answer writes a response with a JSON document, or without a body if v is nil.
	// It calls Adapter.Replayed if the response of the Service was a stored one. If
	// it returns an error, nothing was written.
	Answer(status int, v any) error
	// Deliver sends the requested bytes of a file. It requires files:content. If it
	// returns an error, nothing was written. It passes an unsatisfiable Range to
	// Adapter.Fail itself.
	Deliver(fileID string) error
}

// MaxBody is the largest body that is not an upload, in bytes.
const MaxBody = 256 << 10

// Upload receives the parts of a form.
type Upload interface {
	// Limit returns the maximum length of a field in bytes. Set receives a longer
	// field truncated to one byte more.
	Limit(name string) int64
	// Set receives a field, in the order of the form. Open and Describe report
	// invalid fields.
	Set(name, value string)
	// Open is called with the part that contains the file, or with nil if the form
	// has none. It returns the purpose, or "" if no field has named it yet, and the
	// content to store: p.Content or what it decodes to. An error refuses the
	// upload before the content is read.
	Open(p *Part) (purpose string, content io.Reader, err error)
	// Describe is called at the end of the form.
	Describe() (service.NewFile, error)
	// Said returns the fields received so far, in an encoding for the fingerprint
	// of a failed upload.
	Said() string
}

// Part is the part of a form that contains the file.
type Part struct {
	Filename string // as declared
	Named    bool   // whether a filename was declared
	Type     string // media type as declared
	Content  io.Reader
}

// WriteJSON writes a response with a JSON document. It ignores errors of writing,
// because the client is then gone.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
