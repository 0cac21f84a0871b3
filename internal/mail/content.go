package mail

import (
	"bytes"
	_ "embed"
	"html/template"
	"strings"
	textTemplate "text/template"
	"time"

	"sluice/internal/brand"
	"sluice/internal/presentation"
	"sluice/internal/service"
	"sluice/internal/text"
)

// content is what a mail says, in the order in which it stands there. Both templates show it.
type content struct {
	Lang    string
	Subject string
	Intro   []string // paragraphs
	Code    string
	Facts   []string // lines about the link
	Quote   string   // the sender's message
	QuoteOf string   // the line before it
	Action  string   // the text of URL
	URL     string   // "" for none
	Notes   []string
	Name    string // of the operator
	Footer  string
	Pages   []page
	Accent  brand.Shade
}

// page is a page or address of the operator.
type page struct {
	Label, Text string
	URL         template.URL // package brand has checked it
}

//go:embed mail.html
var htmlSource string

//go:embed mail.txt
var textSource string

var (
	htmlMail = template.Must(template.New("mail").Parse(htmlSource))
	textMail = textTemplate.Must(textTemplate.New("mail").Parse(textSource))
)

func (c content) render() (plain, html string, err error) {
	var p, h bytes.Buffer
	if err = textMail.Execute(&p, c); err == nil {
		err = htmlMail.Execute(&h, c)
	}
	return strings.TrimSpace(p.String()) + "\n", h.String(), err
}

// notices are the texts of the kinds of notices: the subject, what one event is, and what several are.
var notices = map[service.MailKind][3]string{
	service.MailFirstDownload: {"mail_downloaded_subject", "mail_first_download", "mail_first_download"},
	service.MailEveryDownload: {"mail_downloaded_subject", "mail_downloaded", "mail_downloads"},
	service.MailRefused:       {"mail_refused_subject", "mail_refused", "mail_refusals"},
}

// reasons are the texts of refusals; a rule that is not here is named as the log names it.
var reasons = map[string]string{
	"expired": "title_expired", "revoked": "title_revoked", "file_deleted": "file_deleted",
	"exhausted": "no_downloads_left", "wrong_password": "wrong_password", "wrong_code": "wrong_code",
	"address_not_allowed": "network_not_allowed", "recipient_not_allowed": "mail_recipient_not_allowed",
	"too_many_codes": "too_many_codes",
}

// sender is the name that a mail is in.
func (w *Writer) sender() string {
	for _, name := range []string{w.Brand.Name, w.Server.from.Name} {
		if name = line(name); name != "" {
			return name
		}
	}
	return w.Server.from.Address
}

// content says what a letter says in its language.
func (w *Writer) content(l service.Letter, now time.Time) content {
	t := text.For(l.Language, "")
	from, file := w.sender(), clip(line(presentation.Name(l.Link, l.File)), 150)
	c := content{Lang: t.Tag()}
	w.brand(t, &c)
	switch l.Kind {
	case service.MailCode:
		c.Code = l.Code
		if len(l.Code) == 8 {
			c.Code = l.Code[:4] + " " + l.Code[4:]
		}
		c.Subject = t.Text("mail_code_subject", "code", c.Code)
		c.Intro = []string{t.Text("mail_code", "from", from)}
		c.Notes = []string{t.Text("mail_code_valid"), t.Text("mail_code_ignore")}
	case service.MailLink:
		c.Subject = t.Text("mail_link_subject", "from", from, "file", file)
		c.Intro = []string{t.Text("mail_link", "from", from)}
		c.Facts = []string{fact(t, "mail_file", file), fact(t, "size", t.Size(l.File.Size))}
		c.Quote, c.QuoteOf = paragraphs(l.Message), t.Text("message_from", "name", from)
		c.Action, c.URL = t.Text("mail_open"), l.URL
		if !l.Link.Expires.IsZero() {
			c.Facts = append(c.Facts, fact(t, "until", t.Date(l.Link.Expires)))
		}
		if l.Verifies {
			c.Notes = append(c.Notes, t.Text("mail_link_code"))
		}
		c.Notes = append(c.Notes, t.Text("mail_link_private"))
	case service.MailUnopened:
		c.Subject = t.Text("mail_unopened_subject", "file", file)
		c.Intro = []string{t.Text("mail_unopened", "in", t.In(l.Link.Expires.Sub(now)), "date", t.Date(l.Link.Expires))}
	default:
		names := notices[l.Kind]
		said := names[1]
		if l.Count > 1 {
			said = names[2]
		}
		c.Subject = t.Text(names[0], "file", file)
		c.Intro = []string{t.Text(said, "n", l.Count, "date", t.Date(l.At))}
	}
	if l.Kind.Rank() == service.NoticeRank {
		c.Facts, c.Notes = noticeFacts(t, l, file), []string{t.Text("mail_notice_why")}
	}
	return c
}

// fact is a line with the text of a name and a value.
func fact(t *text.Language, name, value string) string {
	return t.Text("mail_fact", "label", t.Text(name), "value", line(value))
}

// noticeFacts are what a notice says of the link and of the newest event.
func noticeFacts(t *text.Language, l service.Letter, file string) []string {
	facts := []string{fact(t, "mail_file", file), fact(t, "mail_link_id", l.LinkID)}
	if l.By != "" {
		facts = append(facts, fact(t, "mail_by", l.By))
	}
	if l.Refusal != "" {
		reason := string(l.Refusal)
		if name := reasons[reason]; name != "" {
			reason = t.Text(name)
		}
		facts = append(facts, fact(t, "mail_reason", reason))
	}
	if l.Kind != service.MailUnopened {
		facts = append(facts, fact(t, "mail_entry", l.Entry))
	}
	return facts
}

// brand adds what a mail says of its operator.
func (w *Writer) brand(t *text.Language, c *content) {
	c.Name, c.Footer = line(w.Brand.Name), paragraphs(w.Brand.Footer)
	c.Accent = w.Brand.Accent.Light
	if w.Brand.Accent == (brand.Accent{}) {
		c.Accent = brand.DefaultAccent().Light
	}
	if w.Brand.Contact != "" {
		c.Pages = append(c.Pages, page{t.Text("contact"), w.Brand.ContactText(), template.URL(w.Brand.Contact)})
	}
	if w.Brand.Imprint != "" {
		c.Pages = append(c.Pages, page{t.Text("imprint"), w.Brand.Imprint, template.URL(w.Brand.Imprint)})
	}
	if w.Brand.Privacy != "" {
		c.Pages = append(c.Pages, page{t.Text("privacy"), w.Brand.Privacy, template.URL(w.Brand.Privacy)})
	}
}
