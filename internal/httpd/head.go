package httpd

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"sluice"
)

// Head is what a download and the audit entry of a request depend on in the head of the request, besides its target.
// HeadOf reads it from an http.Request, and package fastpath from the bytes of a plain request.
type Head struct {
	Method                             string
	Accept, UserAgent, Referer         string
	Range, IfRange                     string
	IfModifiedSince, IfUnmodifiedSince string
	IfMatch, IfNoneMatch, ForwardedFor []string // the lines of the field
}

// HeadOf reads the head of a request.
func HeadOf(r *http.Request) Head {
	return Head{
		Method: r.Method, Accept: r.Header.Get("Accept"), UserAgent: r.UserAgent(), Referer: r.Referer(),
		Range: r.Header.Get("Range"), IfRange: r.Header.Get("If-Range"),
		IfModifiedSince: r.Header.Get("If-Modified-Since"), IfUnmodifiedSince: r.Header.Get("If-Unmodified-Since"),
		IfMatch: r.Header.Values("If-Match"), IfNoneMatch: r.Header.Values("If-None-Match"),
		ForwardedFor: r.Header.Values("X-Forwarded-For"),
	}
}

// IsBrowser reports whether a request is a browser's for a page.
func (h *Head) IsBrowser() bool { return strings.Contains(h.Accept, "text/html") }

// Peer is the other end of a connection.
type Peer struct {
	host    string     // as the audit entry has it
	address netip.Addr // the zero Addr when the host is not an address
	text    string     // of address
}

// NewPeer parses the remote address of a connection.
func NewPeer(remote string) Peer {
	p := Peer{host: remote, address: address(remote)}
	if host, _, err := net.SplitHostPort(remote); err == nil {
		p.host = host
	}
	if p.address.IsValid() {
		p.text = p.address.String()
	}
	return p
}

// Describe returns the address of the client, as the peer or the trusted proxies give it, and what an audit entry
// keeps of the request. The address is the zero Addr when it cannot be read.
func (c *Call) Describe(h *Head, p Peer) (netip.Addr, sluice.Request) {
	at := c.server.proxies.client(p.address, h.ForwardedFor)
	q := sluice.Request{
		ID: c.ID, Method: h.Method, Route: c.route, Range: h.Range, IP: p.host,
		ForwardedFor: strings.Join(h.ForwardedFor, ", "), UserAgent: h.UserAgent,
	}
	switch {
	case at == p.address:
		q.ClientIP = p.text
	case at.IsValid():
		q.ClientIP = at.String()
	}
	if h.Referer != "" {
		if u, err := url.Parse(h.Referer); err == nil {
			q.RefererHost = u.Host
		}
	}
	return at, q
}

// Request is what an audit entry keeps of r.
func (c *Call) Request(r *http.Request) sluice.Request {
	h := HeadOf(r)
	_, q := c.Describe(&h, NewPeer(r.RemoteAddr))
	return q
}
