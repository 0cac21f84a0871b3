package native

import (
	"context"
	"net/http"
	"reflect"

	"sluice/internal/httpd"
)

// call is a request to the native API.
type call struct{ *httpd.Call }

func callOf(ctx context.Context) *call { return &call{httpd.CallOf(ctx)} }

// plain is the endpoint of a handler that reads and writes bytes itself.
func plain(h http.HandlerFunc) httpd.Endpoint { return httpd.Endpoint{Serve: h} }

// typed is the endpoint of a handler that takes its parameters and its body as a struct, and returns its answer as a
// value. A request that does not fit the struct never reaches the handler.
func typed[I any, O output](f func(ctx context.Context, c *call, in *I) (O, error)) httpd.Endpoint {
	in := inputOf(reflect.TypeFor[I]())
	serve := func(w http.ResponseWriter, r *http.Request) {
		var (
			c     = callOf(r.Context())
			asked I
			out   O
		)
		err := in.decode(c, r, reflect.ValueOf(&asked).Elem())
		if err == nil {
			out, err = f(r.Context(), c, &asked)
		}
		if err != nil {
			c.Fail(w, r, err)
			return
		}
		c.MarkReplayed()
		out.write(c, w, r)
	}
	return httpd.Endpoint{Serve: serve, JSON: true, Input: reflect.TypeFor[I](), Output: reflect.TypeFor[O]()}
}

// output is the answer of a handler. Its field Body is the JSON body, and any other exported field a header.
type output interface {
	write(c *call, w http.ResponseWriter, r *http.Request)
}

// body is an answer without headers of its own.
type body[T any] struct{ Body T }

func (b *body[T]) write(c *call, w http.ResponseWriter, _ *http.Request) {
	c.Answer(w, http.StatusOK, "application/json", b.Body)
}

// object is an answer with one version of an object, which the caller may already have.
type object[T any] struct {
	ETag    string
	Body    T
	encoded httpd.Encoded // the body, when it is encoded already; otherwise nil
}

func (o *object[T]) write(c *call, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("ETag", o.ETag)
	switch {
	case o.encoded == nil:
		c.Answer(w, http.StatusOK, "application/json", o.Body)
	case c.Unchanged(o.ETag):
		w.WriteHeader(http.StatusNotModified)
	default:
		httpd.Send(w, http.StatusOK, "application/json", o.encoded)
	}
}

// single answers with an object in the given version.
func single[T any](c *call, version string, v T) (*object[T], error) {
	data, err := c.Encode(v)
	if err != nil {
		return nil, err
	}
	return &object[T]{data.EntityTag(version), v, data}, nil
}
