// Package presentation says how an uploaded file leaves: under which name, as which type, and whether a browser saves
// it or shows it. Its values are safe in a header, whatever was stored.
package presentation

import (
	"cmp"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice"
)

// maxShownName is how much of a name a header carries, in bytes of UTF-8.
const maxShownName = 240

// Disposition is the Content-Disposition with which a file leaves through a link. The zero link stands for none.
func Disposition(l sluice.Link, f sluice.File) string {
	inline := l.Disposition == sluice.Inline && sluice.ShowsInline(f.Type)
	value := attachment(filename(l, f))
	if inline {
		return "inline" + strings.TrimPrefix(value, "attachment")
	}
	return value
}

// Name is the name that a person is shown for a file behind a link.
func Name(l sluice.Link, f sluice.File) string { return shownName(filename(l, f)) }

func filename(l sluice.Link, f sluice.File) string { return cmp.Or(l.Filename, f.Filename) }

// Type is the Content-Type of a file. A stored type that no header may carry gives application/octet-stream.
func Type(f sluice.File) string { return mediaType(f.Type) }

// attachment is the Content-Disposition (RFC 6266) of a file that is saved:
// its name made safe, in ASCII for old readers and as it is, RFC 8187.
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

// isAttrChar is attr-char of RFC 8187 section 3.2.1.
func isAttrChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}

// unescapes is what turns into a control character, a dot or a separator for a
// program that decodes a name once too often, as wget does.
var unescapes = regexp.MustCompile(`(?i)%([01][0-9a-f]|2[ef]|3a|5c|7f)`)

// shownName makes a name harmless for whoever saves under it: no control
// characters, none that reorder what is read, no separators of any system, no
// dots that hide it, and no more than a file system takes. A long name keeps
// its extension.
func shownName(name string) string {
	name = trimName(strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`/\:*?<>|`, r):
			return '_'
		case ' ' <= r && r <= '~', r == '\u200c' || r == '\u200d': // those two join letters and emoji, and harm nobody
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

// trimName takes away the dots and spaces at the ends of a name, which hide a
// file or are dropped when it is saved.
func trimName(name string) string {
	return strings.TrimFunc(name, func(r rune) bool { return r == '.' || unicode.IsSpace(r) })
}

// mediaType gives a stored type as a header may carry it.
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
