package console

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/internal/signin"
)

// A sign-in at the provider takes three requests: POST /console/signin sends the browser to the provider, the provider
// sends it back to /console/signin/callback, and someone with roles in several accounts chooses one.

// callbackPath is where the provider sends browsers back to, below the URL of the console.
const callbackPath = "/console/signin/callback"

func (s *site) mountProvider() {
	s.server.HandlePage("POST /console/signin", s.open("POST", "/console/signin", (*visit).beginSignIn))
	s.server.HandlePage("GET "+callbackPath, s.open("GET", callbackPath, (*visit).finishSignIn))
	s.server.HandlePage("POST /console/signin/account", s.open("POST", "/console/signin/account", (*visit).chooseAccount))
}

// flow is what the browser keeps while it is at the provider.
type flow struct {
	signin.Flow
	Next    string    `json:"next,omitempty"`
	Expires time.Time `json:"expires"`
}

// flowLasts is how long someone may take at the provider.
const flowLasts = 10 * time.Minute

func (s *site) flowCookie() string    { return s.cookieName() + "-signin" }
func (s *site) accountCookie() string { return s.cookieName() + "-account" }

// forget has the browser forget a cookie.
func (v *visit) forget(name string) { http.SetCookie(v.w, v.cookie(name, "", -1)) }

// cookieValue is the value of a cookie that the browser has once, or "".
func (v *visit) cookieValue(name string) string {
	if all := v.r.CookiesNamed(name); len(all) == 1 {
		return all[0].Value
	}
	return ""
}

// beginSignIn sends the browser to the provider. It does so with a page, not with a redirect: a browser holds each step
// of a redirect after a form to the policy of the page with the form, and the provider may have steps on any host.
func (v *visit) beginSignIn() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	if err := v.tries.take(v.client()); err != nil {
		return v.refuseSignIn(err, form)
	}
	begun, address, err := v.provider.Begin(v.r.Context(), v.back)
	if err != nil {
		return v.providerFailed(err, form.Get("next"))
	}
	kept := flow{Flow: begun, Next: v.safeNext(form.Get("next")), Expires: v.svc.Now().Add(flowLasts)}
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	http.SetCookie(v.w, v.cookie(v.flowCookie(), base64.RawURLEncoding.EncodeToString(text), int(flowLasts.Seconds())))
	v.call.Header.Set("Refresh", "0; url="+address)
	return v.render("leave", address)
}

// flow reads what beginSignIn kept. It is zero if the browser has nothing of it, or for too long.
func (v *visit) flow() (kept flow) {
	text, err := base64.RawURLEncoding.DecodeString(v.cookieValue(v.flowCookie()))
	if err != nil || json.Unmarshal(text, &kept) != nil {
		return flow{}
	}
	if left := kept.Expires.Sub(v.svc.Now()); left <= 0 || left > flowLasts {
		return flow{}
	}
	return kept
}

// finishSignIn takes the answer of the provider. The browser forgets the flow first, so an answer is good once. Any
// site can send a browser here: what does not answer the flow of the browser costs no try and ends no flow.
func (v *visit) finishSignIn() error {
	kept := v.flow()
	if !kept.Answered(v.r.URL.Query()) {
		return v.askToSignIn(http.StatusForbidden, signInFailed, kept.Next)
	}
	v.forget(v.flowCookie())
	if err := v.tries.take(v.client()); err != nil {
		return v.refuseSignIn(err, url.Values{"next": {kept.Next}})
	}
	identity, err := v.provider.Finish(v.r.Context(), kept.Flow, v.back, v.r.URL.Query())
	if err != nil {
		return v.providerFailed(err, kept.Next)
	}
	grants, err := v.grants(identity)
	if err != nil {
		return err
	}
	if len(grants) == 0 {
		if err := v.svc.Sessions.RefusePerson(v.r.Context(), identity.Person, v.call.Request(v.r)); err != nil {
			return err
		}
		return sluice.Errorf(sluice.CodeForbidden, "you signed in, but none of your groups has a role here; "+
			"ask whoever runs this server")
	}
	if err := v.svc.Sessions.Narrow(v.r.Context(), identity.Person, grants); err != nil {
		return err
	}
	if accounts := accountsOf(grants); len(accounts) > 1 {
		return v.offerAccounts(service.PendingSignIn{Person: identity.Person, Grants: grants, Next: kept.Next}, accounts)
	}
	token, err := v.svc.Sessions.SignInPerson(v.r.Context(), identity.Person, grants, v.call.Request(v.r))
	if err != nil {
		return err
	}
	return v.beginPerson(token, grants, kept.Next)
}

