// Package client speaks the native HTTP API to a running server. What the
// server refuses is a *sluice.Error with the code that it gave.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sluice"
	"sluice/api"
)

// Client asks one server with one key. It is safe for concurrent use.
type Client struct {
	base *url.URL
	key  string
	http *http.Client
}

// New makes a client of the server at an http or https URL. It never follows
// a redirect: the key goes to that server and nowhere else.
func New(base, key string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the URL of a server, such as https://files.example.com", base)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	return &Client{base: u, key: key, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// A GET that the server cannot answer now, and says when to ask again, is
// asked again, this often and after at most so long.
const (
	maxTries = 8
	maxPause = time.Minute
)

// get asks for something and gives the answer's body, to be closed. The path
// is escaped already.
func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	for try := 1; ; try++ {
		res, err := c.send(ctx, http.MethodGet, path, query)
		if err != nil {
			return nil, err
		}
		if res.StatusCode == http.StatusOK {
			return res.Body, nil
		}
		err = problem(res)
		pause, again := retryAfter(res)
		if !again || try == maxTries {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	return c.http.Do(req)
}

// retryAfter says whether, and when, a GET that was answered so is worth
// another try: when the server is busy or counts requests, and says how long.
func retryAfter(res *http.Response) (time.Duration, bool) {
	busy := res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusTooManyRequests
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if !busy || err != nil || seconds < 0 {
		return 0, false
	}
	return min(time.Duration(seconds)*time.Second, maxPause), true
}

// maxDocument is the longest JSON document that is read, in bytes: a page of a
// hundred entries is a twentieth of it.
const maxDocument = 64 << 20

// read asks for a whole answer of at most so many bytes.
func (c *Client) read(ctx context.Context, path string, query url.Values, most int64) ([]byte, error) {
	body, err := c.get(ctx, path, query)
	if err != nil {
		return nil, err
	}
	return readAll(body, most)
}

func readAll(body io.ReadCloser, most int64) ([]byte, error) {
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("the server's answer is longer than %d bytes", most)
	}
	return data, err
}

func getJSON[T any](ctx context.Context, c *Client, path string, query url.Values) (out T, err error) {
	data, err := c.read(ctx, path, query, maxDocument)
	if err == nil {
		err = decode(data, &out)
	}
	return out, err
}

func decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("the server's answer: %w", err)
	}
	return nil
}

// postJSON asks once for a change.
func postJSON[T any](ctx context.Context, c *Client, path string) (out T, err error) {
	res, err := c.send(ctx, http.MethodPost, path, nil)
	if err != nil {
		return out, err
	}
	if res.StatusCode != http.StatusOK {
		return out, problem(res)
	}
	data, err := readAll(res.Body, maxDocument)
	if err == nil {
		err = decode(data, &out)
	}
	return out, err
}

// problem gives the error that an answer tells of, and closes it.
func problem(res *http.Response) error {
	data, err := readAll(res.Body, maxDocument)
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	var p api.Problem
	if err == nil && kind == api.ProblemType {
		err = json.Unmarshal(data, &p)
	}
	if err != nil || p.Code == "" {
		return &sluice.Error{Code: codeOf(res.StatusCode), Detail: fmt.Sprintf("%s answered %s, and no problem of Sluice", res.Request.URL.Host, res.Status)}
	}
	e := &sluice.Error{
		Code: sluice.Code(p.Code), Param: p.Param, Detail: p.Detail, Reason: sluice.Refusal(p.Reason),
		RetryAfter: time.Duration(p.RetryAfter) * time.Second,
	}
	for _, f := range p.Errors {
		e.Fields = append(e.Fields, sluice.FieldError(f))
	}
	if e.Code == sluice.CodeInternal {
		e.Err = errors.New(p.RequestID)
	}
	return e
}

// codeOf is what is made of a status without a problem, such as a proxy's.
func codeOf(status int) sluice.Code {
	switch status {
	case http.StatusUnauthorized:
		return sluice.CodeUnauthenticated
	case http.StatusForbidden:
		return sluice.CodeForbidden
	case http.StatusNotFound:
		return sluice.CodeNotFound
	case http.StatusServiceUnavailable:
		return sluice.CodeUnavailable
	}
	return sluice.CodeInternal
}
