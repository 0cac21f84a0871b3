package service

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// RefusePerson records that a person who signed in at the provider has no role here, and ends the sessions that they
// still have. The entry is in the live log of the oldest account.
func (s *Sessions) RefusePerson(ctx context.Context, p sluice.Person, r sluice.Request) error {
	accounts, err := s.accounts.List(ctx)
	if err != nil {
		return err
	}
	c := Caller{
		Ledger: sluice.LedgerID{Account: accounts[0].ID, Mode: sluice.Live},
		Actor:  personActor(p), Request: audit.ClipRequest(r),
	}
	return errors.Join(s.Narrow(ctx, p, nil), s.denyFor(ctx, c, sluice.NoRole))
}

// Narrow ends the sessions of a person that have a scope which the person no longer has: grants is everything that the
// person may do now.
func (s *Sessions) Narrow(ctx context.Context, p sluice.Person, grants []Grant) error {
	may := map[sluice.LedgerID][]sluice.Scope{}
	for _, g := range grants {
		may[g.Ledger] = append(may[g.Ledger], g.Scopes...)
	}
	var ending []sluice.Session
	err := s.store.View(ctx, func(r Reader) error {
		ending = nil
		for skip := 0; ; {
			sessions, err := r.SessionsOfPerson(p.Issuer, p.Subject, s.now(), skip)
			if err != nil || len(sessions) == 0 {
				return err
			}
			skip += len(sessions)
			for _, session := range sessions {
				lacks := func(scope sluice.Scope) bool { return !slices.Contains(may[session.Ledger], scope) }
				if slices.ContainsFunc(session.Scopes, lacks) {
					ending = append(ending, session)
				}
			}
		}
	})
	for _, session := range ending {
		_, failed := s.End(ctx, system(session.Ledger, "sign-in"), session.ID)
		if sluice.CodeOf(failed) != sluice.CodeNotFound { // it has ended meanwhile
			err = errors.Join(err, failed)
		}
	}
	return err
}

// PendingSignIn is a sign-in of a person who has roles in several accounts, and has not chosen one yet. The browser
// keeps it in a cookie; nothing of it is stored.
type PendingSignIn struct {
	Person  sluice.Person `json:"person"`
	Grants  []Grant       `json:"grants"`
	Next    string        `json:"next,omitempty"`
	Expires time.Time     `json:"expires"`
}

const (
	// PendingLasts is how long a person has to choose an account.
	PendingLasts = 5 * time.Minute
	// maxPendingLen bounds the text of a PendingSignIn: browsers keep no longer cookies.
	maxPendingLen = 4000

	pendingDomain = "sluice sign-in"
)

// SealPending returns the text of a pending sign-in, for a cookie: its JSON and an HMAC-SHA-256 under the first signing
// key, both in base64url. It fails if the person has roles in too many accounts for a cookie.
func (s *Sessions) SealPending(p PendingSignIn) (string, error) {
	p.Expires = s.now().Add(PendingLasts)
	payload, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	tag := macOf(s.keys[0], pendingDomain, string(payload))
	text := base64.RawURLEncoding.EncodeToString(payload) + "." + base64.RawURLEncoding.EncodeToString(tag)
	if len(text) > maxPendingLen {
		return "", sluice.Errorf(sluice.CodeForbidden, "this person has roles in too many accounts to choose from")
	}
	return text, nil
}

// OpenPending reads the text of a pending sign-in. It is false for a text that SealPending did not return, and for a
// sign-in that has expired.
func (s *Sessions) OpenPending(text string) (p PendingSignIn, ok bool) {
	sealed, tag, found := strings.Cut(text, ".")
	if !found || len(text) > maxPendingLen {
		return p, false
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return p, false
	}
	given, err := base64.RawURLEncoding.Strict().DecodeString(tag)
	if err != nil {
		return p, false
	}
	for _, key := range s.keys {
		ok = ok || hmac.Equal(given, macOf(key, pendingDomain, string(payload)))
	}
	if !ok || json.NewDecoder(bytes.NewReader(payload)).Decode(&p) != nil {
		return PendingSignIn{}, false
	}
	left := p.Expires.Sub(s.now())
	return p, 0 < left && left <= PendingLasts
}
