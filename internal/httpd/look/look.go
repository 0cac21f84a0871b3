// Package look holds what the pages of the console, the documentation and the report have in common: one style sheet,
// and a way to serve files that never change. The sheet needs nothing from another host: no font, image or script.
package look

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"strings"

	"sluice/internal/brand"
)

//go:embed base.css
var base string

// Sheet is the style sheet with the colours of a brand. The zero Accent stands for brand.DefaultAccent.
//
// What it styles, by class:
//
//	.frame .bar .side .menu   a page with a navigation: a column, or below 56rem a popover that the menu opens
//	.alone .narrow .head      a page with one form; a column to read; the title of a page with its buttons
//	.card .columns .tiles     areas; .facts is a list of names and values, .story one of events
//	table.list                becomes cards below 44rem; a cell names itself there by its data-label
//	.field .choices .tick     parts of forms; .hint explains, .wrong says what is wrong
//	.primary .danger .plain   buttons; .acts is a row of them, .slim a lower one
//	.badge .flash             with good, warn, bad or info; without one they are quiet
//	.empty .pager .drop       a list without rows, its pages, a place for files
func Sheet(a brand.Accent) string {
	if a == (brand.Accent{}) {
		a = brand.DefaultAccent()
	}
	return strings.NewReplacer(
		"LIGHT-BACK", a.Light.Back.String(), "LIGHT-TEXT", a.Light.Text.String(),
		"DARK-BACK", a.Dark.Back.String(), "DARK-TEXT", a.Dark.Text.String(),
	).Replace(base)
}

// Inline is a style sheet for a style element, and its source expression for style-src in a Content-Security-Policy
// (Content Security Policy Level 3, section 2.3.1).
func Inline(sheet string) (css template.CSS, source string) {
	sum := sha256.Sum256([]byte(sheet))
	return template.CSS(sheet), "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
