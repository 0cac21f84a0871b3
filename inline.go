package sluice

import (
	"slices"
	"strings"
)

// inlineTypes are the media types that a browser may show in place, in the order
// in which they are documented: none of them can carry script.
var inlineTypes = []string{
	"text/plain", "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp",
	"audio/wav", "audio/x-wav", "audio/vnd.wave", "audio/ogg", "audio/mp4", "audio/webm", "video/ogg", "video/mp4", "video/webm",
}

// InlineTypes gives the media types that Inline holds for.
func InlineTypes() []string { return slices.Clone(inlineTypes) }

// ShowsInline reports whether a browser may show a file of a media type in
// place; parameters of the type do not matter.
func ShowsInline(mediaType string) bool {
	essence, _, _ := strings.Cut(mediaType, ";")
	return slices.Contains(inlineTypes, strings.TrimSpace(essence))
}
