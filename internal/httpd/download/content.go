package download

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/httpd"
)

// maxRanges limits the ranges of one request. A request for more gets the whole file, as RFC 9110 section 14.2 allows.
const maxRanges = 8

// wantOf reads which part of a file a request asks for, and on which conditions.
func wantOf(h *httpd.Head) gate.Want {
	w := gate.Want{
		Method:  h.Method,
		IfMatch: versionsOf(h.IfMatch, false), IfNoneMatch: versionsOf(h.IfNoneMatch, true),
		IfUnmodifiedSince: date(h.IfUnmodifiedSince), IfModifiedSince: date(h.IfModifiedSince),
	}
	if h.Range != "" {
		w.Ranges, w.BadRange = parseRanges(h.Range)
		w.IfRange = versionOf(h.IfRange)
	}
	return w
}

// parseRanges parses a Range header. It ignores other units and too many ranges.
func parseRanges(header string) (specs []gate.RangeSpec, bad bool) {
	unit, set, found := strings.Cut(header, "=")
	if !found || !strings.EqualFold(unit, "bytes") || strings.Count(set, ",") >= maxRanges {
		return nil, false
	}
	for text := range strings.SplitSeq(set, ",") {
		if text = strings.Trim(text, " \t"); text == "" {
			continue
		}
		spec, ok := parseRange(text)
		if !ok {
			return nil, true
		}
		specs = append(specs, spec)
	}
	return specs, false
}

// parseRange parses one range-spec.
func parseRange(text string) (spec gate.RangeSpec, ok bool) {
	first, last, ok := strings.Cut(text, "-")
	if !ok {
		return spec, false
	}
	first, last = strings.TrimRight(first, " \t"), strings.TrimLeft(last, " \t")
	if spec.Suffix = first == ""; !spec.Suffix {
		if spec.First, ok = parsePosition(first); !ok {
			return spec, false
		}
		if last == "" {
			spec.Last = maxPosition
			return spec, true
		}
	}
	spec.Last, ok = parsePosition(last)
	return spec, ok && (spec.Suffix || spec.First <= spec.Last)
}

// maxPosition lies beyond the end of every file.
const maxPosition = math.MaxInt64 - 1

// parsePosition parses digits. A number beyond every file gives maxPosition.
func parsePosition(digits string) (int64, bool) {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		n = maxPosition
	}
	return n, true
}

// versionsOf parses a condition that lists entity tags; nil when there is none. Weak tags match in a weak comparison
// only. A malformed list matches nothing.
func versionsOf(lines []string, weakly bool) *gate.FileVersions {
	if len(lines) == 0 {
		return nil
	}
	v := &gate.FileVersions{}
	tags, ok := httpd.ParseTags(strings.Join(lines, ","))
	if !ok {
		return v
	}
	for _, tag := range tags {
		if weakly {
			tag = strings.TrimPrefix(tag, "W/")
		}
		if tag == "*" {
			v.Any = true
		} else if digest, ok := parseFileTag(tag); ok {
			v.SHA256s = append(v.SHA256s, digest)
		}
	}
	return v
}

// versionOf parses If-Range: a strong entity tag or a date. It is nil when there is none.
func versionOf(value string) *gate.FileVersion {
	if value == "" {
		return nil
	}
	if digest, ok := parseFileTag(value); ok {
		return &gate.FileVersion{SHA256: &digest}
	}
	return &gate.FileVersion{Modified: date(value)}
}

// fileTag is the strong entity tag of a file.
func fileTag(f sluice.File) string {
	tag := append(make([]byte, 0, 2+2*len(f.SHA256)), '"')
	tag = hex.AppendEncode(tag, f.SHA256[:])
	return string(append(tag, '"'))
}

// parseFileTag parses a tag that fileTag made. No other tag is one of a file.
func parseFileTag(tag string) (digest sluice.Digest, ok bool) {
	if len(tag) != 2+2*len(digest) || tag[0] != '"' || tag[len(tag)-1] != '"' || strings.ContainsAny(tag, "ABCDEF") {
		return digest, false
	}
	_, err := hex.Decode(digest[:], []byte(tag[1:len(tag)-1]))
	return digest, err == nil
}

func date(value string) *time.Time {
	if value == "" {
		return nil
	}
	if at, err := http.ParseTime(value); err == nil {
		return &at
	}
	return nil
}

func contentRange(p gate.ByteRange, size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", p.From, p.From+p.Length-1, size)
}
