package httpd

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sluice/internal/service"
	"strconv"
	"strings"
	"time"

	"sluice"
)

// maxRanges is how many ranges of a file one request gets; one that asks for
// more gets all of it, as RFC 9110 section 14.2 allows.
const maxRanges = 8

// selection is what a request gets of a file, by its method, preconditions and
// ranges (RFC 9110 sections 13 and 14). It depends on nothing else.
type selection struct {
	status int
	parts  []byteRange // of a 206, and the whole of a 200
	ranged bool
	absent bool // 416 because no range has a byte, rather than for its form
}

// byteRange is a range that has bytes.
type byteRange struct{ from, length int64 }

func (p byteRange) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", p.from, p.from+p.length-1, size)
}

// plan is what the service is told of it.
func (s selection) plan(method string) service.Plan {
	p := service.Plan{Status: s.status, Part: s.ranged, Redirect: http.StatusSeeOther, Bodiless: method == http.MethodHead || s.status != http.StatusOK && s.status != http.StatusPartialContent}
	if !p.Bodiless {
		p.Bytes = s.length()
		p.Later = s.ranged && !slices.ContainsFunc(s.parts, func(r byteRange) bool { return r.from == 0 })
	}
	return p
}

func (s selection) length() (n int64) {
	for _, p := range s.parts {
		n += p.length
	}
	return n
}

// selectFrom reads what r wants of f.
func selectFrom(r *http.Request, f sluice.File) selection {
	h := r.Header
	if status := precondition(r, f); status != 0 {
		return selection{status: status}
	}
	whole := selection{status: http.StatusOK, parts: []byteRange{{0, f.Size}}}
	header := h.Get("Range")
	if header == "" || r.Method != http.MethodGet || !inRange(h.Get("If-Range"), f) {
		return whole
	}
	unit, set, found := strings.Cut(header, "=")
	specs := strings.Split(set, ",")
	if !found || !strings.EqualFold(unit, "bytes") || len(specs) > maxRanges || f.Size == 0 {
		return whole
	}
	s := selection{status: http.StatusPartialContent, ranged: true}
	asked := 0
	for _, spec := range specs {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		p, ok := parseRange(spec, f.Size)
		if !ok {
			return selection{status: http.StatusRequestedRangeNotSatisfiable, ranged: true}
		}
		if asked++; p.length > 0 {
			s.parts = append(s.parts, p)
		}
	}
	switch {
	case asked == 0 || s.length() > f.Size: // nobody needs a byte twice
		return whole
	case len(s.parts) == 0:
		return selection{status: http.StatusRequestedRangeNotSatisfiable, ranged: true, absent: true}
	}
	return s
}

// parseRange reads one range-spec. One that no byte lies in has no length.
func parseRange(spec string, size int64) (p byteRange, ok bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return byteRange{}, false
	}
	first, last = strings.TrimRight(first, " \t"), strings.TrimLeft(last, " \t")
	if first == "" {
		n, ok := parsePlace(last)
		n = min(n, size)
		return byteRange{size - n, n}, ok
	}
	from, ok := parsePlace(first)
	to := int64(math.MaxInt64 - 1)
	if ok && last != "" {
		to, ok = parsePlace(last)
	}
	if !ok || to < from {
		return byteRange{}, false
	}
	if from >= size {
		return byteRange{}, true
	}
	return byteRange{from, min(to, size-1) - from + 1}, true
}

// parsePlace reads digits. A number that no file reaches stands for the largest.
func parsePlace(digits string) (int64, bool) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		n = math.MaxInt64 - 1
	}
	return n, true
}

// precondition gives 412 or 304 when r is not to be carried out, in the order
// of RFC 9110 section 13.2.2, else 0. Only GET and HEAD get 304.
func precondition(r *http.Request, f sluice.File) int {
	h, reads := r.Header, r.Method == http.MethodGet || r.Method == http.MethodHead
	if lines := h.Values("If-Match"); len(lines) > 0 {
		if !tagged(lines, f, false) {
			return http.StatusPreconditionFailed
		}
	} else if since, ok := date(h, "If-Unmodified-Since"); ok && modified(f).After(since) {
		return http.StatusPreconditionFailed
	}
	if lines := h.Values("If-None-Match"); len(lines) > 0 {
		if tagged(lines, f, true) {
			if !reads {
				return http.StatusPreconditionFailed
			}
			return http.StatusNotModified
		}
	} else if since, ok := date(h, "If-Modified-Since"); ok && reads && !modified(f).After(since) {
		return http.StatusNotModified
	}
	return 0
}

// tagged reports whether a list of entity tags names the file. Weak tags count
// in a weak comparison only. A list that is malformed names nothing.
func tagged(lines []string, f sluice.File, weakly bool) bool {
	tags, ok := parseTags(strings.Join(lines, ","))
	if !ok {
		return false
	}
	own := fileTag(f)
	for _, tag := range tags {
		if tag == "*" || tag == own || weakly && strings.TrimPrefix(tag, "W/") == own {
			return true
		}
	}
	return false
}

// inRange reports whether If-Range, "" for none, is of the file as it is: its
// strong tag, or just the moment of its Last-Modified.
func inRange(value string, f sluice.File) bool {
	if value == "" || value == fileTag(f) {
		return true
	}
	at, err := http.ParseTime(value)
	return err == nil && at.Equal(modified(f))
}

func fileTag(f sluice.File) string {
	tag := append(make([]byte, 0, 2+2*len(f.SHA256)), '"')
	tag = hex.AppendEncode(tag, f.SHA256[:])
	return string(append(tag, '"'))
}

// modified is the Last-Modified of a file: its bytes never change.
func modified(f sluice.File) time.Time { return f.Created.Truncate(time.Second) }

func date(h http.Header, name string) (time.Time, bool) {
	value := h.Get(name)
	if value == "" {
		return time.Time{}, false
	}
	at, err := http.ParseTime(value)
	return at, err == nil
}
