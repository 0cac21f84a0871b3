package console

import (
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"rsc.io/qr"

	"sluice"
	"sluice/internal/email"
	"sluice/internal/sentence"
	"sluice/internal/service"
)

func (s *site) mountLinks() {
	s.page("GET /links", sluice.LinksRead, (*visit).listLinks)
	s.page("GET /links/{id}", sluice.LinksRead, (*visit).showLink)
	s.page("GET /links/{id}/end", sluice.LinksWrite, (*visit).askEndLink)
	s.page("POST /links/{id}/end", sluice.LinksWrite, (*visit).endLink)
	s.page("POST /links/{id}/expiry", sluice.LinksWrite, (*visit).changeExpiry)
}

var _ = flash(map[string]string{
	"link-made":    "The link is ready.",
	"link-changed": "The link ends at another time now.",
})

// linkParams are the parameters that filter links.
var linkParams = []string{"q", "state", "ends", "from", "to", "file_id"}

// linkState is the state of a link in a word, with its tone.
type linkState struct{ Word, Tone string }

// endsSoon is how long before its end a link is said to end soon.
const endsSoon = 24 * time.Hour

func stateOf(l sluice.Link, now time.Time) linkState {
	switch {
	case l.Ended == sluice.FileDeleted:
		return linkState{"ended with its file", ""}
	case l.Ended == sluice.KeyRevoked:
		return linkState{"ended with its key", ""}
	case !l.Revoked.IsZero():
		return linkState{"ended", ""}
	case l.Expired(now):
		return linkState{"expired", ""}
	case l.MaxDownloads > 0 && l.Downloads >= l.MaxDownloads:
		return linkState{"used up", "warn"}
	case !l.Expires.IsZero() && l.Expires.Sub(now) < endsSoon:
		return linkState{"ends soon", "warn"}
	}
	return linkState{"active", "good"}
}

// linkRow is a link in a list.
type linkRow struct {
	sluice.Link
	State linkState
	Over  bool
	Path  string
	Name  string // of the file; its id if nobody knows the name
	Left  string // when it ends, such as "in 3 days"
	Seen  string // when it was opened last, such as "2 hours ago"; "" if it was not
}

func (v *visit) linkRow(l sluice.Link, f *sluice.File, now time.Time) linkRow {
	row := linkRow{
		Link: l, State: stateOf(l, now), Over: !l.Revoked.IsZero() || l.Expired(now), Path: v.path("/links/" + l.ID),
		Name: l.FileID,
	}
	if f != nil {
		row.Name = fileName(*f)
	}
	if !l.Expires.IsZero() {
		row.Left = ago(l.Expires, now)
	}
	if !l.Redeemed.IsZero() {
		row.Seen = ago(l.Redeemed, now)
	}
	return row
}

// linkRows are the rows of a list of links. Those of several files name the file.
type linkRows struct {
	Rows  []linkRow
	Named bool
}

// Asks is what a link asks of people, and tells them.
func (r linkRow) Asks() sluice.Access { return r.Access.Get() }

// For is whom a link is for.
func (r linkRow) For() string {
	a := r.Asks()
	switch {
	case a.Recipient.Name != "":
		return sentence.Visible(a.Recipient.Name)
	case a.Recipient.Email != "":
		return sentence.Visible(a.Recipient.Email)
	case len(a.Allowed) > 0:
		return sentence.Visible(strings.Join(a.Allowed, ", "))
	case a.Erased:
		return "an erased recipient"
	}
	return "anyone with the link"
}

// linkList is the page with the list of links.
type linkList struct {
	Form     *fields
	Links    linkRows
	Pages    pager
	Filtered bool
	Open     bool // whether the filters that are shown on demand are used
}

func (v *visit) listLinks() error {
	q := v.r.URL.Query()
	if id := strings.TrimSpace(q.Get("q")); strings.HasPrefix(id, sluice.PrefixLink) {
		if l, err := v.svc.Links.Get(v.r.Context(), v.caller, "", id); err == nil {
			return v.redirect(v.path("/links/" + l.ID))
		}
	}
	p := linkList{
		Form: newFields(q, linkParams...), Filtered: isFiltered(q, linkParams...), Open: isFiltered(q, "from", "to"),
	}
	now := v.svc.Now()
	var invalid sluice.Invalid
	filter, page := linkFilter(q, now, &invalid), pageOf(q)
	list, err := sluice.List[sluice.Link]{}, invalid.Err()
	if err == nil {
		list, err = v.svc.Links.List(v.r.Context(), v.caller, filter, page)
	}
	if err != nil && !p.Form.fail("The list cannot be shown", err) {
		return err
	}
	files, err := v.filesOf(list.Data)
	if err != nil {
		return err
	}
	p.Links.Named = true
	for _, l := range list.Data {
		p.Links.Rows = append(p.Links.Rows, v.linkRow(l, files[l.FileID], now))
	}
	p.Pages = pagerOf(v.r, page, list, func(l sluice.Link) string { return l.ID })
	return v.render("links", p)
}

