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

// times are the limits of waiting.
type times struct {
	firstPause time.Duration // before the first retry; each further one is twice as long
	maxPause   time.Duration // longest pause without a Retry-After
	maxAfter   time.Duration // longest Retry-After that is waited for
	answer     time.Duration // longest time from a request to the end of a short answer
	stall      time.Duration // longest time without a byte in an upload, a download or an export
	commit     time.Duration // longest time from the last byte of an upload to its answer
}

var defaultTimes = times{
	firstPause: 250 * time.Millisecond, maxPause: 10 * time.Second, maxAfter: time.Minute,
	answer: 90 * time.Second, stall: time.Minute, commit: 5 * time.Minute,
}

// Defaults of the options.
const (
	DefaultRetries   = 4
	DefaultUserAgent = "sluice-client/" + sluice.APIVersion
)

// Option sets something about a Client.
type Option func(*Client)

// WithHTTPClient sends requests with a copy of h. Its CheckRedirect is not used: the API's redirects are never
// followed. A Timeout of h bounds each attempt as a whole, uploads and downloads too.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithRetries sets how often a call is sent again at most, [DefaultRetries] when this option is left out. Zero turns
// retries off. A download that receives a mebibyte more before it breaks starts counting anew.
func WithRetries(n int) Option { return func(c *Client) { c.retries = n } }

// WithUserAgent sets the User-Agent of every request, [DefaultUserAgent] when this option is left out. It must not
// change during a download of a link with a number of downloads: the server recognises by it who resumes.
func WithUserAgent(name string) Option { return func(c *Client) { c.agent = name } }

// New makes a Client of the server at an http or https URL such as https://files.example.com. The URL may have a
// path; it has no user name, query or fragment. The key is the secret of an API key. It may be empty for a Client
// that only downloads links. New sends nothing: a wrong key shows at the first call.
func New(baseURL, key string, options ...Option) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil || !isHTTP(base) || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("the server's URL is not one such as https://files.example.com, without user name and query")
	}
	if !isPrintable(key, '!') {
		return nil, errors.New("the API key holds a space, a line break or another character that no key has")
	}
	c := &Client{base: base, key: key, agent: DefaultUserAgent, retries: DefaultRetries, times: defaultTimes}
	for _, option := range options {
		option(c)
	}
	if !isPrintable(c.agent, ' ') {
		return nil, errors.New("the user agent is not printable ASCII characters")
	}
	if c.retries < 0 {
		return nil, fmt.Errorf("%d retries: zero is the least", c.retries)
	}
	plain := http.Client{Transport: newTransport()}
	if c.http != nil {
		plain = *c.http
	}
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &plain
	return c, nil
}

// String names the server. It leaves the key out.
func (c *Client) String() string { return "Sluice at " + c.base.String() }

// GoString is String, so that %#v does not show the key.
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

// isPrintable reports whether a text has ASCII characters alone, from one on to the last that is printable.
func isPrintable(text string, first byte) bool {
	for i := range len(text) {
		if text[i] < first || text[i] > '~' {
			return false
		}
	}
	return true
}
