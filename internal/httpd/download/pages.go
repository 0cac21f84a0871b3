package download

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/presentation"
)

// The pages of links need no script, load nothing, and show no text from a client but the name of a file.

// question is the data of the page that asks before a download.
type question struct {
	From     string // the name of the sender, "" when none is configured
	Name     string
	Size     int64
	Password bool   // whether the link has a password
	Wrong    bool   // whether the password was wrong
	Counted  bool   // whether the link has a limit of downloads
	Left     int64  // downloads left, when Counted
	Until    string // when the link expires, "" for never
}

// question returns the data of the page for the link of a grant.
func (f *face) question(g *gate.Grant) question {
	q := question{
		From: f.from, Name: presentation.Name(g.Link, g.File), Size: g.File.Size, Password: g.Link.Password != "",
		Counted: g.Link.MaxDownloads != 0, Left: max(0, g.Link.MaxDownloads-g.Link.Downloads),
	}
	if !g.Link.Expires.IsZero() {
		q.Until = g.Link.Expires.UTC().Format("2 January 2006, 15:04 UTC")
	}
	return q
}

// ask shows the page that asks before a download. Its form goes to the address of the page itself.
func (c call) ask(w http.ResponseWriter, status int, q question) {
	c.showPage(c.Record(w), status, questionPage, q)
}

func (c call) showPage(w http.ResponseWriter, status int, page *template.Template, data any) {
	c.Header["Content-Type"] = []string{"text/html; charset=utf-8"}
	c.Header["Content-Security-Policy"] = pagePolicy
	w.WriteHeader(status)
	_ = page.Execute(w, data)
}

// ownPage refuses a form that a page of another site sends through a browser: it would consume a download, or use the
// password of the person at the browser. Over plain HTTP, a browser sends no Sec-Fetch-Site, and the Origin of our own
// page is null, since the page sends no referrer.
func ownPage(r *http.Request) error {
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "null" {
		return nil
	}
	if new(http.CrossOriginProtection).Check(r) != nil {
		return sluice.Errorf(sluice.CodeForbidden, "a page of another site sent this form: open the link itself")
	}
	return nil
}

// maxAnswer limits the form of a page, in bytes.
const maxAnswer = 8 << 10

// readAnswer reads the form of a page. It ignores the query of the address, which anyone may have added to a link.
func readAnswer(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Header.Get("Content-Type") == "" && r.ContentLength == 0 { // a form without a password
		return nil, nil
	}
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || t != "application/x-www-form-urlencoded" {
		return nil, sluice.Errorf(sluice.CodeUnsupportedType, "the body must be a form, application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, sluice.Errorf(sluice.CodeTooLarge, "the form is larger than %d bytes", maxAnswer)
	}
	if err == nil {
		var form url.Values
		if form, err = url.ParseQuery(string(body)); err == nil {
			// The download that follows may take long: the deadline for the body would end it.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			return form, nil
		}
	}
	return nil, sluice.Errorf(sluice.CodeValidation, "the body is not a form")
}

const pageStyle = `:root{color-scheme:light dark;
--text:#1c1e21;--quiet:#62676d;--back:#f4f5f6;--card:#fff;--line:#d5d8dc;--act:#1f5fbf;--on:#fff;--bad:#a40000}
@media(prefers-color-scheme:dark){:root{
--text:#e8eaed;--quiet:#9aa0a6;--back:#141517;--card:#1e2023;--line:#3c4043;--act:#8ab4f8;--on:#10233f;--bad:#ff8a80}}
body{font:1rem/1.5 system-ui,sans-serif;max-width:26rem;margin:12vh auto;padding:0 1rem;
color:var(--text);background:var(--back)}
main{padding:1.5rem 1.75rem;background:var(--card);border:1px solid var(--line);border-radius:.6rem}
h1{font-size:1.25rem;line-height:1.3;margin:0 0 .5rem;overflow-wrap:anywhere}
p{margin:.5rem 0}
form{margin-top:1.25rem}
input,button{font:inherit;display:block;width:100%;box-sizing:border-box;padding:.5rem .7rem;
border:1px solid var(--line);border-radius:.35rem}
input{margin:.3rem 0 1rem}
button{border-color:var(--act);background:var(--act);color:var(--on);font-weight:600;cursor:pointer}
button:hover{filter:brightness(1.1)}
:focus-visible{outline:2px solid var(--act);outline-offset:2px}
.note{margin-top:1.25rem;color:var(--quiet);font-size:.8rem;overflow-wrap:anywhere}
.wrong{color:var(--bad)}`

var pagePolicy = func() []string {
	sum := sha256.Sum256([]byte(pageStyle))
	style := base64.StdEncoding.EncodeToString(sum[:])
	return []string{"default-src 'none'; style-src 'sha256-" + style +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
}()

// newPage parses the template of a page: the given title and body within what all pages share.
func newPage(name, title, body string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{"size": sizeFor}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>` + title + `</title>
<style>` + pageStyle + `</style>
<main>
` + body + `</main>
</html>
`))
}

var questionPage = newPage("question", `{{.Name}}`, `<h1>{{.Name}}</h1>
<p>A file of {{size .Size}}{{if .From}} from {{.From}}{{end}}.
{{if or .Counted .Until}}<p>
{{- if .Counted}}{{if gt .Left 0}}{{.Left}}{{else}}No{{end}} download{{if ne .Left 1}}s{{end}} left.{{end}}
{{if .Until}}The link expires on {{.Until}}.{{end}}
{{end}}{{if .Password}}<p>The sender gave you a password for this file.
{{end}}{{if .Wrong}}<p class="wrong" role="alert">Wrong password. Try again.
{{end}}<form method="post">
{{if .Password}}<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="off" required autofocus>
{{end}}<button>Download</button>
</form>
`)

// sizeFor formats a number of bytes for a person.
func sizeFor(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	value, unit := float64(n), ""
	for _, unit = range []string{"kB", "MB", "GB", "TB"} {
		if value /= 1000; value < 999.95 {
			break
		}
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + unit
}

// refusalTitle is the short reason why a link does not open.
const refusalTitle = `{{if eq .Reason "expired"}}This link has expired` +
	`{{else if eq .Reason "revoked"}}This link was revoked{{else}}{{.Title}}{{end}}`

var refusalPage = newPage("refusal", refusalTitle, `<h1>`+refusalTitle+`</h1>
<p>{{if eq .Status 404}}There is no such link. Check that you copied the whole address.
{{- else if eq .Reason "expired" "revoked"}}
{{- else if eq .Reason "key_revoked" "key_expired" "key_restricted"}}The sender may no longer share this file.
{{- else if eq .Reason "purpose_restricted"}}Files of this kind may no longer be shared by link.
{{- else if eq .Reason "altered"}}The record of this link was changed without authority. Ask the sender for another link.
{{- else if eq .Reason "file_deleted"}}The file behind this link was deleted.
{{- else if eq .Reason "exhausted"}}This link has no downloads left.
{{- else if eq .Reason "wrong_password"}}This link needs a password.
{{- else if eq .Reason "address_not_allowed"}}This link may not be used from your address.
{{- else if eq .Status 403}}Open the link itself, and use the button on its page.
{{- else if eq .Status 429}}There were too many wrong passwords. Try again later.
{{- else if eq .Status 410}}This link is no longer valid.
{{- else}}The file cannot be sent now. Try again later.{{end}}
{{if or (eq .Status 404) (eq .Status 410) (eq .Reason "address_not_allowed")}}Ask the sender for a new link.{{end}}
<p class="note">Request {{.RequestID}}
`)
