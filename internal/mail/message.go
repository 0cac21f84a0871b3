package mail

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"

	"sluice/internal/brand"
	"sluice/internal/service"
)

// Writer writes mails: in the name of an operator, and from the address of a Server.
type Writer struct {
	Brand  brand.Brand
	Server *Server
}

// maxSubject and maxName bound a subject and a name in characters: mail programs show less. A line of a mail has at
// most 998 octets (RFC 5322 section 2.1.1), and a long word is not folded.
const (
	maxSubject = 200
	maxName    = 100
)

// message makes the mail that goes out: plain text and HTML (RFC 2046 section 5.1.4). All attempts to send it have the
// same Message-ID. Mail programs answer no mail that says that a machine sent it (RFC 3834).
func (w *Writer) message(l service.Letter, now time.Time) (*gomail.Msg, error) {
	if !plainAddress(l.Address) {
		return nil, fmt.Errorf("the address of the mail %s cannot stand in a header", l.ID)
	}
	c := w.content(l, now)
	m := gomail.NewMsg()
	m.FromMailAddress(&mail.Address{Name: clip(line(w.Server.from.Name), maxName), Address: w.Server.from.Address})
	m.ToMailAddress(&mail.Address{Name: clip(line(l.Name), maxName), Address: l.Address})
	m.Subject(clip(line(c.Subject), maxSubject))
	m.SetDateWithValue(now)
	m.SetMessageIDWithValue(l.ID + "@" + w.Server.domain())
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("Content-Language", c.Lang)
	text, html, err := c.render()
	if err != nil {
		return nil, err
	}
	m.SetBodyString(gomail.TypeTextPlain, text)
	m.AddAlternativeString(gomail.TypeTextHTML, html)
	return m, nil
}

// line makes a text one line without control characters, which no name in a header or sentence needs, and without
// those that turn the direction of writing: exe.fdp must not be shown as pdf.exe (Unicode Technical Report 36).
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// paragraphs cleans a text of several lines in the same way.
func paragraphs(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = line(lines[i])
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// clip shortens a text to a number of characters.
func clip(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}
