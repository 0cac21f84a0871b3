// Package compat is what the doors of Sluice have in common. A door, a package
// below this one, is a vendor's wire contract over the same Service: it
// translates requests, objects, lists and errors, and has no rule of its own.
//
// Package server does for a door what it does for the native API: it finds the
// door and the route, gives the request an id, deadlines and a line in the log,
// checks the key, counts its requests, remembers answers for Idempotency-Key,
// and streams bytes in and out. The door sees a request as a Call.
package compat

import (
	"encoding/json"
	"io"
	"net/http"

	"sluice"
	"sluice/internal/service"
)

// Door is one vendor's wire contract. It is found in two ways: at
// /compat/{Vendor}, which is taken off the path, and by the header Version on
// any path but those that the native API serves without a key.
type Door struct {
	Vendor  string // part of a path: a-z
	Version string // name of the request header that chooses the door
	Basic   bool   // whether a key may come as the user name of Basic authentication (RFC 7617)
	Routes  []Route

	// Head sets the headers of every answer, before anything is known of the
	// request but its head: the vendor's name for the request id among them.
	// Nil sets nothing.
	Head func(h http.Header, r *http.Request, id string)

	// Replayed marks an answer that was given before, for the request whose id
	// it gets. Nil marks nothing.
	Replayed func(h http.Header, first string)

	// Fail writes the answer to a request that failed. X-Request-Id,
	// Retry-After and, with CodeMethodNotAllowed, Allow are set.
	Fail func(w http.ResponseWriter, r *http.Request, f Failure)
}

// Route is one row of a door's table of routes. A GET answers HEAD too.
//
// Only a good key within its rate reaches Serve; the scope is for the Service
// to check. An error that Serve returns goes to Door.Fail, so Serve returns one
// only while it has not answered. With an Idempotency-Key the error is
// remembered as it is, without its Err: what the answer needs must be in the
// other members.
type Route struct {
	Method string
	Path   string // a pattern of http.ServeMux without prefix: /v1/files/{id}
	Serve  func(c Call) error
}

// Failure is a request that failed.
type Failure struct {
	Err *sluice.Error // what to tell of it; of CodeInternal nothing but that it happened
	// Routed says whether the request matched a route: with CodeNotFound, false
	// means that there is nothing at the path.
	Routed bool
	ID     string // of the request
	DocURL string // of the page that explains Err.Code
}

// Call is a request that reached its route.
type Call interface {
	Service() *service.Service
	// Caller is who asks, to be passed to the Service. Where the request has
	// an Idempotency-Key, Body or Upload must be called before the Service is
	// asked for a change: they complete the fingerprint of the request.
	Caller() service.Caller
	// Request has its path without /compat/{Vendor}; path values are those of
	// the route's pattern. Its body is for Body and Upload alone.
	Request() *http.Request
	// Header is that of the answer.
	Header() http.Header

	// Body reads a body that is at most limit bytes long; a longer one is
	// CodeTooLarge. MaxBody is enough for anything but content.
	Body(limit int64) ([]byte, error)
	// Upload stores the file of a multipart form (RFC 7578) as it comes in: the
	// part that is named file. A body of another type is CodeUnsupportedType.
	// The form is bounded as that of the native API is, and of an upload that
	// fails nothing is kept. For content in another form, such as base64 within
	// JSON, there are Body and Service.Files.Create.
	Upload(to Upload) (service.CreatedFile, error)
	// Answer writes a JSON document; nil for an answer without body. Where the
	// Service gave an answer that it had given before, that is marked. An error
	// means that nothing was written.
	Answer(status int, v any) error
	// Deliver sends the bytes of a file, or the part of them that the request
	// asks for, to a caller with files:content. An error means that nothing was
	// written. What is wrong with a Range goes to Door.Fail from here.
	Deliver(fileID string) error
}

// MaxBody is the largest body that is not an upload, in bytes.
const MaxBody = 256 << 10

// Upload takes what the parts of a form say.
type Upload interface {
	// Limit is how long a field may be, in bytes. One that is longer reaches
	// Set with one byte more than that.
	Limit(name string) int64
	// Set takes a field, in the order they come. What is wrong with it is for
	// Open or Describe to say.
	Set(name, value string)
	// Open is called when the part with the file is reached, or with nil when
	// the form has none. It gives the purpose, "" when no field has named it
	// yet, and what to store: p.Content, or what it decodes to. An error
	// refuses the upload before its bytes are read.
	Open(p *Part) (purpose string, content io.Reader, err error)
	// Describe is called when the form has been read to its end.
	Describe() (service.NewFile, error)
	// Said is all that the fields have said so far, for the fingerprint of an
	// upload that fails.
	Said() string
}

// Part is the part of a form that holds the file.
type Part struct {
	Filename string // as declared
	Named    bool   // whether a filename was declared
	Type     string // media type as declared
	Content  io.Reader
}

// WriteJSON writes a JSON document. What cannot be written has no reader any
// more.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
