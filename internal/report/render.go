package report

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sort"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/sentence"
	"sluice/ledger"
)

// writer writes a report, and the digest of its fixed parts.
type writer struct {
	out   io.Writer
	fixed hash.Hash // or nil
	err   error
}

// put writes fixed parts.
func (w *writer) put(parts ...string) {
	for _, p := range parts {
		w.late(p)
		if w.fixed != nil {
			_, _ = io.WriteString(w.fixed, p)
		}
	}
}

// late writes a late part.
func (w *writer) late(part string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.out, part)
	}
}

// text returns text as HTML in the form that browsers serialize. Characters that cannot be seen, and those that change
// the direction of the text around them, are named instead.
func text(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '\u00a0':
			b.WriteString("&nbsp;")
		case isHidden(r):
			fmt.Fprintf(&b, "[U+%04X]", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isHidden reports whether a character is a control, invisible, or changes the direction of text. Joiners of letters
// and emoji are not. The page script has the same list.
func isHidden(r rune) bool {
	i := sort.Search(len(hidden), func(i int) bool { return r <= hidden[i][1] })
	return i < len(hidden) && r >= hidden[i][0]
}

// hidden are controls, separators of lines, format characters, those that Unicode calls ignorable by default, and
// U+2800, which looks like a space. A later version of Unicode must not change it: reports are written anew.
var hidden = [][2]rune{
	{0, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad}, {0x34f, 0x34f}, {0x600, 0x605}, {0x61c, 0x61c}, {0x6dd, 0x6dd},
	{0x70f, 0x70f}, {0x890, 0x891}, {0x8e2, 0x8e2}, {0x115f, 0x1160}, {0x17b4, 0x17b5}, {0x180b, 0x180f},
	{0x200b, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0x2800, 0x2800}, {0x3164, 0x3164},
	{0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x110bd, 0x110bd}, {0x110cd, 0x110cd},
	{0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
}

// The skeleton of a page. Between its parts are the source expressions of style and script, and their texts.
const (
	pageStart = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">` +
		`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-`
	pageScript = `'; script-src 'sha256-`
	pageTitle  = `'; base-uri 'none'; form-action 'none'">` +
		`<meta name="viewport" content="width=device-width, initial-scale=1"><title>Audit report</title><style>`
	pageMain   = "</style></head><body>"
	pageModule = "\n" + `<script type="module">`
	pageEnd    = "</script></body></html>\n"

	mainStart = `<main class="report" id="report-%d-%d">`
	mainEnd   = "</main>"
)

// page writes the skeleton of a report around its main element.
func (w *writer) page(style, program string, main func()) {
	w.late(pageStart + sourceOf(style) + pageScript + sourceOf(program) + pageTitle + style + pageMain)
	main()
	w.late(pageModule + program + pageEnd)
}

func sourceOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const (
	coverStart = `<dl class="facts" id="cover">`
	coverEnd   = "</dl>"
	blockStart = `<script type="application/json">`
	blockEnd   = "</script>"
)

// main writes the main element. Without l it writes the late parts empty.
func (r *Report) main(w *writer, l *late) {
	w.put(fmt.Sprintf(mainStart, Format, Wording), "\n<h1>Audit report</h1>\n", unchecked, "\n<h2>Summary</h2>\n<ul>")
	for _, line := range summary(r.rows) {
		w.put("<li>", text(line), "</li>")
	}
	w.put("</ul>\n<h2>What was asked, and of which log</h2>\n", coverStart)
	if l != nil {
		w.late(coverOf(l))
	}
	w.put(coverEnd, "\n")
	r.block(w, l, func() ([]byte, error) { return l.log.append(nil), nil })
	r.block(w, l, func() ([]byte, error) {
		proof, err := l.proofs(l.made.seq)
		made := append(appendProven([]byte{'{'}, l.made, proof), `,"salt":"`...)
		return append(base64.StdEncoding.AppendEncode(made, l.salt), `"}`...), err
	})
	for _, s := range sections {
		r.section(w, l, s)
	}
	w.put(explanation, mainEnd)
}

// block writes a script element with JSON.
func (r *Report) block(w *writer, l *late, content func() ([]byte, error)) {
	w.put(blockStart)
	if l != nil && w.err == nil {
		data, err := content()
		if w.late(block(data)); w.err == nil {
			w.err = err
		}
	}
	w.put(blockEnd)
}

// append appends the log as JSON.
func (l Log) append(dst []byte) []byte {
	dst = ledger.AppendString(append(dst, `{"vkey":`...), l.FirstKey)
	dst = append(dst, `,"rotations":[`...)
	for i, r := range l.Rotations {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = ledger.AppendString(dst, r)
	}
	return append(ledger.AppendString(append(dst, `],"checkpoint":`...), l.Checkpoint), '}')
}

// section is a table of a report.
type section struct {
	title, empty, note string
	has                func(sluice.Entry) bool
}

// sections are the tables of a report. Each entry is in one of them.
var sections = []section{
	{
		"What happened", "Nothing that was allowed is in this report.", "",
		func(e sluice.Entry) bool { return e.Outcome != sluice.Refused && e.Action != sluice.LinkDelivered },
	}, {
		"What was refused", "No refusal is in this report.", "",
		func(e sluice.Entry) bool { return e.Outcome == sluice.Refused },
	}, {
		"How downloads ended", "", "These entries record the ends of downloads. The table above has told them already. " +
			"One entry may record the ends of other downloads too.",
		func(e sluice.Entry) bool { return e.Outcome != sluice.Refused && e.Action == sluice.LinkDelivered },
	},
}

func (r *Report) section(w *writer, l *late, s section) {
	begun := false
	for i := range r.rows {
		if !s.has(r.rows[i].entry) {
			continue
		}
		if !begun {
			w.put("\n<h2>", s.title, "</h2>\n")
			if begun = true; s.note != "" {
				w.put("<p>", s.note, "</p>\n")
			}
			w.put(`<table><thead><tr><th scope="col">Entry</th><th scope="col">Time</th>`,
				`<th scope="col">What</th><th scope="col">Check</th></tr></thead><tbody>`)
		}
		r.row(w, l, &r.rows[i])
	}
	switch {
	case begun:
		w.put("</tbody></table>")
	case s.empty != "":
		w.put("\n<h2>", s.title, "</h2>\n<p>", s.empty, "</p>")
	}
}

const (
	rowNumber = `<tr><td class="number">` // begins every row
	rowStart  = rowNumber + `%d</td><td><time datetime="%s">%s</time></td>` +
		`<td>%s<div class="more">%s</div><div class="ids">%s</div></td><td class="mark" data-values="%s">` + blockStart
	rowEnd = blockEnd + "</td></tr>"
)

// row writes the row of an entry.
func (r *Report) row(w *writer, l *late, row *row) {
	e := row.entry
	words := sentence.Of(e)
	facts := make([]string, len(words.Facts))
	for i, f := range words.Facts {
		facts[i] = f.String()
	}
	before := fmt.Sprintf(rowStart, row.seq, e.Time.UTC().Format(time.RFC3339Nano), moment(e.Time),
		text(words.String()), text(strings.Join(facts, " · ")), text(strings.Join(idsOf(e), " · ")),
		valuesOf(row.disclosures))
	w.put("\n", before)
	if l != nil && w.err == nil {
		proof, err := l.proofs(row.seq)
		shown := sha256.Sum256([]byte(before + rowEnd))
		data := append(appendProven([]byte{'{'}, *row, proof), `,"shown":"`...)
		if w.late(block(append(base64.StdEncoding.AppendEncode(data, shown[:]), `"}`...))); w.err == nil {
			w.err = err
		}
	}
	w.put(rowEnd)
}

// valuesOf returns the digest of the personal values of an entry, which are in a late part: so none of them can be
// taken away as if it were erased.
func valuesOf(disclosures []ledger.Disclosure) string {
	sum := sha256.Sum256(disclosuresJSON(disclosures))
	return hex.EncodeToString(sum[:])
}

// idsOf returns what identifies an entry and its objects.
func idsOf(e sluice.Entry) []string {
	ids := []string{e.ID}
	if e.Link != nil && e.Link.ID != "" {
		ids = append(ids, e.Link.ID)
	}
	if f := e.File; f != nil {
		ids = append(ids, f.ID)
		if f.SHA256 != "" {
			ids = append(ids, "SHA-256 "+f.SHA256)
		}
	}
	if e.Link == nil && e.File == nil && e.Key != nil {
		ids = append(ids, e.Key.ID)
	}
	return ids
}

// unchecked is the verdict before the page has checked itself.
const unchecked = `<p class="flash" id="verdict">Not checked yet. A browser that runs scripts checks this page when ` +
	`it opens it. So does the command <code>sluice audit verify</code>.</p>`

// explanation says what a report proves.
const explanation = `
<h2>What this report proves, and what it does not</h2>
<ul><li>Each entry above is in the log of the server, under its number, as it is here. The signed checkpoint commits to ` +
	`all of them. If a letter of an entry, of its number or of a personal value is changed, the check fails.</li>` +
	`<li>The texts of this report, and the list of its entries, are as the server made them: it recorded a digest of ` +
	`them in the log before it sent the report. If a text is changed, or a row is added, moved or removed, the check ` +
	`fails.</li>` +
	`<li>The proofs do not show whether the report has every entry that matches. For that, take a copy of the whole log ` +
	`and verify it: <code>sluice audit export</code>.</li>` +
	`<li>They do not show whose key it is. Compare the key above with the one that you received from the operator in ` +
	`another way.</li>` +
	`<li>A value that was erased is missing. Its entry stays provable without it.</li>` +
	`<li>The check in this page finds changes of what the page shows. A forger who also replaces the check can make the ` +
	`page say anything. The command and the programs of third parties do not run anything from this page.</li></ul>
<h2>How to check it without this page</h2>
<p>With Sluice, on any computer, without a connection. KEY is the key of the log, as you received it:</p>
<pre class="wrap">sluice audit verify report.html --vkey KEY</pre>
<p>With another program: the first command writes the checkpoint, and the leaf and the proof of each entry, in the ` +
	`formats of c2sp.org (tlog-checkpoint, tlog-proof). Any program that verifies these can check them.</p>
<pre class="wrap">sluice audit verify report.html --vkey KEY --proofs FOLDER</pre>
`

// number returns an integer in decimal digits.
func number(n int64) string { return strconv.FormatInt(n, 10) }