// beginPerson is begin for a person with grants in the ledgers of one account.
func (v *visit) beginPerson(token string, grants []service.Grant, next string) error {
	var modes []sluice.Mode
	for _, g := range grants {
		modes = append(modes, g.Ledger.Mode)
	}
	v.mode = firstMode(modes)
	if mode, _, _ := strings.Cut(strings.TrimPrefix(next, v.base+"/"), "/"); !slices.Contains(modes, sluice.Mode(mode)) {
		next = ""
	}
	return v.begin(token, next)
}

// grants returns what a person may do, one grant for each ledger. An account that does not exist is left out.
func (v *visit) grants(identity signin.Identity) (grants []service.Grant, err error) {
	accounts, err := v.svc.Accounts.List(v.r.Context())
	if err != nil {
		return nil, err
	}
	for _, right := range identity.Rights {
		account := right.Account
		if account == "" {
			account = accounts[0].ID
		}
		if !slices.ContainsFunc(accounts, func(a sluice.Account) bool { return a.ID == account }) {
			v.call.Log().Warn("--oidc-roles names an account that does not exist", "account", account)
			continue
		}
		l := sluice.LedgerID{Account: account, Mode: right.Mode}
		i := slices.IndexFunc(grants, func(g service.Grant) bool { return g.Ledger == l })
		if i < 0 {
			i, grants = len(grants), append(grants, service.Grant{Ledger: l})
		}
		scopes := slices.Concat(grants[i].Scopes, right.Role.Scopes())
		slices.Sort(scopes)
		grants[i].Scopes = slices.Compact(scopes)
	}
	return grants, nil
}

// accountsOf returns the accounts of grants, in order.
func accountsOf(grants []service.Grant) (ids []string) {
	for _, g := range grants {
		if !slices.Contains(ids, g.Ledger.Account) {
			ids = append(ids, g.Ledger.Account)
		}
	}
	return ids
}

// offerAccounts asks a person for the account to sign in to.
func (v *visit) offerAccounts(p service.PendingSignIn, ids []string) error {
	text, err := v.svc.Sessions.SealPending(p)
	if err != nil {
		return err
	}
	all, err := v.svc.Accounts.List(v.r.Context())
	if err != nil {
		return err
	}
	var accounts []sluice.Account
	for _, a := range all {
		if slices.Contains(ids, a.ID) {
			accounts = append(accounts, a)
		}
	}
	http.SetCookie(v.w, v.cookie(v.accountCookie(), text, int(service.PendingLasts.Seconds())))
	return v.render("account", accounts)
}

// chooseAccount signs a person in to the account that they chose.
func (v *visit) chooseAccount() error {
	form, err := v.form()
	if err != nil {
		return err
	}
	p, ok := v.svc.Sessions.OpenPending(v.cookieValue(v.accountCookie()))
	v.forget(v.accountCookie())
	if !ok || p.Person.Issuer != v.provider.Issuer() {
		return v.askToSignIn(http.StatusUnauthorized, "You took too long to choose an account. Sign in again.", "")
	}
	grants := slices.DeleteFunc(p.Grants, func(g service.Grant) bool { return g.Ledger.Account != form.Get("account") })
	if len(grants) == 0 {
		return sluice.Errorf(sluice.CodeForbidden, "you have no role in this account")
	}
	token, err := v.svc.Sessions.SignInPending(v.r.Context(), p, grants, v.call.Request(v.r))
	if sluice.CodeOf(err) == sluice.CodeUnauthenticated {
		return v.askToSignIn(http.StatusUnauthorized, "You have chosen an account already. Sign in again.", "")
	}
	if err != nil {
		return err
	}
	return v.beginPerson(token, grants, p.Next)
}

// clipped is the text of an error as the log has it: the provider may have sent a long one.
func clipped(err error) string { return fmt.Sprintf("%.300s", err) }

const signInFailed = "The sign-in did not succeed. Please try again."

// providerFailed shows the sign-in page with what the provider did wrong. The log has the rest.
func (v *visit) providerFailed(err error, next string) error {
	if errors.Is(err, signin.ErrRefused) {
		v.call.Log().Info("sign-in refused", "request", v.call.ID, "error", clipped(err))
		return v.askToSignIn(http.StatusForbidden, signInFailed, next)
	}
	if errors.Is(err, signin.ErrUnavailable) {
		v.call.Log().Error("sign-in provider failed", "request", v.call.ID, "issuer", v.provider.Issuer(),
			"error", clipped(err))
		return v.askToSignIn(http.StatusBadGateway,
			"The sign-in provider did not answer as it should. Please try again in a moment.", next)
	}
	return fmt.Errorf("sign-in: %w", err)
}
