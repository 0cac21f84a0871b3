package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
)

// preset is a lifetime that a form offers.
type preset struct {
	Value string // seconds, or "never"
	Name  string
}

// presetTimes are the lifetimes that forms offer, as far as the rules allow them.
var presetTimes = []time.Duration{
	time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour, 365 * 24 * time.Hour,
}

// never is the value of a lifetime without end.
const never = "never"

// presets are the lifetimes up to the longest that is allowed. If none is as long, the longest is the last.
func presets(longest time.Duration) (list []preset) {
	most := time.Duration(0)
	for _, d := range presetTimes {
		if d <= longest {
			list = append(list, preset{strconv.FormatInt(int64(d/time.Second), 10), lifetime(d)})
			most = d
		}
	}
	switch {
	case longest == sluice.Forever:
		list = append(list, preset{never, "no end"})
	case longest > most && longest-most > longest/20 && longest >= time.Second:
		secs := int64(longest / time.Second)
		list = append(list, preset{strconv.FormatInt(secs, 10), "the longest, " + roughly(longest)})
	}
	return list
}

// usual is the preset that a new form has: a week, or the longest that is shorter.
func usual(list []preset) string {
	value := ""
	for _, p := range list {
		if secs, err := strconv.ParseInt(p.Value, 10, 64); value == "" || err == nil && secs <= 7*24*3600 {
			value = p.Value
		}
	}
	return value
}

// expiry reads when a link is to end: after a time, at a time, or never.
func expiry(form url.Values, v *sluice.Invalid) (lifetime *time.Duration, at time.Time) {
	switch choice := form.Get("expires_in_seconds"); choice {
	case "at":
		for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} { // WHATWG HTML, local date and time
			if at, err := time.Parse(layout, form.Get("expires_at")); err == nil {
				return nil, at
			}
		}
		v.Add("expires_at", "required", "give a day and a time")
		return nil, at
	case never:
		forever := sluice.Forever
		return &forever, at
	default:
		secs, err := strconv.ParseInt(choice, 10, 64)
		if err != nil || secs < 1 || secs > int64(sluice.Forever/time.Second)-1 {
			v.Add("expires_in_seconds", "invalid", "choose when the link ends")
			return nil, at
		}
		d := time.Duration(secs) * time.Second
		return &d, at
	}
}

// shareParams are the fields of the form, with the names of the API.
var shareParams = []string{
	"reason", "recipient.email", "recipient.name", "expires_in_seconds", "expires_at", "max_downloads", "password",
	"verification", "allowed_recipients", "terms", "message", "send", "language", "notify.email",
}

// sharePage is the page on which a link is made.
type sharePage struct {
	File      sluice.File
	Name      string // of the file
	Purpose   sluice.Purpose
	Form      *fields
	Presets   []preset
	Languages []choice
	Mail      bool // a mail server is configured
	More      bool // whether the part that is shown on demand has something to say
}

// choice is one of the values of a field.
type choice struct{ Value, Name string }

// Needs reports whether the purpose of the file demands something of a link.
func (p sharePage) Needs(r string) bool { return p.Purpose.Requires(sluice.Requirement(r)) }

func (v *visit) showShare() error {
	f, err := v.svc.Files.Get(v.r.Context(), v.caller, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if why := v.whyNotShared(f); why != "" {
		return sluice.Errorf(sluice.CodeForbidden, "%s", why)
	}
	values := url.Values{"expires_in_seconds": {usual(presets(v.svc.Links.Longest(v.caller, f)))}}
	if v.svc.SendsMail() {
		values.Set("verification", string(sluice.EmailVerification))
		values.Set("send", "true")
		values.Set("notify.email", v.session.Person.Email)
	}
	return v.sharePage(http.StatusOK, f, newFields(values, shareParams...))
}

func (v *visit) sharePage(status int, f sluice.File, form *fields) error {
	p := sharePage{
		File: f, Name: fileName(f), Purpose: v.purpose(f), Form: form,
		Presets: presets(v.svc.Links.Longest(v.caller, f)), Languages: languages, Mail: v.svc.SendsMail(),
	}
	for _, name := range []string{"allowed_recipients", "terms", "message", "language", "notify.email"} {
		p.More = p.More || form.Problem(name) != ""
	}
	p.More = p.More || p.Needs("terms")
	return v.show(status, "share", p)
}

// languages are those of the pages and mails for recipients, each by its own name.
var languages = []choice{
	{"en", "English"}, {"de", "Deutsch"}, {"fr", "Français"}, {"es", "Español"}, {"it", "Italiano"},
	{"nl", "Nederlands"}, {"pt", "Português"}, {"pl", "Polski"}, {"ja", "日本語"}, {"zh", "中文"},
}

// share makes a link, and shows it.
func (v *visit) share() error {
	values, err := v.form()
	if err != nil {
		return err
	}
	f, err := v.svc.Files.Get(v.r.Context(), v.caller, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	var invalid sluice.Invalid
	n := v.newLink(f, values, &invalid)
	var l sluice.Link
	v.once(values)
	if err = invalid.Err(); err == nil {
		l, err = v.svc.Links.Mint(v.r.Context(), v.caller, n)
	}
	if err != nil {
		form := newFields(values, shareParams...)
		if !form.fail("No link was made", err) {
			return err
		}
		return v.sharePage(v.call.Problem(v.r.Context(), err).Status, f, form)
	}
	if !v.caller.Grants(sluice.LinksRead) {
		return sluice.Errorf(sluice.CodeForbidden, "the link %s was made, but your role does not show links", l.ID)
	}
	return v.redirect(did(v.path("/links/"+l.ID), "link-made"))
}

// newLink reads the form of a link. A box that is not ticked sends nothing, so what the form can say of verification is
// always meant.
func (v *visit) newLink(f sluice.File, form url.Values, invalid *sluice.Invalid) service.NewLink {
	get := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	n := service.NewLink{
		FileID: f.ID, Reason: get("reason"), Password: form.Get("password"), Send: get("send") == "true",
		Access: sluice.Access{
			Recipient: sluice.Recipient{Email: get("recipient.email"), Name: get("recipient.name")},
			Message:   lines(get("message")), Terms: lines(get("terms")), Language: get("language"),
			Verification: sluice.NoVerification,
		},
	}
	n.Lifetime, n.Expires = expiry(form, invalid)
	n.Access.Allowed = strings.FieldsFunc(form.Get("allowed_recipients"), isBetweenAddresses)
	people := n.Access.Recipient.Email != "" || len(n.Access.Allowed) > 0
	if get("verification") == string(sluice.EmailVerification) && people {
		n.Access.Verification = sluice.EmailVerification
	}
	n.Send = n.Send && n.Access.Recipient.Email != "" // the box is ticked before anyone is named
	if most := get("max_downloads"); most != "" {
		var err error
		if n.MaxDownloads, err = strconv.ParseInt(most, 10, 64); err != nil || n.MaxDownloads < 1 {
			invalid.Add("max_downloads", "out_of_range", "this is a number from 1")
		}
	}
	for _, on := range form["notify.on"] {
		n.Access.Notify.On = append(n.Access.Notify.On, sluice.NotifyOn(on))
	}
	if len(n.Access.Notify.On) > 0 {
		n.Access.Notify.Email = get("notify.email")
	}
	return n
}

// lines brings the ends of lines of a form, which are CR LF (WHATWG HTML), into those of texts.
func lines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }

func isBetweenAddresses(r rune) bool { return strings.ContainsRune(",; \t\r\n", r) }
