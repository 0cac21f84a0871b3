// Package signin signs people in at an OpenID Connect provider: discovery, the authorization code flow with PKCE (RFC
// 7636), and the roles that follow from claims. It shows no page.
package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"sluice"
)

// Config configures a Provider.
type Config struct {
	Issuer       string // URL of the provider, https or on loopback
	ClientID     string
	ClientSecret string // "" for a public client
	RolesClaim   string // the claim with the groups of a person: a text or a list of texts; DefaultRolesClaim if ""
	Rules        []Rule
	Now          func() time.Time // time.Now if nil
}

// DefaultRolesClaim is the claim that most providers give the groups of a person in.
const DefaultRolesClaim = "groups"

// Bounds of what a provider may cost. A provider that is slower, or sends more, counts as failed.
const (
	answerTimeout = 10 * time.Second // for each of its answers
	signInTimeout = 20 * time.Second // for all answers of one sign-in
	maxAnswer     = 1 << 20          // bytes
	maxIDToken    = 64 << 10         // bytes
	maxGroups     = 2000
	maxFinishing  = 32 // sign-ins that ask the provider at once; the others wait
	// retryAfter is how long discovery is not tried again after it failed.
	retryAfter = 2 * time.Second
)

// Provider is an OpenID Connect provider. It is safe for concurrent use.
type Provider struct {
	config Config
	client *http.Client

	finishing chan struct{} // has one for each sign-in that asks the provider
	asking    chan struct{} // has one while the provider is asked for its configuration
	found     *found
	failed    time.Time
	err       error
}

// found is what discovery found.
type found struct {
	provider *oidc.Provider
	oauth    oauth2.Config
}

// ErrUnavailable is the error of a provider that does not answer, or not as OpenID Connect demands.
var ErrUnavailable = errors.New("the sign-in provider is not available")

// ErrRefused is the error of a sign-in that is not valid. Its text may be shown.
var ErrRefused = errors.New("the sign-in is not valid")

