package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"sluice/internal/httpd"
	"sluice/internal/httpd/console"
	"sluice/internal/signin"
)

// consoleFlags say where the console is served, and who signs in to it.
type consoleFlags struct {
	Console          bool   `help:"Serve the console, the pages under /console on which people manage files and links in a browser. In the environment, SLUICE_CONSOLE=false is --no-console." default:"true" negatable:""`
	ConsoleListen    string `help:"Address to serve the console on, instead of --listen." placeholder:"HOST:PORT"`
	ConsoleURL       string `name:"console-url" help:"URL at which browsers reach the server of the console; the public URL by default. Required with --console-listen, unless that is on loopback." placeholder:"URL"`
	OIDCIssuer       string `name:"oidc-issuer" help:"URL of the OpenID Connect provider at which people sign in to the console. Without it they sign in with an API key." placeholder:"URL"`
	OIDCClientID     string `name:"oidc-client-id" help:"Id by which the provider knows this server. Required with --oidc-issuer." placeholder:"ID"`
	OIDCClientSecret string `name:"oidc-client-secret" help:"Secret that the provider gave with the id; none for a public client. Give it as SLUICE_OIDC_CLIENT_SECRET: the flags of a process are shown to all users of the machine." placeholder:"SECRET"`
	OIDCRoles        string `name:"oidc-roles" help:"Roles of the groups of the provider: viewer, sender, auditor or admin; in one account and mode with GROUP=ROLE:ACCOUNT:MODE. The group * is everyone. Required with --oidc-issuer." placeholder:"GROUP=ROLE,…"`
	OIDCRolesClaim   string `name:"oidc-roles-claim" help:"Claim of the provider with the groups of a person; ${default} by default." default:"groups" placeholder:"NAME"`

	own     net.Listener    // of ConsoleListen, or nil; set by open
	options console.Options // set by open
}

// check refuses flags that do not fit each other. It asks no provider.
func (f *consoleFlags) check() error {
	if f.ConsoleURL != "" {
		u, err := url.Parse(f.ConsoleURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("--console-url: %q should look like https://console.example.com", f.ConsoleURL)
		}
	}
	oidc := f.OIDCClientID != "" || f.OIDCClientSecret != "" || f.OIDCRoles != ""
	switch {
	case f.OIDCIssuer == "" && oidc:
		return errors.New("--oidc-client-id, --oidc-client-secret and --oidc-roles require --oidc-issuer")
	case f.OIDCIssuer != "" && f.OIDCClientID == "":
		return errors.New("--oidc-issuer requires --oidc-client-id")
	case f.OIDCIssuer != "" && f.OIDCRoles == "":
		return errors.New("--oidc-issuer requires --oidc-roles: without a role nobody can sign in")
	case f.OIDCIssuer == "":
		return nil
	}
	_, err := f.provider()
	return err
}

// provider makes the provider, or none.
func (f *consoleFlags) provider() (*signin.Provider, error) {
	if f.OIDCIssuer == "" {
		return nil, nil
	}
	rules, err := signin.ParseRules(f.OIDCRoles)
	if err != nil {
		return nil, fmt.Errorf("--oidc-roles: %w", err)
	}
	p, err := signin.New(signin.Config{
		Issuer: f.OIDCIssuer, ClientID: f.OIDCClientID, ClientSecret: f.OIDCClientSecret,
		RolesClaim: f.OIDCRolesClaim, Rules: rules,
	})
	if err != nil {
		return nil, fmt.Errorf("--oidc-issuer: %w", err)
	}
	return p, nil
}

// warn logs that the client secret is an argument of this process.
func (f *consoleFlags) warn(args []string, log *slog.Logger) {
	for _, arg := range args {
		if strings.HasPrefix(arg, "--oidc-client-secret") {
			log.Warn("the secret in --oidc-client-secret is shown to all users of this machine; " +
				"set SLUICE_OIDC_CLIENT_SECRET instead")
		}
	}
}

// open opens the listener of the console, if it has one of its own, and makes the options of the console of a server
// with a public URL. close closes the listener.
func (f *consoleFlags) open(public string) (err error) {
	if !f.Console {
		return nil
	}
	if f.ConsoleListen != "" {
		if f.own, err = listen(f.ConsoleListen, "--console-listen"); err != nil {
			return err
		}
	}
	if f.options.URL, err = f.url(public); err != nil {
		return usageError{err}
	}
	f.options.Provider, err = f.provider()
	return err
}

func (f *consoleFlags) close() {
	if f.own != nil {
		f.own.Close()
	}
}

// url is the URL at which browsers reach the server of the console.
func (f *consoleFlags) url(public string) (string, error) {
	switch {
	case f.ConsoleURL != "":
		return f.ConsoleURL, nil
	case f.own == nil:
		return public, nil
	}
	at, err := netip.ParseAddrPort(f.own.Addr().String())
	if err != nil || !at.Addr().IsLoopback() {
		return "", fmt.Errorf("%s is reachable from other machines; give --console-url, at which browsers reach it",
			f.own.Addr())
	}
	return "http://" + f.own.Addr().String(), nil
}

// connections is how many of the connections of a process are for the own listener of the console, if it has one: a
// quarter. So neither listener takes the descriptors of the other.
func (f *consoleFlags) connections() int {
	if f.own == nil {
		return 0
	}
	return connections() / 4
}

// serve serves the console on its own listener, and nowhere else.
func (f *consoleFlags) serve(srv *httpd.Server, log *slog.Logger) (stop func()) {
	l := f.own
	if l == nil {
		return func() {}
	}
	hs := srv.HTTPServer(l.Addr().String())
	hs.Handler = srv.Apart("/console")
	limited := srv.LimitedListener(l, f.connections())
	go func() {
		if err := hs.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
			log.Error("console listener stopped", "error", err)
		}
	}()
	log.Info("serving the console", "address", l.Addr().String())
	return func() {
		grace, cancel := context.WithTimeout(context.Background(), consoleGrace)
		defer cancel()
		if hs.Shutdown(grace) != nil {
			hs.Close()
		}
	}
}

// consoleGrace is how long an orderly stop waits for the pages of a console with its own listener.
const consoleGrace = 5 * time.Second
