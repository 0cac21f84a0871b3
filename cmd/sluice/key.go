package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sluice"
	"sluice/internal/objectid"
	"sluice/internal/service"
)

type keyCommand struct {
	Create keyCreate `cmd:"" help:"Create a key and print its secret, which is shown only once."`
	Rotate keyRotate `cmd:"" help:"Give a key a new secret and print it."`
	List   keyList   `cmd:"" help:"List the keys of both modes, newest first."`
	Revoke keyRevoke `cmd:"" help:"Revoke a key and every link that it minted."`
}

// dataFlags name the installation and the account that a command works on
// directly, without a server.
type dataFlags struct {
	place
	Account string `help:"Account. Required if there are several." placeholder:"ACCT_ID"`
	JSON    bool   `help:"Print JSON." name:"json"`
}

// open opens the installation and finds the account.
func (d *dataFlags) open(ctx context.Context, out *output) (*installation, sluice.Account, error) {
	log := slog.New(slog.NewTextHandler(out.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	// The commands print no links, so any public URL will do.
	i, err := d.place.open(ctx, service.Config{PublicURL: "http://localhost", Log: log}, opening{})
	if err != nil {
		return nil, sluice.Account{}, err
	}
	a, err := d.account(ctx, i.service)
	if err != nil {
		return nil, sluice.Account{}, errors.Join(err, i.close())
	}
	return i, a, nil
}

func (d *dataFlags) account(ctx context.Context, svc *service.Service) (sluice.Account, error) {
	accounts, err := svc.Accounts.List(ctx)
	if err != nil {
		return sluice.Account{}, err
	}
	for _, a := range accounts {
		if a.ID == d.Account || d.Account == "" && len(accounts) == 1 {
			return a, nil
		}
	}
	if d.Account == "" {
		return sluice.Account{}, usageError{fmt.Errorf("there are %d accounts; choose one with --account", len(accounts))}
	}
	return sluice.Account{}, sluice.Errorf(sluice.CodeNotFound, "no account %s", d.Account)
}

type keyCreate struct {
	dataFlags
	Mode            string   `help:"Mode: test or live. A key sees only the files, links and log of its mode." enum:"test,live" required:"" placeholder:"test|live"`
	Name            string   `help:"The user or purpose of the key." required:""`
	Scopes          []string `help:"Scopes of the key; all by default: ${scopes}." placeholder:"SCOPE,…"`
	Expires         string   `help:"Lifetime of the key, such as 90d or 12h; unlimited by default." placeholder:"DURATION"`
	MaxLinkLifetime string   `help:"Longest lifetime of links that the key mints, such as 12h, or none for links without expiry; the server's limit by default." placeholder:"DURATION"`
}

func (k *keyCreate) Run(ctx context.Context, out *output) error {
	n := service.NewKey{Name: k.Name}
	for _, s := range k.Scopes {
		scope := sluice.Scope(strings.TrimSpace(s))
		if !slices.Contains(sluice.AllScopes(), scope) {
			return usageError{fmt.Errorf("--scopes: unknown scope %q; choose from %s", s, joinScopes(sluice.AllScopes()))}
		}
		n.Scopes = append(n.Scopes, scope)
	}
	var err error
	if n.MaxLinkLifetime, err = parseLifetime(k.MaxLinkLifetime); err != nil {
		return usageError{fmt.Errorf("--max-link-lifetime: %w", err)}
	}
	if n.MaxLinkLifetime%time.Second != 0 && n.MaxLinkLifetime != sluice.Forever {
		return usageError{errors.New("--max-link-lifetime: want whole seconds, such as 90s or 12h: " +
			"the log records no fractions of them")}
	}
	lifetime, err := parseLifetime(k.Expires)
	if err != nil {
		return usageError{fmt.Errorf("--expires: %w", err)}
	}
	if lifetime != 0 && lifetime != sluice.Forever {
		n.Expires = time.Now().Add(lifetime)
	}
	i, account, err := k.open(ctx, out)
	if err != nil {
		return err
	}
	ledger := sluice.LedgerID{Account: account.ID, Mode: sluice.Mode(k.Mode)}
	created, err := i.service.Keys.Create(ctx, service.Operator(ledger), n)
	if err := errors.Join(err, i.close()); err != nil {
		return err
	}
	return k.printSecret(out, created)
}

func (d *dataFlags) printSecret(out *output, created service.CreatedKey) error {
	if d.JSON {
		printed := keyJSONOf(created.Key)
		printed.Secret = created.Secret
		return json.NewEncoder(out.stdout).Encode(printed)
	}
	_, err := fmt.Fprintf(out.stdout, "id: %s\nsecret: %s\n", created.Key.ID, created.Secret)
	return err
}

// parseLifetime parses a duration, or "none" for sluice.Forever. "" is 0, which
// means the server's default.
func parseLifetime(text string) (time.Duration, error) {
	switch text {
	case "":
		return 0, nil
	case "none":
		return sluice.Forever, nil
	}
	d, err := parseDuration(strings.TrimSpace(text))
	if err != nil || d < time.Second {
		return 0, errors.New("want a duration of at least a second, such as 12h or 30d, or none")
	}
	return d, nil
}

// keyJSON is the form in which --json prints a key.
type keyJSON struct {
	ID              string         `json:"id"`
	Object          string         `json:"object"`
	Name            string         `json:"name"`
	Livemode        bool           `json:"livemode"`
	Scopes          []sluice.Scope `json:"scopes"`
	MaxLinkLifetime string         `json:"max_link_lifetime,omitempty"`
	Created         int64          `json:"created"`
	RevokedAt       *int64         `json:"revoked_at"`
	Secret          string         `json:"secret,omitempty"`
}

func keyJSONOf(k sluice.Key) keyJSON {
	printed := keyJSON{
		ID: k.ID, Object: "key", Name: k.Name, Livemode: k.Ledger.Mode.Live(), Scopes: k.Scopes, Created: k.Created.Unix(),
	}
	switch k.MaxLinkLifetime {
	case 0:
	case sluice.Forever:
		printed.MaxLinkLifetime = "none"
	default:
		printed.MaxLinkLifetime = k.MaxLinkLifetime.String()
	}
	if !k.Revoked.IsZero() {
		at := k.Revoked.Unix()
		printed.RevokedAt = &at
	}
	return printed
}

type keyList struct{ dataFlags }

func (k *keyList) Run(ctx context.Context, out *output) error {
	i, account, err := k.open(ctx, out)
	if err != nil {
		return err
	}
	keys, err := allKeys(ctx, i.service, account)
	if err := errors.Join(err, i.close()); err != nil {
		return err
	}
	if k.JSON {
		list := make([]keyJSON, len(keys))
		for n, key := range keys {
			list[n] = keyJSONOf(key)
		}
		return json.NewEncoder(out.stdout).Encode(list)
	}
	table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tMODE\tNAME\tCREATED\tSTATE\tSCOPES")
	for _, key := range keys {
		state := "active"
		if !key.Active(i.service.Now()) {
			state = "ended"
		}
		fmt.Fprintf(table, "%s\t%s\t%q\t%s\t%s\t%s\n", key.ID, key.Ledger.Mode, key.Name, key.Created.Format(time.RFC3339),
			state, joinScopes(key.Scopes))
	}
	return table.Flush()
}

func joinScopes(scopes []sluice.Scope) string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = string(s)
	}
	return strings.Join(texts, ",")
}

