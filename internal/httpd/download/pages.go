package download

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sluice"
	"sluice/internal/email"
	"sluice/internal/gate"
	"sluice/internal/httpd"
	"sluice/internal/httpd/pages"
	"sluice/internal/presentation"
	"sluice/internal/service"
)

// step is what a person does on the page of a link.
type step string

// The steps, as the forms of the page name them. A form that names none is for the download.
const (
	stepDownload step = ""
	stepSend     step = "send"
	stepVerify   step = "verify"
)

// next answers a person who has taken a step before the download: the page of the link shows the next one.
func (f *face) next(c call, w http.ResponseWriter, r *http.Request, made decision) {
	token := r.PathValue("token")
	switch {
	case made.err != nil: // there is nothing to prove, or it is proved already
	case made.step == stepSend:
		http.SetCookie(w, f.cookie(token, challengeCookieName, made.code, service.CodeLasts))
	case made.step == stepVerify:
		f.setVisit(w, r, made.grant)
		http.SetCookie(w, f.cookie(token, challengeCookieName, "", 0))
	}
	_, last, _ := strings.Cut(r.URL.EscapedPath(), "/l/")
	c.Header["Location"] = []string{"./" + last[strings.LastIndexByte(last, '/')+1:]}
	c.Begin(w, http.StatusSeeOther)
}

// setVisit has the browser keep its visit for as long as it lasts.
func (f *face) setVisit(w http.ResponseWriter, r *http.Request, g *gate.Grant) {
	lasts := g.Visit.Expires.Sub(f.now()) + time.Second
	http.SetCookie(w, f.cookie(r.PathValue("token"), visitCookieName, g.NewVisit, min(lasts, service.VisitLasts)))
}

// problems are the refusals that a person can do something about on the page of the link. The page says what was wrong.
var problems = map[sluice.Refusal]pages.Problem{
	sluice.WrongPassword: pages.WrongPassword, sluice.WrongCode: pages.WrongCode,
	sluice.TermsNotAccepted: pages.TermsNotAccepted, sluice.VerificationRequired: "",
}

// ask answers a person who must be asked something with the page of the link, and reports whether it did.
func (f *face) ask(w http.ResponseWriter, r *http.Request, made decision) bool {
	reason := sluice.ReasonOf(made.err)
	problem, known := problems[reason]
	status := http.StatusForbidden
	switch {
	case made.err == gate.ErrAsk:
		status = http.StatusOK
	case made.grant == nil || !httpd.IsBrowser(r):
		return false
	case made.err == gate.ErrBadAddress:
		status, problem = http.StatusBadRequest, pages.WrongAddress
	case reason == sluice.Exhausted && !made.grant.Visit.Downloaded.IsZero():
		status = http.StatusGone
	case reason == sluice.VerificationRequired:
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", challengeScheme)
	case !known:
		return false
	}
	l := f.about(r, made)
	l.Problem = problem
	f.site.Link(w, r, status, made.grant.Link.Access.Get().Language, l)
	return true
}

// about returns what the page of a link says about the file of a grant, and what it asks.
func (f *face) about(r *http.Request, made decision) pages.Link {
	g, access := made.grant, made.grant.Link.Access.Get()
	l := pages.Link{
		Step: stepOf(r, made), Name: presentation.Name(g.Link, g.File), Size: g.File.Size, Until: g.Link.Expires,
		Now: f.now(), Left: -1, From: f.from, Message: access.Message, Downloaded: g.Visit.Downloaded,
		Password: g.Link.Password != "" && !g.Visit.Password,
	}
	if g.Link.MaxDownloads != 0 {
		l.Left = max(0, g.Link.MaxDownloads-g.Link.Downloads)
	}
	if only := gate.OnlyRecipient(g.Link); only != "" {
		l.Recipient = email.Hide(only)
	}
	if l.Step == pages.StepCode {
		l.Password = false // it was given when the code was asked for
	}
	if !g.Accepted() {
		l.Terms = access.Terms
	}
	return l
}

// stepOf returns the step that the page asks for. It depends on the cookies of the browser alone, and so costs and
// tells nothing.
func stepOf(r *http.Request, made decision) pages.Step {
	g := made.grant
	switch {
	case !g.Link.Access.Verifies() || g.Verified():
		if g.Link.MaxDownloads != 0 && !g.Visit.Downloaded.IsZero() {
			return pages.StepDownloaded
		}
		return pages.StepDownload
	case made.step == stepVerify:
		return pages.StepCode
	case made.step == stepSend, r.URL.RawQuery == pages.AddressStep, cookieOf(r, challengeCookieName, maxSecret) == "":
		return pages.StepAddress
	}
	return pages.StepCode
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

// answer is the form of a page.
type answer struct {
	step                  step
	email, code, password string
	terms, again          bool
}

// readAnswer reads the form of a page. It ignores the query of the address, which anyone may have added to a link.
func readAnswer(w http.ResponseWriter, r *http.Request) (a answer, err error) {
	if r.Header.Get("Content-Type") == "" && r.ContentLength == 0 { // a form without a password
		return a, nil
	}
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || t != "application/x-www-form-urlencoded" {
		return a, sluice.Errorf(sluice.CodeUnsupportedType, "the body must be a form, application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return a, sluice.Errorf(sluice.CodeTooLarge, "the form is larger than %d bytes", maxAnswer)
	}
	if err == nil {
		var form url.Values
		if form, err = url.ParseQuery(string(body)); err == nil {
			// The download that follows may take long: the deadline for the body would end it.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			return answerOf(form)
		}
	}
	return a, sluice.Errorf(sluice.CodeValidation, "the body is not a form")
}

func answerOf(form url.Values) (a answer, err error) {
	a = answer{
		step: step(form.Get("step")), email: form.Get("email"), code: form.Get("code"), password: form.Get("password"),
		terms: form.Get("terms") == "accepted", again: form.Get("again") == "1",
	}
	switch a.step {
	case stepSend, stepVerify:
	case "download":
		a.step = stepDownload
	case stepDownload:
	default:
		return answer{}, sluice.Errorf(sluice.CodeValidation, "step is send, verify or download")
	}
	return a, nil
}
