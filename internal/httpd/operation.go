package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"

	"sluice"
)

// endpoint is what answers a route.
type endpoint struct {
	serve  http.HandlerFunc
	json   bool         // whether the body of a request is a JSON document
	input  reflect.Type // the struct that decode fills; nil where the handler reads the request itself
	output reflect.Type // what the handler answers with; nil where it writes the answer itself
}

// plain is the endpoint of a handler that reads and writes bytes itself.
func plain(h http.HandlerFunc) endpoint { return endpoint{serve: h} }

// typed is the endpoint of a handler that takes parameters and body as the fields of a struct, and gives its answer
// as a value. Requests that the struct does not admit never reach the handler.
func typed[I any, O output](f func(ctx context.Context, c *call, in *I) (O, error)) endpoint {
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
			c.fail(w, r, err)
			return
		}
		c.markReplayed()
		out.write(c, w, r)
	}
	return endpoint{serve: serve, json: true, input: reflect.TypeFor[I](), output: reflect.TypeFor[O]()}
}

// output is the answer of a handler. Its field Body is the JSON body, and any other exported field a header.
type output interface {
	write(c *call, w http.ResponseWriter, r *http.Request)
}

// body is an answer that has no headers of its own.
type body[T any] struct{ Body T }

func (b *body[T]) write(c *call, w http.ResponseWriter, _ *http.Request) {
	c.answer(w, http.StatusOK, "application/json", b.Body)
}

// object is an answer with one object in a state, which the caller may have already.
type object[T any] struct {
	ETag    string
	Body    T
	encoded encoded // the body, when it is known; nil otherwise
}

func (o *object[T]) write(c *call, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("ETag", o.ETag)
	switch {
	case o.encoded == nil:
		c.answer(w, http.StatusOK, "application/json", o.Body)
	case c.unchanged(o.ETag):
		w.WriteHeader(http.StatusNotModified)
	default:
		send(w, http.StatusOK, "application/json", o.encoded)
	}
}

// single answers with an object in the state that version names.
func single[T any](c *call, version string, v T) (*object[T], error) {
	data, err := c.encode(v)
	if err != nil {
		return nil, err
	}
	return &object[T]{data.entityTag(version), v, data}, nil
}

// receive reads the body of a JSON request ahead of decode where more must be known of it: to recognise it when it
// comes again, to check its digest, or to read it as an earlier version of the API.
func (c *call) receive(r *http.Request) error {
	var v sluice.Invalid
	digests := promised(r.Header, &v)
	if c.caller.IdempotencyKey == nil && len(c.later()) == 0 && digests == nil && v.Err() == nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return sluice.Wrap(sluice.CodeValidation, "the body broke off", err)
	}
	c.whole = true
	if once := c.caller.IdempotencyKey; once != nil {
		once.Fingerprint = c.server.svc.Idempotency.Fingerprint(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(data))
	}
	switch {
	case len(data) > maxBody:
		return sluice.Errorf(sluice.CodeTooLarge, "the body is larger than %d bytes", maxBody)
	case v.Err() != nil:
		return v.Err()
	case digests != nil:
		_, _ = digests.Write(data)
		if err := digests.check("Content-Digest"); err != nil {
			return err
		}
	}
	data = c.upgradeBody(data)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return nil
}

// encoded is a JSON document.
type encoded []byte

// encode gives an answer as it goes out.
func (c *call) encode(v any) (encoded, error) {
	shown, err := c.downgrade(v)
	if err != nil {
		return nil, err
	}
	return encode(shown)
}

// encode writes JSON. Markup is not escaped: no answer is HTML.
func encode(v any) (encoded, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}
