package anchor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// timeout limits one request.
const timeout = 20 * time.Second

// outgoing does not follow redirects: data is sent only to the configured URL.
var outgoing = &http.Client{
	Timeout:       timeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// response is the response to a request.
type response struct {
	status int
	kind   string // media type, without parameters
	body   []byte // truncated at the limit
}

// Post sends a signed checkpoint as text/plain to an http or https URL. Any status
// but 2xx is an error. Errors name the host but not the rest of the URL, which may
// contain a secret.
func Post(ctx context.Context, to string, note []byte) error {
	r, err := post(ctx, to, note, 1<<10)
	if err == nil && (r.status < 200 || r.status > 299) {
		err = fmt.Errorf("%s answered with status %d", host(to), r.status)
	}
	return err
}

func post(ctx context.Context, to string, body []byte, limit int64) (r response, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return r, errors.New("malformed URL of an anchor")
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	req.Header.Set("User-Agent", "sluice")
	res, err := outgoing.Do(req)
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", host(to), err)
	}
	defer res.Body.Close()
	r.status = res.StatusCode
	r.kind, _, _ = strings.Cut(res.Header.Get("Content-Type"), ";")
	r.body, err = io.ReadAll(io.LimitReader(res.Body, limit))
	return r, err
}

// CheckURL returns an error unless text is an http or https URL.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("want an http or https URL")
	}
	return nil
}

func host(to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return "the URL of an anchor"
	}
	return u.Host
}
