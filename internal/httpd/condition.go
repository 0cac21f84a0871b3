package httpd

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"sluice"
	"sluice/internal/service"
)

// maxTags limits the entity tags of one condition.
const maxTags = 100

// EntityTag is the strong entity tag (RFC 9110 section 8.8.3) of an object in the form that the answer has. It holds
// the object's version, which If-Match compares, and a digest of the answer, since some members, such as downloads,
// change without a new version.
func (e Encoded) EntityTag(version string) string {
	sum := sha256.Sum256(e)
	return `"` + version + "-" + hex.EncodeToString(sum[:8]) + `"`
}

// Precondition reads the precondition of a change: the versions in If-Match (RFC 9110 section 13.1.1). Weak tags
// never match.
func (c *Call) Precondition() (service.Precondition, error) {
	lines := c.asked.Values("If-Match")
	if len(lines) == 0 {
		return nil, nil
	}
	tags, ok := ParseTags(strings.Join(lines, ","))
	if !ok {
		var v sluice.Invalid
		v.Add("If-Match", "invalid", "If-Match must be * or a list of up to %d quoted entity tags", maxTags)
		return nil, v.Err()
	}
	want := service.Precondition{}
	for _, tag := range tags {
		if tag == "*" {
			want = append(want, tag)
		}
		if opaque, strong := strings.CutPrefix(tag, `"`); strong {
			version, _, _ := strings.Cut(strings.TrimSuffix(opaque, `"`), "-")
			want = append(want, version)
		}
	}
	return want, nil
}

// Unchanged reports whether the caller already has the answer with this entity tag, by If-None-Match (RFC 9110
// section 13.1.2). A malformed header is ignored.
func (c *Call) Unchanged(tag string) bool {
	lines := c.asked.Values("If-None-Match")
	if len(lines) == 0 || c.method != http.MethodGet && c.method != http.MethodHead {
		return false
	}
	tags, ok := ParseTags(strings.Join(lines, ","))
	return ok && slices.ContainsFunc(tags, func(t string) bool {
		return t == "*" || strings.TrimPrefix(t, "W/") == tag
	})
}

// ParseTags reads "*" or a list of entity tags, each with its quotes.
func ParseTags(list string) (tags []string, ok bool) {
	if strings.Trim(list, " \t") == "*" {
		return []string{"*"}, true
	}
	for rest := list; ; {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return tags, len(tags) > 0
		}
		n := tagLen(rest)
		if n == 0 || len(tags) == maxTags {
			return nil, false
		}
		tags = append(tags, rest[:n])
		rest = strings.TrimLeft(rest[n:], " \t")
		if rest != "" && rest[0] != ',' {
			return nil, false
		}
	}
}

// tagLen is the length of the entity tag at the start of s, or 0.
func tagLen(s string) int {
	weak := len(s) - len(strings.TrimPrefix(s, "W/"))
	if len(s) == weak || s[weak] != '"' {
		return 0
	}
	for i := weak + 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return i + 1
		case s[i] < '!' || s[i] == 0x7f:
			return 0
		}
	}
	return 0
}
