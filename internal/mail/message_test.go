package mail_test

import (
	"fmt"
	"mime"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"sluice"
	"sluice/internal/brand"
	"sluice/internal/mail"
	"sluice/internal/service"
	"sluice/internal/text"
	"sluice/sluicetest"
)

var epoch = time.Date(2026, 11, 28, 21, 0, 0, 0, time.UTC)

// northwind is a writer of mails, through a server.
func northwind(t testing.TB, url string) *mail.Writer {
	t.Helper()
	s, err := mail.NewServer(url, "Northwind <files@northwind.example>")
	if err != nil {
		t.Fatal(err)
	}
	return &mail.Writer{Server: s, Brand: brand.Brand{Name: "Northwind Bank", Footer: "Northwind Bank AG, Zürich",
		Contact: "mailto:help@northwind.example", Imprint: "https://northwind.example/imprint"}}
}

// letter is one of a kind, with all that it may say.
func letter(kind service.MailKind, language string) service.Letter {
	return service.Letter{
		Mail: service.Mail{ID: "mail_01k" + string(kind), Kind: kind, LinkID: "link_01", Entry: "aud_01",
			Language: language, Count: 3},
		Address: "ann@bank.example", Name: "Ann Example", URL: "https://files.example/l/sl_secret", Code: "12345678",
		Message: "Dear Ann,\nhere is the statement.", Verifies: true, At: epoch, By: "bob@bank.example",
		Refusal: sluice.WrongPassword,
		Link:    sluice.Link{ID: "link_01", Created: epoch, Expires: epoch.Add(72 * time.Hour)},
		File:    sluice.File{Filename: "Kontoauszug März.pdf", Size: 1_600_000, Type: "application/pdf"},
	}
}

func decoded(t testing.TB, header string) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(header)
	if err != nil {
		t.Errorf("%q: %v", header, err)
	}
	return text
}

// TestMails sends each kind of mail in each language to a real server, and reads what arrived. A mail has a part in
// plain text and one in HTML, says that a machine sent it, and loads and tracks nothing.
func TestMails(t *testing.T) {
	server := sluicetest.NewMailpit(t)
	w := northwind(t, server.URL())
	var sent []service.Letter
	for _, kind := range service.MailKinds {
		for _, language := range text.Languages() {
			l := letter(kind, language)
			l.ID += language
			if err := w.Send(t.Context(), l, epoch); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, l)
		}
	}
	for i, got := range server.Await(t, len(sent)) {
		l := sent[i]
		t.Run(string(l.Kind)+"-"+l.Language, func(t *testing.T) { checkMail(t, l, got) })
	}
}

func checkMail(t *testing.T, l service.Letter, got sluicetest.Received) {
	checkForm(t, got)
	for name, want := range map[string]string{
		"Message-Id": "<" + l.ID + "@northwind.example>", "Auto-Submitted": "auto-generated",
		"Content-Language": l.Language, "From": `"Northwind" <files@northwind.example>`,
		"To": `"Ann Example" <ann@bank.example>`, "Date": "Sat, 28 Nov 2026 21:00:00 +0000", "List-Unsubscribe": "",
	} {
		if h := got.Header.Get(name); h != want {
			t.Errorf("%s: %q, want %q", name, h, want)
		}
	}
	subject := decoded(t, got.Header.Get("Subject"))
	wants, never := []string{"Northwind Bank AG, Zürich"}, []string{"{", "<no value>", "ZgotmplZ"}
	switch l.Kind {
	case service.MailCode:
		wants = append(wants, "1234 5678")
		never = append(never, l.URL, "/l/", "Kontoauszug") // no link that acts, and not what the file is
		if !strings.Contains(subject, "1234 5678") {
			t.Errorf("the subject %q has no code", subject)
		}
	case service.MailLink:
		wants = append(wants, l.URL, "Kontoauszug März.pdf", "here is the statement.", "Northwind Bank", "2026")
		if !strings.Contains(subject, "Kontoauszug März.pdf") {
			t.Errorf("the subject %q has no file", subject)
		}
	default:
		wants = append(wants, "link_01", "Kontoauszug März.pdf")
		never = append(never, l.URL, "1234 5678")
	}
	if l.Language == "en" && l.Kind == service.MailEveryDownload {
		wants = append(wants, "downloaded 3 times, most recently on 28 November 2026, 21:00 UTC", "bob@bank.example",
			"aud_01")
	}
	for part, body := range map[string]string{"text": got.Text, "HTML": got.HTML} {
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("the %s has no %q:\n%s", part, want, body)
			}
		}
		for _, not := range never {
			if strings.Contains(body, not) {
				t.Errorf("the %s has %q:\n%s", part, not, body)
			}
		}
	}
	if !strings.Contains(got.HTML, `lang="`+l.Language+`"`) {
		t.Errorf("the HTML is not in %s:\n%s", l.Language, got.HTML)
	}
}

var remote = regexp.MustCompile(`(?i)<img|<script|<link|<iframe|src=|url\(|@import|<form|onclick`)

