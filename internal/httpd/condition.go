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

// maxTags is how many entity tags one condition may list.
const maxTags = 100

// entityTag is the strong entity tag (RFC 9110 section 8.8.3) of an object as
// it is answered: its version, by which If-Match decides, and a digest of the
// answer, since some members, such as downloads, change without its owner.
func (e encoded) entityTag(version string) string {
	sum := sha256.Sum256(e)
	return `"` + version + "-" + hex.EncodeToString(sum[:8]) + `"`
}

// wanted is the precondition of a change: the versions in If-Match (RFC 9110
// section 13.1.1). Weak tags never match.
func (c *call) wanted() (service.Precondition, error) {
	lines := c.asked.Values("If-Match")
	if len(lines) == 0 {
		return nil, nil
	}
	tags, ok := parseTags(strings.Join(lines, ","))
	if !ok {
		var v sluice.Invalid
		v.Add("If-Match", "invalid", "If-Match is * or up to %d entity tags in quotes", maxTags)
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

// unchanged reports whether If-None-Match (RFC 9110 section 13.1.2) says that
// the caller has the answer with this tag already. One that is malformed says
// nothing.
func (c *call) unchanged(tag string) bool {
	lines := c.asked.Values("If-None-Match")
	if len(lines) == 0 || c.method != http.MethodGet && c.method != http.MethodHead {
		return false
	}
	tags, ok := parseTags(strings.Join(lines, ","))
	return ok && slices.ContainsFunc(tags, func(t string) bool {
		return t == "*" || strings.TrimPrefix(t, "W/") == tag
	})
}

// parseTags reads "*" or a list of entity tags, each as it stands, with its
// quotes.
func parseTags(list string) (tags []string, ok bool) {
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

// tagLen is the length of the entity tag that s begins with, or 0.
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
