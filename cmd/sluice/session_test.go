package main

import (
	"testing"
	"time"

	"sluice"
	"sluice/internal/service"
	"sluice/sluicetest"
)

// Someone who signs in again with fewer roles loses the sessions that have more, however many others they have.
func TestManySessionsAreNarrowed(t *testing.T) {
	s := sluicetest.NewService(t)
	s.Tampered = true
	db := openBeside(t, s)
	l := s.Ledger(sluice.Test)
	ann := sluice.Person{Issuer: "https://id.example", Subject: "ann"}
	signIn := func(scopes []sluice.Scope) (token string) {
		token, err := s.Sessions.SignInPerson(t.Context(), ann, []service.Grant{{Ledger: l, Scopes: scopes}}, sluice.Request{})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	wide := signIn(sluice.Admin.Scopes())
	s.Clock.Advance(time.Minute)
	signIn([]sluice.Scope{sluice.FilesRead})
	sqlRun(t, db, `WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1000)
		INSERT INTO session SELECT ledger, id || n, randomblob(32), key_id, issuer, subject, email, name, scopes, created,
		expires, ended, used, seal FROM session, n WHERE scopes = 'files:read'`)

	grants := []service.Grant{{Ledger: l, Scopes: []sluice.Scope{sluice.FilesRead}}}
	if err := s.Sessions.Narrow(t.Context(), ann, grants); err != nil {
		t.Fatal(err)
	}
	if callers, err := s.Sessions.Find(t.Context(), wide, sluice.Request{}); err == nil {
		t.Errorf("a session with a scope that was taken away goes on: %+v", callers[0].Session)
	}
}
