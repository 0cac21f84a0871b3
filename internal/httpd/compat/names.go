package compat

import (
	"mime"
	"path"
	"slices"
	"strings"

	"sluice"
)

// Bracketed converts a dotted parameter of a sluice.Error to brackets:
// link.metadata.a.b becomes link[metadata][a.b], because keys of metadata may
// contain dots.
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

// Failures returns the failures of a validation error. Any other error is returned as
// the only failure.
func Failures(e *sluice.Error) []sluice.FieldError {
	if len(e.Fields) > 0 {
		return e.Fields
	}
	return []sluice.FieldError{{Param: e.Param, Code: "invalid", Message: e.Detail}}
}

// shortTypes maps media types to the short names that vendors use.
var shortTypes = map[string]string{
	"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg", "image/gif": "gif",
	"image/webp": "webp", "image/svg+xml": "svg",
	"text/csv": "csv", "text/plain": "txt", "text/html": "html",
	"application/json": "json", "application/xml": "xml", "application/zip": "zip",
	"application/msword": "doc", "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
	"application/vnd.ms-excel": "xls", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
}

// MediaTypes returns the media types with a short type. Files whose short type comes
// from their name have other media types, so a filter by media type misses them.
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
		types = []string{short} // matches no file
	}
	return types
}

// ShortType returns the short type of a file, such as pdf, csv or png, by its media
// type or else its name. It is "" if unknown.
func ShortType(f sluice.File) string {
	t, _, _ := strings.Cut(f.Type, ";")
	if short := shortTypes[strings.TrimSpace(t)]; short != "" {
		return short
	}
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(f.Filename), "."))
	other := func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	if ext == "" || len(ext) > 16 || strings.ContainsFunc(ext, other) {
		return ""
	}
	return ext
}
