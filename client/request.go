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

// ChangeOption sets something about one call that changes something.
type ChangeOption func(*request)

// maxName is the longest Idempotency-Key, in bytes.
const maxName = 255

// IdempotencyKey names a change: 1 to 255 printable ASCII characters. Within a day the server answers a repetition
// of the same call with the same name as it did the first time, and carries it out once. A program that may be
// started again after a crash gives a name that it can give again; other programs leave this option out, and the
// Client makes a name for each call.
func IdempotencyKey(name string) ChangeOption { return func(r *request) { r.name = name } }

// request is one call, which is sent once or more.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	body   []byte // JSON; nil for none
	name   string // its Idempotency-Key; "" for a call that changes nothing
}

// change makes a request that changes something. The body is nil or becomes JSON.
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

// newRequest makes the request of one attempt, with the key.
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

// do sends a request and gives an answer of status 2xx. Any other answer is an Error.
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

// roundTrip sends a request and gives any answer.
func (c *Client) roundTrip(req *http.Request) (*http.Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return nil, broken(req, err)
	}
	return res, nil
}

// broken is what a failure of the connection comes to. It names the server alone: the URL of a link is a secret.
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

// connectionError is a connection that could not be made or broke.
type connectionError struct{ error }

func (e *connectionError) Unwrap() error { return e.error }

// fetch sends a request, and again where that may help, and gives the whole answer, which has at most so many bytes.
func (c *Client) fetch(ctx context.Context, r *request, most int64) (data []byte, err error) {
	err = c.retry(ctx, func() (bool, error) {
		data, err = c.fetchOnce(ctx, r, most)
		return false, err
	})
	return data, err
}

func (c *Client) fetchOnce(ctx context.Context, r *request, most int64) ([]byte, error) {
	dog := watch(ctx, c.times.answer)
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

// stream sends a GET, and again where that may help, until the answer begins. The caller closes the answer. One that
// breaks off ends in an error other than io.EOF.
func (c *Client) stream(ctx context.Context, path string, query url.Values) (body io.ReadCloser, err error) {
	r := &request{method: http.MethodGet, path: path, query: query}
	err = c.retry(ctx, func() (bool, error) {
		dog := watch(ctx, c.times.answer)
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

// readAll reads an answer of at most so many bytes, and closes it.
func readAll(body io.ReadCloser, most int64) ([]byte, error) {
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%w: it is longer than %d bytes", ErrProtocol, most)
	}
	return data, err
}

// maxDocument is the longest JSON document that is read, in bytes. A page of a hundred entries is a twentieth of it.
const maxDocument = 64 << 20

// get asks for an object of a kind, which its member object names.
func get[T any](ctx context.Context, c *Client, kind, path string, query url.Values) (out T, err error) {
	data, err := c.fetch(ctx, &request{method: http.MethodGet, path: path, query: query}, maxDocument)
	if err != nil {
		return out, err
	}
	return decode[T](data, kind)
}

// send asks for a change that is answered with an object of a kind.
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
		err = fmt.Errorf("the member object is %.40q in the place of %q", header.Object, kind)
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

// at gives the path of an object of a collection. What cannot be an id is not found, and not asked for: it could lead
// to another path.
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
