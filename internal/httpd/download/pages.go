package download

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"sluice"
	"sluice/internal/gate"
	"sluice/internal/httpd/pages"
	"sluice/internal/presentation"
)

// about returns what the page of a link says about the file of a grant.
func (f *face) about(g *gate.Grant) pages.Link {
	l := pages.Link{
		Step: pages.StepDownload, Name: presentation.Name(g.Link, g.File), Size: g.File.Size, Until: g.Link.Expires,
		Now: f.now(), Left: -1, From: f.from, Message: g.Link.Access.Message, Password: g.Link.Password != "",
	}
	if g.Link.MaxDownloads != 0 {
		l.Left = max(0, g.Link.MaxDownloads-g.Link.Downloads)
	}
	return l
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
