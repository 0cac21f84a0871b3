package console

import (
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"sluice"
	"sluice/internal/httpd"
)

func (s *site) mountSignIn() {
	s.server.HandlePage("GET /console", s.open("GET", "/console", (*visit).start))
	s.server.HandlePage("GET /console/{$}", s.open("GET", "/console", (*visit).start))
	s.server.HandlePage("GET /console/signin", s.open("GET", "/console/signin", (*visit).showSignIn))
	if s.provider == nil {
		s.server.HandlePage("POST /console/signin", s.open("POST", "/console/signin", (*visit).signIn))
	} else {
		s.mountProvider()
	}
	s.server.HandlePage("POST /console/signout", s.open("POST", "/console/signout", (*visit).signOut))
}

// start sends the browser to the first page.
func (v *visit) start() error {
	if err := v.findSessions(); sluice.CodeOf(err) == sluice.CodeUnauthenticated {
		return v.redirect(v.signInPath(""))
	} else if err != nil {
		return err
	}
	var modes []sluice.Mode
	for _, c := range v.callers {
		modes = append(modes, c.Ledger.Mode)
	}
	v.mode = firstMode(modes)
	return v.redirect(v.path("/"))
}

// firstMode is the mode that a person sees first: live if they are signed in to it.
func firstMode(modes []sluice.Mode) sluice.Mode {
	if slices.Contains(modes, sluice.Live) {
		return sluice.Live
	}
	return sluice.Test
}

// signInView is the data of the page on which people sign in.
type signInView struct {
	Problem string // why they could not
	Next    string // the page to go to
	Issuer  string // URL of the provider; "" if people sign in with API keys
}

func (v *visit) showSignIn() error {
	return v.askToSignIn(http.StatusOK, "", v.r.URL.Query().Get("next"))
}

// askToSignIn shows the page on which people sign in, with what was wrong.
func (v *visit) askToSignIn(status int, problem, next string) error {
	d := signInView{Problem: problem, Next: v.safeNext(next)}
	if v.provider != nil {
		d.Issuer = v.provider.Issuer()
	}
	return v.show(status, "signin", d)
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
	return v.askToSignIn(p.Status, problem, form.Get("next"))
}

// begin gives the browser the token of a new session, in the place of the one that it has, and sends it to a page, or
// to the first page of the mode of the visit. The token is always a new one: another site, or whoever used the browser
// before, cannot know it.
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
