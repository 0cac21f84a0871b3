package client

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"sluice"
)

// Client calls one server with one key.
type Client struct {
	base    *url.URL
	key     string
	http    *http.Client
	agent   string
	retries int
	times   times
}

// times holds the client's time limits.
type times struct {
	firstPause time.Duration // before the first retry; doubled for each further one
	maxPause   time.Duration // longest backoff
	maxAfter   time.Duration // longest Retry-After to wait for
	response   time.Duration // from the start of a request to the end of a short response
	stall      time.Duration // without a byte in an upload, a download or an export
	commit     time.Duration // from the last byte of an upload to its response
}

var defaultTimes = times{
	firstPause: 250 * time.Millisecond, maxPause: 10 * time.Second, maxAfter: time.Minute,
	response: 90 * time.Second, stall: time.Minute, commit: 5 * time.Minute,
}

// Defaults of the options.
const (
	DefaultRetries   = 4
	DefaultUserAgent = "sluice-client/" + sluice.APIVersion
)

// An Option configures a Client.
type Option func(*Client)

// WithHTTPClient sends requests with a copy of h. Its CheckRedirect is ignored: redirects of the API are never
// followed. Its Timeout limits each attempt as a whole, including uploads and downloads.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithRetries sets the largest number of retries of a call; the default is [DefaultRetries]. Zero disables retries. A
// download starts counting again after each mebibyte that it receives.
func WithRetries(n int) Option { return func(c *Client) { c.retries = n } }

// WithUserAgent sets the User-Agent of every request; the default is [DefaultUserAgent]. Do not change it while a link
// with a download limit is being downloaded: the server uses it to recognize a download that resumes.
func WithUserAgent(name string) Option { return func(c *Client) { c.agent = name } }

// New returns a Client for the server at an http or https URL, such as https://files.example.com. The URL may have a
// path but no user name, query or fragment. The key is the secret of an API key. It may be empty if the Client only
// downloads links. New sends no request, so a wrong key is reported by the first call.
func New(baseURL, key string, options ...Option) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil || !isHTTP(base) || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("the server's URL must be an http or https URL such as https://files.example.com, " +
			"without user name, query and fragment")
	}
	if !isPrintable(key, '!') {
		return nil, errors.New("the API key contains a space, a line break or another character that no key has")
	}
	c := &Client{base: base, key: key, agent: DefaultUserAgent, retries: DefaultRetries, times: defaultTimes}
	for _, option := range options {
		option(c)
	}
	if !isPrintable(c.agent, ' ') {
		return nil, errors.New("the user agent must be printable ASCII characters")
	}
	if c.retries < 0 {
		return nil, fmt.Errorf("%d retries: the number must not be negative", c.retries)
	}
	plain := http.Client{Transport: newTransport()}
	if c.http != nil {
		plain = *c.http
	}
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &plain
	return c, nil
}

// String returns the name of the server. It omits the key.
func (c *Client) String() string { return "Sluice at " + c.base.String() }

// GoString returns String, so that %#v does not print the key.
func (c *Client) GoString() string { return c.String() }

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    16,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

func isHTTP(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

// isPrintable reports whether all characters of text are between first and ~ in ASCII.
func isPrintable(text string, first byte) bool {
	for i := range len(text) {
		if text[i] < first || text[i] > '~' {
			return false
		}
	}
	return true
}