// linkFilter reads the filter of a list of links. What is searched for is the address of a recipient, or the id of a
// file.
func linkFilter(q url.Values, now time.Time, v *sluice.Invalid) service.LinkFilter {
	yes, no := true, false
	f := service.LinkFilter{FileID: q.Get("file_id"), Created: days(q, v)}
	switch text := strings.TrimSpace(q.Get("q")); {
	case text == "":
	case strings.HasPrefix(text, sluice.PrefixFile):
		f.FileID = text
	default:
		address, err := email.Canonical(text)
		if err != nil {
			v.Add("q", "invalid", "%s", err)
		}
		f.Recipient = address
	}
	switch q.Get("state") {
	case "active":
		f.Over = &no
	case "over":
		f.Over = &yes
	}
	if ends := map[string]time.Duration{"day": 24 * time.Hour, "week": 7 * 24 * time.Hour}[q.Get("ends")]; ends != 0 {
		until := now.Add(ends)
		f.Expires.GTE, f.Expires.LT = &now, &until
	}
	return f
}

// filesOf finds the files of links, active and deleted, by their ids. Someone who may not see files gets none.
func (v *visit) filesOf(links []sluice.Link) (map[string]*sluice.File, error) {
	found := map[string]*sluice.File{}
	if len(links) == 0 || !v.caller.Grants(sluice.FilesRead) {
		return found, nil
	}
	var ids []string
	for _, l := range links {
		ids = append(ids, l.FileID)
	}
	for _, status := range []service.FileStatus{service.ActiveFiles, service.DeletedFiles} {
		list, err := v.svc.Files.List(v.r.Context(), v.caller, service.FileFilter{IDs: ids, Status: status},
			sluice.Page{Limit: sluice.MaxPageSize})
		if err != nil {
			return nil, err
		}
		for _, f := range list.Data {
			found[f.ID] = &f
		}
		if len(found) == len(ids) {
			break
		}
	}
	return found, nil
}

// linkPage is the page of a link.
type linkPage struct {
	linkRow
	File    *sluice.File // nil for someone who may not see files
	URL     string
	Code    template.URL // the URL as a QR code, in a picture; "" once the link has ended
	Mail    template.URL // begins a mail with the URL
	New     bool         // it was made just now
	Form    *fields
	Presets []preset
	Story   story
	Now     time.Time
}

func (v *visit) showLink() error {
	l, err := v.svc.Links.Get(v.r.Context(), v.caller, "", v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return v.linkPage(http.StatusOK, l, newFields(nil, "expires_in_seconds", "expires_at"))
}

// linkPage answers with the page of a link. form is that of a change of its expiry.
func (v *visit) linkPage(status int, l sluice.Link, form *fields) error {
	now := v.svc.Now()
	p := linkPage{Form: form, Now: now, New: v.r.URL.Query().Get("did") == "link-made"}
	files, err := v.filesOf([]sluice.Link{l})
	if err != nil {
		return err
	}
	p.File = files[l.FileID]
	p.linkRow = v.linkRow(l, p.File, now)
	if p.URL, err = v.svc.Links.URL(l); err != nil {
		return err
	}
	if !p.Over {
		if p.Code, err = qrCode(p.URL); err != nil {
			return err
		}
		p.Mail = mailTo(l, p.URL)
		if p.File != nil {
			longest := v.svc.Links.Longest(v.caller, *p.File)
			if longest != sluice.Forever {
				longest = l.Created.Add(longest).Sub(now)
			}
			p.Presets = presets(longest)
		}
	}
	p.Story, err = v.tell(service.EntryFilter{LinkID: l.ID}, l.FileID, url.Values{"link_id": {l.ID}}.Encode())
	if err != nil {
		return err
	}
	return v.show(status, "link", p)
}

// qrCode draws a URL as a QR code (ISO/IEC 18004), as a data URL.
func qrCode(text string) (template.URL, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	code.Scale = 4
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(code.PNG())), nil
}

