package console

import (
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"sluice"
	"sluice/internal/httpd"
)

func (s *site) mountSignIn() {
	s.server.HandlePage("GET /console", s.open("GET", "/console", (*visit).start))
	s.server.HandlePage("GET /console/{$}", s.open("GET", "/console", (*visit).start))
	s.server.HandlePage("GET /console/signin", s.open("GET", "/console/signin", (*visit).showSignIn))
	s.server.HandlePage("POST /console/signin", s.open("POST", "/console/signin", (*visit).signIn))
	s.server.HandlePage("POST /console/signout", s.open("POST", "/console/signout", (*visit).signOut))
}

// start sends the browser to the first page.
func (v *visit) start() error {
	if err := v.findSessions(); sluice.CodeOf(err) == sluice.CodeUnauthenticated {
		return v.redirect(v.signInPath(""))
	} else if err != nil {
		return err
	}
	v.mode = v.callers[0].Ledger.Mode
	return v.redirect(v.path("/"))
}

// signInView is the data of the page on which people sign in.
type signInView struct {
	Problem string // why they could not
	Next    string // the page to go to
}

func (v *visit) showSignIn() error {
	return v.render("signin", signInView{Next: v.safeNext(v.r.URL.Query().Get("next"))})
}

// signIn signs in with an API key.
func (v *visit) signIn() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := v.tries.take(v.client()); err != nil {
		return v.refuseSignIn(err, form)
	}
	caller, err := v.svc.Keys.Authenticate(v.r.Context(), strings.TrimSpace(form.Get("key")), v.call.Request(v.r))
	if err != nil {
		return v.refuseSignIn(err, form)
	}
	token, err := v.svc.Sessions.SignIn(v.r.Context(), caller)
	if err != nil {
		return v.refuseSignIn(err, form)
	}
	v.mode = caller.Ledger.Mode
	return v.begin(token, form.Get("next"))
}

// refuseSignIn shows the page on which people sign in again, with what is wrong.
func (v *visit) refuseSignIn(err error, form url.Values) error {
	p := v.call.Problem(v.r.Context(), err)
	v.call.Header.Del("WWW-Authenticate")
	problem := p.Detail
	if p.Status == http.StatusUnauthorized {
		problem = "This is not a valid API key."
	}
	return v.show(p.Status, "signin", signInView{problem, v.safeNext(form.Get("next"))})
}

// begin gives the browser the token of a new session, in the place of the one that it has, and sends it to a page of
// the mode of the visit. The token is always a new one: another site, or whoever used the browser before, cannot know
// it.
func (v *visit) begin(token, next string) error {
	if old := v.token(); old != "" {
		if err := v.svc.Sessions.SignOut(v.r.Context(), old, v.call.Request(v.r)); err != nil {
			return err
		}
	}
	v.setToken(token)
	if next = v.safeNext(next); next == "" {
		next = v.path("/")
	}
	return v.redirect(next)
}

// signInPath is the address of the page on which people sign in. It remembers the page to go to after it.
func (s *site) signInPath(next string) string {
	if next = s.safeNext(next); next == "" {
		return s.base + "/signin"
	}
	return s.base + "/signin?" + url.Values{"next": {next}}.Encode()
}

// maxNext is the longest address that sign-in remembers.
const maxNext = 2000

// safeNext returns an address if it is that of a page of a mode, with or without a query, and otherwise "". Anything
// else could lead to another site after sign-in.
func (s *site) safeNext(next string) string {
	rest, ok := strings.CutPrefix(next, s.base+"/")
	if !ok || len(next) > maxNext {
		return ""
	}
	mode, _, ok := strings.Cut(rest, "/")
	if !ok || sluice.Mode(mode) != sluice.Test && sluice.Mode(mode) != sluice.Live {
		return ""
	}
	for _, b := range []byte(next) {
		if b <= ' ' || b >= 0x7f || b == '\\' {
			return ""
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || u.Fragment != "" {
		return ""
	}
	if cleaned := path.Clean(u.Path); cleaned != u.Path && cleaned+"/" != u.Path {
		return ""
	}
	return next
}

// client is the address of the browser.
func (v *visit) client() netip.Addr {
	head := httpd.HeadOf(v.r)
	at, _ := v.call.Describe(&head, httpd.NewPeer(v.r.RemoteAddr))
	return at
}
