package console

import (
	"net/http"
	"slices"

	"sluice"
	"sluice/internal/service"
)

// The cookie with the token of a session. A browser keeps one with the prefix __Host- only if it came over TLS from
// this very host, so no other host of the domain can plant one (RFC 6265bis section 4.1.3.2).
const (
	plainCookie  = "sluice-console"
	secureCookie = "__Host-sluice"
)

func (s *site) cookieName() string {
	if s.secure {
		return secureCookie
	}
	return plainCookie
}

// cookie makes a cookie of the console. A cookie with the prefix __Host- has the path of the whole host.
func (s *site) cookie(name, value string, seconds int) *http.Cookie {
	c := &http.Cookie{
		Name: name, Value: value, Path: s.base, MaxAge: seconds,
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	}
	if s.secure {
		c.Path = "/"
	}
	return c
}

func (v *visit) setToken(token string) {
	http.SetCookie(v.w, v.cookie(v.cookieName(), token, int(sluice.SessionLifetime.Seconds())))
}

// token is the token that the browser has, or "". A browser that sends two has one that the console did not set.
func (v *visit) token() string {
	if all := v.r.CookiesNamed(v.cookieName()); len(all) == 1 {
		return all[0].Value
	}
	return ""
}

// findSessions sets the callers of the visit. It is CodeUnauthenticated if nobody is signed in the way that people sign
// in here: the operator may have configured another one since.
func (v *visit) findSessions() (err error) {
	v.callers, err = v.svc.Sessions.Find(v.r.Context(), v.token(), v.call.Request(v.r))
	v.callers = slices.DeleteFunc(v.callers, func(c service.Caller) bool {
		if v.provider == nil {
			return c.Session.KeyID == ""
		}
		return c.Session.KeyID != "" || c.Session.Person.Issuer != v.provider.Issuer()
	})
	if err == nil && len(v.callers) == 0 {
		err = sluice.Errorf(sluice.CodeUnauthenticated, "you are not signed in")
	}
	return err
}

// signOut ends the sessions of the browser.
func (v *visit) signOut() error {
	if token := v.token(); token != "" {
		if err := v.svc.Sessions.SignOut(v.r.Context(), token, v.call.Request(v.r)); err != nil {
			return err
		}
	}
	http.SetCookie(v.w, v.cookie(v.cookieName(), "", -1))
	return v.redirect(v.signInPath(""))
}
