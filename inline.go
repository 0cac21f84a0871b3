package sluice

import (
	"slices"
	"strings"
)

// inlineTypes lists the media types that a browser may display inline, in the
// order of the documentation. Only a PDF can carry a script, which the viewers
// of browsers run apart from every page.
var inlineTypes = []string{
	"text/plain", "application/pdf", "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp",
	"audio/wav", "audio/x-wav", "audio/vnd.wave", "audio/ogg", "audio/mp4", "audio/webm",
	"video/ogg", "video/mp4", "video/webm",
}

// InlineTypes returns the media types for which a link may have the disposition
// Inline. A PDF must also begin like one, with %PDF-. The caller may change the
// slice.
func InlineTypes() []string { return slices.Clone(inlineTypes) }

// ShowsInline reports whether InlineTypes contains mediaType. Parameters of the
// media type are ignored.
func ShowsInline(mediaType string) bool {
	essence, _, _ := strings.Cut(mediaType, ";")
	return slices.Contains(inlineTypes, strings.TrimSpace(essence))
}
