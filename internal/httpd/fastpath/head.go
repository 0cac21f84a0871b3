package fastpath

import (
	"bytes"
	"strings"

	"sluice/internal/httpd"
)

// maxHead limits the head of a plain request, in bytes.
const maxHead = 8 << 10

// field is a header field that a plain request may have.
type field uint

const (
	ignored field = iota // has no effect on the answer or on the audit entry
	host
	connection
	accept
	userAgent
	referer
	byteRange
	ifRange
	ifMatch
	ifNoneMatch
	ifModifiedSince
	ifUnmodifiedSince
	forwardedFor
	fields
)

// names lists the names of fields that a plain request may have, in lower case. A request with any other is not plain.
var names = func() map[string]field {
	m := map[string]field{
		"host": host, "connection": connection, "accept": accept, "user-agent": userAgent, "referer": referer,
		"range": byteRange, "if-range": ifRange, "if-match": ifMatch, "if-none-match": ifNoneMatch,
		"if-modified-since": ifModifiedSince, "if-unmodified-since": ifUnmodifiedSince, "x-forwarded-for": forwardedFor,
	}
	for name := range strings.FieldsSeq(`accept-charset accept-encoding accept-language baggage cache-control
		cdn-loop cf-connecting-ip cf-ipcountry cf-ray cf-visitor device-memory dnt downlink ect forwarded from
		keep-alive origin pragma priority purpose rtt save-data sec-gpc sec-purpose traceparent tracestate
		true-client-ip upgrade-insecure-requests via x-amz-cf-id x-amzn-trace-id x-b3-sampled x-b3-spanid
		x-b3-traceid x-client-ip x-cloud-trace-context x-correlation-id x-forwarded-host x-forwarded-port
		x-forwarded-proto x-forwarded-scheme x-forwarded-server x-forwarded-ssl x-original-uri x-real-ip
		x-request-id x-request-start x-requested-with x-scheme`) {
		m[name] = ignored
	}
	return m
}()

// maxName is the length of the longest name that is looked up.
const maxName = 64

