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

// timeout is how long one request may take.
const timeout = 20 * time.Second

// outgoing follows no redirect: what is sent goes where it was configured to go.
var outgoing = &http.Client{
	Timeout:       timeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// answer is what a request was answered with.
type answer struct {
	status int
	kind   string // media type
	body   []byte // its first bytes, up to what was asked for
}

// Post sends a signed checkpoint as text/plain to an http or https URL. Every
// 2xx is success. Errors name the host and never the rest of the URL, which
// may hold a secret.
func Post(ctx context.Context, to string, note []byte) error {
	a, err := post(ctx, to, note, 1<<10)
	if err == nil && (a.status < 200 || a.status > 299) {
		err = fmt.Errorf("%s answered %d", host(to), a.status)
	}
	return err
}

func post(ctx context.Context, to string, body []byte, most int64) (a answer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return a, errors.New("the URL of an anchor is malformed")
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	req.Header.Set("User-Agent", "sluice")
	res, err := outgoing.Do(req)
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if err != nil {
		return a, fmt.Errorf("%s: %w", host(to), err)
	}
	defer res.Body.Close()
	a.status = res.StatusCode
	a.kind, _, _ = strings.Cut(res.Header.Get("Content-Type"), ";")
	a.body, err = io.ReadAll(io.LimitReader(res.Body, most))
	return a, err
}

// CheckURL refuses what is no http or https URL.
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
