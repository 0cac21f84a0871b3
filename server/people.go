package server

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

// The pages under /l that people see. They need no script, load nothing, and
// hold nothing that a stranger wrote but the name of a file, as text.

// question is what a link that asks first shows and asks.
type question struct {
	From     string // who the file is from, "" when that is not configured
	Name     string
	Size     int64
	Password bool // is needed
	Wrong    bool // the one that was given
	Counted  bool // each download counts
}

// ask shows the page of a link that asks first. Its form sends the answer to
// the address of the page itself.
func (c *call) ask(w http.ResponseWriter, status int, q question) {
	c.showPage(c.record(w), status, questionPage, q)
}

func (c *call) showPage(w http.ResponseWriter, status int, page *template.Template, data any) {
	c.header["Content-Type"] = []string{"text/html; charset=utf-8"}
	c.header["Content-Security-Policy"] = pagePolicy
	if c.server.svc.Redirects() { // a browser holds where the form leads on to against the policy, too
		c.header["Content-Security-Policy"] = redirectingPolicy
	}
	w.WriteHeader(status)
	_ = page.Execute(w, data)
}

const pageStyle = `body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.25rem;overflow-wrap:anywhere}
input,button{font:inherit;padding:.4rem .7rem}
input{display:block;width:100%;box-sizing:border-box;margin:.3rem 0 1rem}
.note{color:#666;font-size:.85rem}
.wrong{color:#a40000}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}.note{color:#999}.wrong{color:#ff8a80}}`

var pagePolicy = func() []string {
	sum := sha256.Sum256([]byte(pageStyle))
	style := base64.StdEncoding.EncodeToString(sum[:])
	return []string{"default-src 'none'; style-src 'sha256-" + style + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
}()

var redirectingPolicy = []string{strings.Replace(pagePolicy[0], "form-action 'self'", "form-action *", 1)}

// pages has what the pages share.
func pages(name, title, body string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{"size": sizeFor}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>` + title + `</title>
<style>` + pageStyle + `</style>
` + body + `</html>
`))
}

var questionPage = pages("question", `{{or .Name "A protected file"}}`, `<h1>{{or .Name "A protected file"}}</h1>
<p>{{if .Name}}A file of {{size .Size}}{{if .From}} from {{.From}}{{end}}.{{else if .From}}From {{.From}}.{{end}}
{{- if .Counted}} It can be downloaded a limited number of times.{{end}}
{{if .Wrong}}<p class="wrong" role="alert">That was not the password. Try again.
{{end}}<form method="post">
{{if .Password}}<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="off" required autofocus>
{{end}}<button>Download</button>
</form>
`)

// sizeFor shows a number of bytes to a person.
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

var refusalPage = pages("refusal", `{{.Title}}`, `<h1>{{.Title}}</h1>
<p>{{if eq .Status 404}}There is no such link. Check that the whole address was copied.
{{- else if eq .Reason "expired"}}This link has expired.
{{- else if eq .Reason "revoked"}}This link was ended by its owner.
{{- else if eq .Reason "file_deleted"}}The file behind this link was deleted.
{{- else if eq .Reason "exhausted"}}This link has been used as often as it may be.
{{- else if eq .Reason "wrong_password"}}This link needs its password.
{{- else if eq .Reason "address_not_allowed"}}This link may not be used from your address.
{{- else if eq .Status 429}}There were too many wrong passwords. Try again later.
{{- else if eq .Status 410}}This link is no longer good.
{{- else}}The file cannot be sent now. Try again later.{{end}}
{{if or (eq .Status 404) (eq .Status 410) (eq .Reason "address_not_allowed")}}Ask whoever gave you the link for a new one.{{end}}
<p class="note">Request {{.RequestID}}
`)