// checkForm checks what every mail must be (RFC 5322 section 2.1, RFC 2046 section 5.1.4). Its lines are far from
// the bound of 998 octets.
func checkForm(t *testing.T, got sluicetest.Received) {
	t.Helper()
	if kind, _, err := mime.ParseMediaType(got.Header.Get("Content-Type")); kind != "multipart/alternative" || err != nil {
		t.Errorf("Content-Type: %s", got.Header.Get("Content-Type"))
	}
	if remote.MatchString(got.HTML) {
		t.Errorf("the HTML loads or runs something:\n%s", got.HTML)
	}
	for i, line := range strings.Split(strings.TrimSuffix(got.Raw, "\r\n"), "\r\n") {
		if len(line) > 300 || strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("line %d has %d octets: %q", i+1, len(line), line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII }) {
			t.Errorf("line %d is not ASCII: %q", i+1, line)
		}
	}
	for name, values := range got.Header {
		if len(values) != 1 && name != "Received" {
			t.Errorf("%s is there %d times", name, len(values))
		}
	}
}

// TestHostileTexts puts texts into names, file names, messages and brands that would add headers, recipients or parts,
// turn the direction of writing, or break the bound on lines.
func TestHostileTexts(t *testing.T) {
	server := sluicetest.NewMailpit(t)
	w := northwind(t, server.URL())
	hostile := []string{
		"Ann\r\nBcc: eve@evil.example", "Ann\nX-Evil: yes\n\nbody", "Ann\r\n\r\n<b>body</b>", `Ann" <eve@evil.example>, "`,
		"Ann, eve@evil.example", "=?utf-8?q?Ann=0D=0ABcc:_eve@evil.example?=", "\u202egpj.exe", "a\u2066b\u2069\u200fc",
		"\u2028Bcc: eve@evil.example", "a\x00b\x1bc\x7f", "\xff\xfe", strings.Repeat("x", 2000), strings.Repeat("ä ", 700),
		strings.Repeat("測", 255), "<script>alert(1)</script>", "{{.URL}}", "{from}{file}{code}", ".\r\n.\r\nQUIT\r\n",
		"--boundary--", "🏳️‍🌈 👩‍💻", "مرحبا", " ", "",
	}
	var sent []service.Letter
	for i, evil := range hostile {
		for _, kind := range []service.MailKind{service.MailCode, service.MailLink, service.MailRefused} {
			l := letter(kind, "en")
			l.ID = fmt.Sprintf("mail_%d_%s", i, kind)
			l.Name, l.File.Filename, l.Message, l.Refusal = evil, evil, evil, sluice.Refusal(evil)
			w.Brand.Name, w.Brand.Footer = evil, evil
			if err := w.Send(t.Context(), l, epoch); err != nil {
				t.Fatalf("%q: %v", evil, err)
			}
			sent = append(sent, l)
		}
	}
	known := []string{"Auto-Submitted", "Content-Language", "Content-Type", "Date", "From", "Message-Id", "Mime-Version",
		"Received", "Return-Path", "Subject", "To", "User-Agent", "X-Mailer"}
	for i, got := range server.Await(t, len(sent)) {
		checkForm(t, got)
		for name := range got.Header {
			if !strings.Contains(strings.Join(known, " ")+" ", name+" ") {
				t.Errorf("%q added the header %s", sent[i].Name, name)
			}
		}
		to, err := got.Header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != "ann@bank.example" {
			t.Errorf("%q: To is %q, %v", sent[i].Name, got.Header.Get("To"), err)
		}
		if got.Header.Get("Message-Id") != "<"+sent[i].ID+"@northwind.example>" {
			t.Errorf("Message-ID %s", got.Header.Get("Message-Id"))
		}
		for part, text := range map[string]string{"name": to[0].Name, "subject": decoded(t, got.Header.Get("Subject")),
			"text": got.Text, "HTML": got.HTML} {
			if strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) || r == 0 }) {
				t.Errorf("the %s turns the direction of writing: %q", part, text)
			}
			if part == "HTML" && strings.Contains(text, "<script") || strings.Contains(text, "sl_secret") &&
				sent[i].Kind != service.MailLink {
				t.Errorf("the %s has %q", part, text)
			}
		}
	}
}

// TestHostileAddresses refuses addresses that cannot stand in a command as they are.
func TestHostileAddresses(t *testing.T) {
	w := northwind(t, "smtp://127.0.0.1:1")
	for _, address := range []string{
		"", "ann", "@bank.example", "ann@", "a b@bank.example", "ann@bank.example>\r\nRCPT TO:<eve@evil.example",
		"ann@bank.example,eve@evil.example", `"ann"@bank.example`, "ann@bank@evil.example", "änn@bank.example",
		"ann@[127.0.0.1]", "<ann@bank.example>", strings.Repeat("a", 250) + "@b.example", "ann@bank.example\x00",
	} {
		l := letter(service.MailLink, "en")
		l.Address = address
		if err := w.Send(t.Context(), l, epoch); err == nil || !strings.Contains(err.Error(), "cannot stand in a header") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
