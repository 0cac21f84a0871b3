package compat

import (
	"mime"
	"path"
	"slices"
	"strings"

	"sluice"
)

// Bracketed writes a dotted parameter of a sluice.Error with brackets:
// link.metadata.a.b is link[metadata][a.b], for keys of metadata hold dots.
func Bracketed(param string) string {
	parts := strings.Split(param, ".")
	if i := slices.Index(parts, "metadata"); i >= 0 && i+2 < len(parts) {
		parts = append(parts[:i+1], strings.Join(parts[i+1:], "."))
	}
	if len(parts) == 1 {
		return param
	}
	return parts[0] + "[" + strings.Join(parts[1:], "][") + "]"
}

// Failures gives every failure that an error tells of: those of a validation,
// or itself as the only one.
func Failures(e *sluice.Error) []sluice.FieldError {
	if len(e.Fields) > 0 {
		return e.Fields
	}
	return []sluice.FieldError{{Param: e.Param, Code: "invalid", Message: e.Detail}}
}

// shortTypes are the short names of media types where these differ from the
// extension that a file's own name happens to have.
var shortTypes = map[string]string{
	"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp", "image/svg+xml": "svg",
	"text/csv": "csv", "text/plain": "txt", "text/html": "html", "application/json": "json", "application/xml": "xml", "application/zip": "zip",
	"application/msword": "doc", "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
	"application/vnd.ms-excel": "xls", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
}

// MediaTypes are the media types that files with a short type have. A file of
// whose short type only its name tells has another one, so it may be missed.
func MediaTypes(short string) (types []string) {
	short = strings.ToLower(short)
	byName := mime.TypeByExtension("." + short)
	if t, _, _ := strings.Cut(byName, ";"); byName != "" && (shortTypes[t] == "" || shortTypes[t] == short) {
		types = append(types, byName, t)
	}
	for t, s := range shortTypes {
		if s == short {
			types = append(types, t, t+"; charset=utf-8")
		}
	}
	if len(types) == 0 {
		types = []string{short} // which no file has
	}
	return types
}

// ShortType is the type of a file as vendors have it: pdf, csv, png. It is ""
// where neither media type nor name tell.
func ShortType(f sluice.File) string {
	t, _, _ := strings.Cut(f.Type, ";")
	if short := shortTypes[strings.TrimSpace(t)]; short != "" {
		return short
	}
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(f.Filename), "."))
	if ext == "" || len(ext) > 16 || strings.ContainsFunc(ext, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		return ""
	}
	return ext
}
