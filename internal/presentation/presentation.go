// Package presentation determines how a file is presented to the client that downloads it: its name, its media type,
// and whether a browser saves or displays it. The values are safe in a header, whatever name and type were stored.
package presentation

import (
	"cmp"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice"
)

// maxShownName is the maximum length of a name in a header, in bytes of UTF-8.
const maxShownName = 240

// Disposition returns the Content-Disposition (RFC 6266) of a file downloaded through a link. Without a link, l is the
// zero Link.
func Disposition(l sluice.Link, f sluice.File) string {
	value := attachment(filename(l, f))
	if IsInline(l, f) {
		return "inline" + strings.TrimPrefix(value, "attachment")
	}
	return value
}

// IsInline reports whether a browser shows a linked file in place, and does not save it.
func IsInline(l sluice.Link, f sluice.File) bool {
	return l.Disposition == sluice.Inline && sluice.ShowsInline(f.Type)
}

// Name returns the name of a linked file for display.
func Name(l sluice.Link, f sluice.File) string { return shownName(filename(l, f)) }

func filename(l sluice.Link, f sluice.File) string { return cmp.Or(l.Filename, f.Filename) }

// Type returns the Content-Type of a file. It is application/octet-stream if the stored type is not valid in a header.
func Type(f sluice.File) string { return mediaType(f.Type) }

// attachment returns the Content-Disposition of a file that is saved: its
// sanitized name in ASCII for old clients and in UTF-8 (RFC 8187).
func attachment(filename string) string {
	name := shownName(filename)
	var b strings.Builder
	b.Grow(64 + 4*len(name))
	b.WriteString(`attachment; filename="`)
	for _, r := range name {
		switch {
		case r == '"' || r == '%' || r > unicode.MaxASCII:
			b.WriteByte('_')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteString(`"; filename*=UTF-8''`)
	for i := range len(name) {
		if c := name[i]; isAttrChar(c) {
			b.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// isAttrChar reports whether c is an attr-char (RFC 8187 section 3.2.1).
func isAttrChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}

// unescapes matches escapes of control characters, dots and separators. A program
// that decodes a name once too often, like wget, would turn them into those.
var unescapes = regexp.MustCompile(`(?i)%([01][0-9a-f]|2[ef]|3a|5c|7f)`)

// shownName sanitizes a name so that it is safe to save a file under it. It removes
// control characters, characters that change the order of the text, and leading and
// trailing dots, replaces the path separators of all systems, and limits the
// length. A long name keeps its extension.
func shownName(name string) string {
	name = trimName(strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`/\:*?<>|`, r):
			return '_'
		case ' ' <= r && r <= '~', r == '\u200c' || r == '\u200d': // joiners of letters and emoji are harmless
			return r
		case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, name))
	if strings.IndexByte(name, '%') >= 0 {
		name = unescapes.ReplaceAllString(name, "_$1")
	}
	if len(name) > maxShownName {
		ext := ""
		if i := strings.LastIndexByte(name, '.'); i >= len(name)-16 {
			ext = name[i:]
		}
		name = trimName(strings.ToValidUTF8(name[:maxShownName-len(ext)], "") + ext)
	}
	if name == "" {
		return "file"
	}
	return name
}

// trimName removes dots and spaces from the ends of a name. A leading dot hides the
// file; some systems drop trailing ones.
func trimName(name string) string {
	return strings.TrimFunc(name, func(r rune) bool { return r == '.' || unicode.IsSpace(r) })
}

// mediaType returns a stored type if it is valid in a header.
func mediaType(t string) string {
	for i := range len(t) {
		if t[i] < ' ' || t[i] > '~' {
			return "application/octet-stream"
		}
	}
	if t == "" || len(t) > sluice.MaxTypeLen {
		return "application/octet-stream"
	}
	return t
}