// fieldOf finds a field by its name.
func fieldOf(name []byte) (f field, ok bool) {
	var lower [maxName]byte
	if len(name) > maxName {
		return ignored, false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	folded := lower[:len(name)]
	if f, ok = names[string(folded)]; ok {
		return f, true
	}
	return ignored, isToken(folded) &&
		(bytes.HasPrefix(folded, []byte("sec-fetch-")) || bytes.HasPrefix(folded, []byte("sec-ch-")))
}

// isToken reports whether a name has only lower-case letters, digits and hyphens.
func isToken(name []byte) bool {
	for _, c := range name {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// parse reads the request at the start of p into d. It returns the length of its head, or 0 as long as p has only a
// part of it. It is not ok when the request is not plain, which may turn out before p has all of it.
//
// A plain request is GET or HEAD in HTTP/1.1 for /l/{token}, perhaps with further segments, without a query or an
// escape. All its lines end with CRLF and have visible ASCII and single spaces between name and value. It has a Host,
// no field that names does not list, and no field twice that matters.
func parse(p []byte, d *httpd.Direct) (n int, ok bool) {
	text, rest, found := cutLine(p)
	if !found {
		return 0, isStart(text) && len(p) < maxHead
	}
	if !parseTarget(text, d) {
		return 0, false
	}
	var values [fields][]byte
	for {
		if text, rest, found = cutLine(rest); !found {
			return 0, isVisible(text) && len(p) < maxHead
		}
		if len(text) == 0 {
			break
		}
		if !parseField(text, &values) {
			return 0, false
		}
	}
	if n = len(p) - len(rest); n > maxHead || values[host] == nil || !isHost(values[host]) {
		return 0, false
	}
	c := values[connection]
	if d.Close = bytes.EqualFold(c, []byte("close")); c != nil && !d.Close && !bytes.EqualFold(c, []byte("keep-alive")) {
		return 0, false
	}
	setHead(&d.Head, &values)
	return n, true
}

// cutLine cuts the first line off p, without its CRLF. Without a complete line, text is what p has of it.
func cutLine(p []byte) (text, rest []byte, found bool) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		return bytes.TrimSuffix(p, []byte("\r")), nil, false
	}
	if i == 0 || p[i-1] != '\r' {
		return p[:i+1], nil, false // the LF makes it invisible
	}
	return p[:i-1], p[i+1:], true
}

const (
	methodGet  = "GET"
	methodHead = "HEAD"
	linkPath   = " /l/"
	protocol   = " HTTP/1.1"
)

// isStart reports whether a plain request can begin with p.
func isStart(p []byte) bool {
	for _, start := range [...]string{methodGet + linkPath, methodHead + linkPath} {
		n := min(len(start), len(p))
		if string(p[:n]) == start[:n] {
			return isVisible(p)
		}
	}
	return false
}

// parseTarget reads the first line of a request.
func parseTarget(text []byte, d *httpd.Direct) bool {
	switch {
	case bytes.HasPrefix(text, []byte(methodGet+linkPath)):
		d.Head.Method, text = methodGet, text[len(methodGet+linkPath):]
	case bytes.HasPrefix(text, []byte(methodHead+linkPath)):
		d.Head.Method, text = methodHead, text[len(methodHead+linkPath):]
	default:
		return false
	}
	target, ok := bytes.CutSuffix(text, []byte(protocol))
	if !ok {
		return false
	}
	token, tail, named := bytes.Cut(target, []byte("/"))
	if len(token) == 0 {
		return false
	}
	for _, c := range token {
		if !isAlphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	if named && !isTail(tail) {
		return false
	}
	keep(&d.Token, token)
	d.Named = named
	return true
}

// isTail reports whether segments of a path have only unreserved characters (RFC 3986 section 2.3) and none of them is
// empty or begins with a dot.
func isTail(tail []byte) bool {
	before := byte('/')
	for _, c := range tail {
		if before == '/' && (c == '/' || c == '.') || c != '/' && !isAlphanumeric(c) && strings.IndexByte("-._~", c) < 0 {
			return false
		}
		before = c
	}
	return before != '/'
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isVisible reports whether p has only visible ASCII and spaces.
func isVisible(p []byte) bool {
	for _, c := range p {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// isHost reports whether a Host is a name or an address, perhaps with a port.
func isHost(p []byte) bool {
	for _, c := range p {
		if !isAlphanumeric(c) && strings.IndexByte("-._:[]", c) < 0 {
			return false
		}
	}
	return true
}

// parseField reads one line of a field.
func parseField(text []byte, values *[fields][]byte) bool {
	name, value, ok := bytes.Cut(text, []byte(":"))
	if !ok {
		return false
	}
	f, ok := fieldOf(name)
	if !ok {
		return false
	}
	value = bytes.TrimPrefix(value, []byte(" "))
	if len(value) == 0 || value[0] == ' ' || value[len(value)-1] == ' ' || !isVisible(value) {
		return false
	}
	if f == ignored {
		return true
	}
	first := values[f] == nil
	values[f] = value
	return first
}

// setHead sets all that a Head says. A string that is the same as in the previous request of the connection stays.
func setHead(h *httpd.Head, values *[fields][]byte) {
	keep(&h.Accept, values[accept])
	keep(&h.UserAgent, values[userAgent])
	keep(&h.Referer, values[referer])
	keep(&h.Range, values[byteRange])
	keep(&h.IfRange, values[ifRange])
	keep(&h.IfModifiedSince, values[ifModifiedSince])
	keep(&h.IfUnmodifiedSince, values[ifUnmodifiedSince])
	keepLine(&h.IfMatch, values[ifMatch])
	keepLine(&h.IfNoneMatch, values[ifNoneMatch])
	keepLine(&h.ForwardedFor, values[forwardedFor])
}

func keep(s *string, value []byte) {
	if *s != string(value) {
		*s = string(value)
	}
}

func keepLine(lines *[]string, value []byte) {
	switch {
	case value == nil:
		*lines = nil
	case len(*lines) != 1 || (*lines)[0] != string(value):
		*lines = []string{string(value)}
	}
}