// New makes a Provider. It asks the provider nothing: the first sign-in does.
func New(c Config) (*Provider, error) {
	issuer, err := url.Parse(c.Issuer)
	if err != nil || issuer.Host == "" || issuer.RawQuery != "" || issuer.Fragment != "" || issuer.User != nil {
		return nil, fmt.Errorf("%q is not the URL of a provider; it should look like https://id.example.com", c.Issuer)
	}
	if !isSafe(issuer) {
		return nil, fmt.Errorf("the provider %s must be https: whoever can read or change what it says can sign in",
			c.Issuer)
	}
	switch {
	case len(c.Issuer) > sluice.MaxIssuerLen:
		return nil, fmt.Errorf("the URL of the provider is longer than %d bytes", sluice.MaxIssuerLen)
	case c.ClientID == "":
		return nil, errors.New("the provider knows this server by a client id")
	case len(c.Rules) == 0:
		return nil, errors.New("no group has a role, so nobody could sign in")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.RolesClaim = cmp.Or(c.RolesClaim, DefaultRolesClaim)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerTimeout
	client := &http.Client{
		Transport: bounded{transport}, Timeout: answerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the provider redirects") },
	}
	return &Provider{
		config: c, client: client, finishing: make(chan struct{}, maxFinishing), asking: make(chan struct{}, 1),
	}, nil
}

// isSafe reports whether nobody on the way to a URL can read or change what is said: https, or on loopback.
func isSafe(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

// checkEndpoints fails if the configuration of a provider has an endpoint that the issuer could not be.
func checkEndpoints(p *oidc.Provider) error {
	var document struct {
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
		Keys          string `json:"jwks_uri"`
		UserInfo      string `json:"userinfo_endpoint"` // optional
	}
	if err := p.Claims(&document); err != nil {
		return err
	}
	endpoints := []string{document.Authorization, document.Token, document.Keys}
	if document.UserInfo != "" {
		endpoints = append(endpoints, document.UserInfo)
	}
	for _, endpoint := range endpoints {
		if u, err := url.Parse(endpoint); err != nil || u.Host == "" || !isSafe(u) {
			return fmt.Errorf("the provider has the endpoint %.200q, which is not https", endpoint)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	at, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && at.IsLoopback()
}

// bounded cuts answers off after maxAnswer bytes.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// Issuer is the URL of the provider.
func (p *Provider) Issuer() string { return p.config.Issuer }

// enter waits for room in a channel. leave makes room again.
func enter(ctx context.Context, room chan struct{}) (leave func(), err error) {
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: it is busy: %w", ErrUnavailable, ctx.Err())
	}
}

// discover asks the provider for its configuration, once. Calls that come meanwhile wait for the answer.
func (p *Provider) discover(ctx context.Context) (*found, error) {
	leave, err := enter(ctx, p.asking)
	if err != nil {
		return nil, err
	}
	defer leave()
	if p.found != nil {
		return p.found, nil
	}
	if since := time.Since(p.failed); since < retryAfter {
		return nil, p.err
	}
	// The keys of the provider are fetched with this context later, so it must not end with the request.
	kept := oidc.ClientContext(context.WithoutCancel(ctx), p.client)
	provider, err := oidc.NewProvider(kept, p.config.Issuer)
	if err == nil {
		err = checkEndpoints(provider)
	}
	if err != nil {
		p.failed, p.err = time.Now(), fmt.Errorf("%w: %w", ErrUnavailable, err)
		return nil, p.err
	}
	p.found = &found{provider, oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret,
		Endpoint: provider.Endpoint(), Scopes: scopesFor(provider),
	}}
	if p.config.ClientSecret == "" {
		p.found.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return p.found, nil
}

// scopesFor returns the scopes to ask for. Some providers give groups only with a scope of that name, and others refuse
// a scope that they do not know.
func scopesFor(p *oidc.Provider) []string {
	var document struct {
		Scopes []string `json:"scopes_supported"`
	}
	list := []string{oidc.ScopeOpenID, "profile", "email"}
	if err := p.Claims(&document); err == nil && slices.Contains(document.Scopes, "groups") {
		list = append(list, "groups")
	}
	return list
}

// Flow is a sign-in that has begun. The browser that began it keeps it in a cookie, so that no other browser can end
// it.
type Flow struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // PKCE
}

// Begin begins a sign-in. It returns the address of the provider that the browser is to go to. The provider sends it
// back to the URL back.
func (p *Provider) Begin(ctx context.Context, back string) (Flow, string, error) {
	f, err := p.discover(ctx)
	if err != nil {
		return Flow{}, "", err
	}
	flow := Flow{State: newText(), Nonce: newText(), Verifier: oauth2.GenerateVerifier()}
	return flow, f.returning(back).AuthCodeURL(flow.State, oidc.Nonce(flow.Nonce),
		oauth2.S256ChallengeOption(flow.Verifier)), nil
}

// returning returns the configuration of a flow whose browser comes back to a URL.
func (f *found) returning(back string) *oauth2.Config {
	c := f.oauth
	c.RedirectURL = back
	return &c
}

// newText returns 256 random bits as text.
func newText() string {
	var raw [32]byte
	rand.Read(raw[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// Identity is who signed in, and what they may do.
type Identity struct {
	Person sluice.Person
	Rights []Right // empty if no group of the person has a role
}

// Finish ends a sign-in with the query that the provider sent the browser back with, to the URL back. It is ErrRefused
// if the query does not answer the flow, or the provider did not sign anyone in, and ErrUnavailable if the provider
// does not answer.
func (p *Provider) Finish(ctx context.Context, flow Flow, back string, query url.Values) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	if err := p.check(flow, query); err != nil {
		return Identity{}, err
	}
	leave, err := enter(ctx, p.finishing)
	if err != nil {
		return Identity{}, err
	}
	defer leave()
	f, err := p.discover(ctx)
	if err != nil {
		return Identity{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := f.returning(back).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(flow.Verifier))
	if err != nil {
		return Identity{}, exchangeError(err)
	}
	c, err := p.verify(ctx, f, flow, token)
	if err != nil {
		return Identity{}, err
	}
	return c.identity(p.config)
}

// Answered reports whether the query of a browser that comes back has the state of the flow.
func (f Flow) Answered(query url.Values) bool {
	state := query["state"]
	return f.State != "" && len(state) == 1 && subtle.ConstantTimeCompare([]byte(state[0]), []byte(f.State)) == 1
}

// check compares the query with the flow.
func (p *Provider) check(flow Flow, query url.Values) error {
	if !flow.Answered(query) {
		return fmt.Errorf("%w: it was begun in another browser, or has ended", ErrRefused)
	}
	if iss := query.Get("iss"); iss != "" && iss != p.config.Issuer { // RFC 9207
		return fmt.Errorf("%w: another provider answered", ErrRefused)
	}
	if code := query.Get("error"); code != "" {
		return fmt.Errorf("%w: the provider says %s", ErrRefused, errorCode(code))
	}
	if len(query["code"]) != 1 {
		return fmt.Errorf("%w: the provider sent no code", ErrRefused)
	}
	return nil
}

// errorCode returns an error code of a provider as it may be shown (RFC 6749 section 4.1.2.1).
func errorCode(code string) string {
	plain := func(r rune) bool { return r == '_' || 'a' <= r && r <= 'z' }
	if len(code) > 40 || strings.ContainsFunc(code, func(r rune) bool { return !plain(r) }) {
		return "that it failed"
	}
	return code
}

// exchangeError tells a provider that refuses a code from one that fails. The text has nothing of a body: there may be
// tokens in it.
func exchangeError(err error) error {
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case ok && e.ErrorCode == "invalid_grant":
		return fmt.Errorf("%w: its code was used or has expired", ErrRefused)
	case ok && e.ErrorCode != "":
		return fmt.Errorf("%w: the token endpoint answers %s and says %s", ErrUnavailable, e.Response.Status,
			errorCode(e.ErrorCode))
	case ok:
		return fmt.Errorf("%w: the token endpoint answers %s", ErrUnavailable, e.Response.Status)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// verify checks the ID token (OpenID Connect Core 1.0, section 3.1.3.7) and returns its claims, with those of the
// userinfo endpoint where the token lacks groups, name or address.
func (p *Provider) verify(ctx context.Context, f *found, flow Flow, token *oauth2.Token) (claims, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok || len(raw) > maxIDToken {
		return nil, fmt.Errorf("%w: the provider sent no ID token of a usual size", ErrRefused)
	}
	verifier := f.provider.Verifier(&oidc.Config{ClientID: p.config.ClientID, Now: p.config.Now})
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		if _, failed := errors.AsType[net.Error](err); failed {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return nil, fmt.Errorf("%w: the ID token is not valid: %w", ErrRefused, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(flow.Nonce)) != 1 {
		return nil, fmt.Errorf("%w: the ID token is that of another sign-in", ErrRefused)
	}
	c := claims{}
	if err := id.Claims(&c); err != nil {
		return nil, fmt.Errorf("%w: the claims cannot be read", ErrRefused)
	}
	if len(id.Audience) > 1 && c.text("azp") != p.config.ClientID {
		return nil, fmt.Errorf("%w: the ID token was issued to another party", ErrRefused)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return nil, fmt.Errorf("%w: the access token is not that of the ID token", ErrRefused)
		}
	}
	complete := c[p.config.RolesClaim] != nil && c["name"] != nil && c["email"] != nil
	if complete || f.provider.UserInfoEndpoint() == "" {
		return c, nil
	}
	info, err := f.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	more := claims{}
	if info.Subject != id.Subject || info.Claims(&more) != nil {
		return nil, fmt.Errorf("%w: the provider describes another person", ErrRefused)
	}
	for name, value := range more {
		if c[name] == nil {
			c[name] = value
		}
	}
	return c, nil
}