// mailTo is a URL (RFC 6068) that begins a mail to the recipient of a link, in the mail program of the reader.
func mailTo(l sluice.Link, address string) template.URL {
	text, a := address, l.Access.Get()
	if a.Message != "" {
		text = a.Message + "\n\n" + address
	}
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	return template.URL("mailto:" + escape(a.Recipient.Email) + "?subject=" + escape("A file for you") +
		"&body=" + escape(strings.ReplaceAll(text, "\n", "\r\n")))
}

// ending is the page that asks whether a link is to be ended.
type ending struct {
	linkRow
	Form *fields
}

func (v *visit) askEndLink() error {
	l, err := v.svc.Links.Get(v.r.Context(), v.caller, "", v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return v.endingPage(http.StatusOK, l, newFields(nil, "reason"))
}

func (v *visit) endingPage(status int, l sluice.Link, form *fields) error {
	files, err := v.filesOf([]sluice.Link{l})
	if err != nil {
		return err
	}
	return v.show(status, "end", ending{v.linkRow(l, files[l.FileID], v.svc.Now()), form})
}

// endLink ends a link. A reason goes into the metadata of the link first, so that the entry of the end shows it.
func (v *visit) endLink() error {
	values, err := v.form()
	if err != nil {
		return err
	}
	l, err := v.svc.Links.Get(v.r.Context(), v.caller, "", v.r.PathValue("id"))
	if err != nil {
		return err
	}
	code, err := v.end(l, strings.TrimSpace(values.Get("reason")))
	if err != nil {
		form := newFields(values, "reason")
		if !form.fail("The link was not ended", underReason(err)) {
			return err
		}
		return v.endingPage(v.call.Problem(v.r.Context(), err).Status, l, form)
	}
	if !v.caller.Grants(sluice.FilesRead) {
		return v.redirect(did(v.path("/links"), code))
	}
	return v.redirect(did(v.path("/files/"+l.FileID), code))
}

// end ends a link. It returns the code of the message that says so. Only a reason that cannot be kept as it is, such as
// one that is too long, keeps the link from being ended: whoever gave it can correct it.
func (v *visit) end(l sluice.Link, reason string) (code string, err error) {
	code = "link-ended"
	if reason != "" && !l.Expired(v.svc.Now()) && l.Revoked.IsZero() {
		_, err := v.svc.Links.Update(v.r.Context(), v.caller, "", l.ID, nil,
			service.LinkChange{Metadata: map[string]*string{sentence.EndReason: &reason}})
		if isAboutReason(err) {
			return "", err
		}
		if err != nil {
			code = "link-ended-unsaid"
		}
	}
	_, err = v.svc.Links.Revoke(v.r.Context(), v.caller, "", l.ID, nil)
	return code, err
}

// reasonParam is the parameter of the metadata that holds the reason of an end.
const reasonParam = "metadata." + sentence.EndReason

// isAboutReason reports whether an error says what is wrong with the reason of an end.
func isAboutReason(err error) bool {
	var e *sluice.Error
	return errors.As(err, &e) && e.Code == sluice.CodeValidation &&
		slices.ContainsFunc(e.Fields, func(p sluice.FieldError) bool { return p.Param == reasonParam })
}

// underReason has the problems of the metadata that holds a reason name the field of the form.
func underReason(err error) error {
	e, ok := err.(*sluice.Error)
	if !ok || e.Code != sluice.CodeValidation {
		return err
	}
	named := *e
	named.Fields = nil
	for _, p := range e.Fields {
		p.Message = strings.ReplaceAll(p.Message, reasonParam, "the reason")
		p.Param = "reason"
		named.Fields = append(named.Fields, p)
	}
	return &named
}

// changeExpiry has a link end at another time.
func (v *visit) changeExpiry() error {
	values, err := v.form()
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	var change service.LinkChange
	var invalid sluice.Invalid
	lifetime, at := expiry(values, &invalid)
	change.Lifetime = lifetime
	if !at.IsZero() {
		change.Expires = &at
	}
	if err = invalid.Err(); err == nil {
		_, err = v.svc.Links.Update(v.r.Context(), v.caller, "", id, version(values), change)
	}
	if err == nil {
		return v.redirect(did(v.path("/links/"+id), "link-changed"))
	}
	form := newFields(values, "expires_in_seconds", "expires_at")
	l, found := v.svc.Links.Get(v.r.Context(), v.caller, "", id)
	if found != nil || !form.fail("The link was not changed", err) {
		return err
	}
	return v.linkPage(v.call.Problem(v.r.Context(), err).Status, l, form)
}
