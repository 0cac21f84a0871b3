package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"sluice"
)

// A ChangeOption configures one call that changes something.
type ChangeOption func(*request)

// maxName is the largest Idempotency-Key in bytes.
const maxName = 255

// IdempotencyKey sets the Idempotency-Key of a call: 1 to 255 printable ASCII characters. For a day, the server answers
// a repeated call with the same key as it answered the first one, and does not repeat the change. Set a key if your
// program may repeat the call after a crash, and use the same key then. Otherwise omit this option: the Client
// generates a key for each call.
func IdempotencyKey(name string) ChangeOption { return func(r *request) { r.name = name } }

// request is one call, including its retries.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	body   []byte // JSON; nil for none
	name   string // Idempotency-Key; "" if the call changes nothing
}

// change returns a request that changes something. A body other than nil is encoded as JSON.
func change(method, path string, body any, options []ChangeOption) (*request, error) {
	r := &request{method: method, path: path}
	for _, option := range options {
		option(r)
	}
	if r.name == "" {
		r.name = rand.Text()
	}
	if !isPrintable(r.name, ' ') || len(r.name) > maxName {
		return nil, fmt.Errorf("the idempotency key is not 1 to %d printable ASCII characters", maxName)
	}
	if body == nil {
		return r, nil
	}
	var err error
	r.body, err = json.Marshal(body)
	return r, err
}

// newRequest returns the HTTP request of one attempt, with the key.
func (c *Client) newRequest(ctx context.Context, r *request, body io.Reader) (*http.Request, error) {
	u := c.base.JoinPath(r.path)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Sluice-Version", sluice.APIVersion)
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.name != "" {
		req.Header.Set("Idempotency-Key", r.name)
	}
	return req, nil
}

// do sends a request and returns its response. A status other than 2xx is an Error.
func (c *Client) do(req *http.Request) (*http.Response, error) {
	res, err := c.roundTrip(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, refusal(res)
	}
	return res, nil
}

// roundTrip sends a request and returns its response with any status.
func (c *Client) roundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, broken(req, err)
	}
	return res, nil
}

// broken returns the error for a failed connection. It names only the server, because the URL of a link is a secret.
func broken(req *http.Request, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	ctx := req.Context()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errStalled):
		err = errStalled
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	server := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host}
	return &connectionError{&url.Error{Op: req.Method, URL: server.String(), Err: err}}
}

// connectionError reports a connection that failed or broke.
type connectionError struct{ error }

func (e *connectionError) Unwrap() error { return e.error }

// fetch sends a request with retries and returns the response body, which is limited to max bytes.
func (c *Client) fetch(ctx context.Context, r *request, most int64) (data []byte, err error) {
	err = c.retry(ctx, func() (bool, error) {
		data, err = c.fetchOnce(ctx, r, most)
		return false, err
	})
	return data, err
}

func (c *Client) fetchOnce(ctx context.Context, r *request, most int64) ([]byte, error) {
	dog := watch(ctx, c.times.response)
	defer dog.end()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := c.newRequest(dog.ctx, r, body)
	if err != nil {
		return nil, err
	}
	res, err := c.do(req)
	if err != nil {
		return nil, err
	}
	data, err := readAll(res.Body, most)
	if err != nil && !errors.Is(err, ErrProtocol) {
		err = broken(req, err)
	}
	return data, err
}

// stream sends a GET with retries until a response begins. The caller must close the body. An interrupted body ends
// with an error other than io.EOF.
func (c *Client) stream(ctx context.Context, path string, query url.Values) (body io.ReadCloser, err error) {
	r := &request{method: http.MethodGet, path: path, query: query}
	err = c.retry(ctx, func() (bool, error) {
		dog := watch(ctx, c.times.response)
		req, err := c.newRequest(dog.ctx, r, nil)
		var res *http.Response
		if err == nil {
			res, err = c.do(req)
		}
		if err != nil {
			dog.end()
			return false, err
		}
		dog.pause()
		body = &watchedBody{res.Body, req, dog, c.times.stall}
		return false, nil
	})
	return body, err
}

// readAll reads and closes a response body of at most max bytes.
func readAll(body io.ReadCloser, most int64) ([]byte, error) {
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%w: longer than %d bytes", ErrProtocol, most)
	}
	return data, err
}

// maxDocument is the largest JSON document in bytes. A page of a hundred entries needs a twentieth of it.
const maxDocument = 64 << 20

// get fetches an object of the given kind.
func get[T any](ctx context.Context, c *Client, kind, path string, query url.Values) (out T, err error) {
	data, err := c.fetch(ctx, &request{method: http.MethodGet, path: path, query: query}, maxDocument)
	if err != nil {
		return out, err
	}
	return decode[T](data, kind)
}

// send sends a change whose response is an object of the given kind.
func send[T any](
	ctx context.Context, c *Client, kind, method, path string, body any, options []ChangeOption,
) (out T, err error) {
	r, err := change(method, path, body, options)
	if err != nil {
		return out, err
	}
	data, err := c.fetch(ctx, r, maxDocument)
	if err != nil {
		return out, err
	}
	return decode[T](data, kind)
}

func decode[T any](data []byte, kind string) (out T, err error) {
	var header struct {
		Object string `json:"object"`
	}
	if err = json.Unmarshal(data, &header); err == nil && header.Object != kind {
		err = fmt.Errorf("the member object is %.40q instead of %q", header.Object, kind)
	}
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		var none T
		return none, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return out, nil
}

// at returns the path of an object. An invalid id is reported as not found without a request, because it could lead to
// another path.
func at(collection, id string, more ...string) (string, error) {
	if !isID(id) {
		return "", &Error{Code: sluice.CodeNotFound, Detail: fmt.Sprintf("%.40q is not an id", id)}
	}
	path := collection + "/" + id
	for _, m := range more {
		path += "/" + m
	}
	return path, nil
}

func isID(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return text != "" && len(text) <= 64
}