// allKeys returns the keys of both modes, test first.
func allKeys(ctx context.Context, svc *service.Service, a sluice.Account) (keys []sluice.Key, err error) {
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		page := sluice.Page{Limit: sluice.MaxPageSize}
		for more := true; more; {
			list, err := svc.Keys.List(ctx, service.Operator(sluice.LedgerID{Account: a.ID, Mode: m}), page)
			if err != nil {
				return nil, err
			}
			keys = append(keys, list.Data...)
			if more = list.More; more {
				page.After = list.Data[len(list.Data)-1].ID
			}
		}
	}
	return keys, nil
}

// ofKey calls do with the operator of the key's mode.
func ofKey(a sluice.Account, id string, do func(service.Caller) error) (err error) {
	if err := checkID(sluice.PrefixKey, id); err != nil {
		return usageError{err}
	}
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		err = do(service.Operator(sluice.LedgerID{Account: a.ID, Mode: m}))
		if sluice.CodeOf(err) != sluice.CodeNotFound {
			return err
		}
	}
	return sluice.Errorf(sluice.CodeNotFound, "no key %s, or it is already revoked; sluice key list shows all keys", id)
}

// checkID refuses an id that does not have the form of its kind.
func checkID(prefix, id string) error {
	if _, ok := objectid.Parse(prefix, id); !ok {
		return fmt.Errorf("%q is not an id: want %s and 26 letters and digits", id, prefix)
	}
	return nil
}

type keyRotate struct {
	dataFlags
	ID      string   `arg:"" help:"The key's id."`
	Overlap duration `help:"How long the old secret stays valid, at most 7d." default:"0s" placeholder:"DURATION"`
}

func (k *keyRotate) Run(ctx context.Context, out *output) error {
	i, account, err := k.open(ctx, out)
	if err != nil {
		return err
	}
	var rotated service.CreatedKey
	err = ofKey(account, k.ID, func(c service.Caller) (err error) {
		rotated, err = i.service.Keys.Rotate(ctx, c, k.ID, time.Duration(k.Overlap))
		return err
	})
	if err := errors.Join(err, i.close()); err != nil {
		return err
	}
	return k.printSecret(out, rotated)
}

type keyRevoke struct {
	dataFlags
	ID string `arg:"" help:"The key's id."`
}

func (k *keyRevoke) Run(ctx context.Context, out *output) error {
	i, account, err := k.open(ctx, out)
	if err != nil {
		return err
	}
	err = ofKey(account, k.ID, func(c service.Caller) error {
		_, err := i.service.Keys.Revoke(ctx, c, k.ID, nil)
		return err
	})
	if err := errors.Join(err, i.close()); err != nil {
		return err
	}
	if k.JSON {
		return json.NewEncoder(out.stdout).Encode(map[string]any{"id": k.ID, "revoked": true})
	}
	_, err = fmt.Fprintf(out.stdout, "revoked %s\n", k.ID)
	return err
}
