package replay_test

import (
	"strings"
	"testing"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/maintain/replay"
)

// signIn begins a session of a person with scopes.
func (b *book) signIn(subject string, scopes ...sluice.Scope) sluice.Session {
	b.actor = sluice.Actor{Type: sluice.ActorPerson, ID: subject, Issuer: "https://id.example", Name: "Ann"}
	s := sluice.Session{ID: b.id("sess_"), Person: sluice.Person{Issuer: "https://id.example", Subject: subject},
		Scopes: scopes, Created: b.now, Expires: b.now.Add(12 * time.Hour)}
	b.sessionEntry(sluice.SessionCreated, s)
	return s
}

func (b *book) sessionEntry(a sluice.Action, s sluice.Session) int64 {
	e := b.entry(a)
	e.Session = audit.SessionPart(s)
	return b.write(e)
}

// A person may do what the scopes of their sessions allow while these last, in any of them.
func TestSessionsOfPeople(t *testing.T) {
	b := newBook(t)
	key := b.actor
	s := sluice.Session{ID: b.id("sess_"), KeyID: b.key.ID, Created: b.now, Expires: b.now.Add(12 * time.Hour)}
	b.sessionEntry(sluice.SessionCreated, s)
	b.sessionEntry(sluice.SessionEnded, s) // one's own
	first := b.signIn("ann", sluice.FilesWrite)
	b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
	b.signIn("ann", sluice.LinksWrite)
	b.changeLink(func(l *sluice.Link) { l.Reason = "another" })
	b.sessionEntry(sluice.SessionEnded, first)
	admin := b.signIn("bob", sluice.Admin.Scopes()...)
	b.changeKey(func(k *sluice.Key) { k.Scopes = k.Scopes[:6] })
	b.sessionEntry(sluice.SessionEnded, b.endedByBob(key))
	b.sessionEntry(sluice.SessionEnded, admin)
	check(t, b)
}

// endedByBob signs in with the key, and leaves the rest to bob.
func (b *book) endedByBob(key sluice.Actor) sluice.Session {
	bob := b.actor
	b.actor = key
	s := sluice.Session{ID: b.id("sess_"), KeyID: b.key.ID, Created: b.now, Expires: b.now.Add(12 * time.Hour)}
	b.sessionEntry(sluice.SessionCreated, s)
	b.actor = bob
	return s
}

func TestContradictionsOfSessions(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(b *book) int64
		want want
	}{
		{"never signed in", func(b *book) int64 {
			b.actor = sluice.Actor{Type: sluice.ActorPerson, ID: "eve", Issuer: "https://id.example"}
			return b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
		}, want{rule: replay.Actor, problem: "the person eve was not signed in"}},
		{"another issuer", func(b *book) int64 {
			b.signIn("ann", sluice.FilesWrite)
			b.actor.Issuer = "https://evil.example"
			return b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
		}, want{rule: replay.Actor, problem: "was not signed in"}},
		{"expired", func(b *book) int64 {
			b.signIn("ann", sluice.FilesWrite)
			b.wait(13 * time.Hour)
			return b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
		}, want{rule: replay.Actor, problem: "was not signed in"}},
		{"ended", func(b *book) int64 {
			s := b.signIn("ann", sluice.FilesWrite)
			b.sessionEntry(sluice.SessionEnded, s)
			return b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
		}, want{rule: replay.Actor, problem: "was not signed in"}},
		{"without the scope", func(b *book) int64 {
			b.signIn("ann", sluice.FilesRead)
			return b.changeFile(sluice.FileHeld, func(f *sluice.File) { f.Held = true })
		}, want{rule: replay.Actor, problem: "the person ann lacked the scope for file.held"}},
		{"more than one has", func(b *book) int64 {
			b.signIn("ann", sluice.KeysAdmin)
			return b.changeKey(func(k *sluice.Key) { k.Scopes = k.Scopes[:1] })
		}, want{rule: replay.Actor, problem: "the person ann changed"}},
		{"the session of another", func(b *book) int64 {
			other := b.signIn("ann", sluice.FilesRead)
			b.signIn("bob", sluice.FilesRead)
			return b.sessionEntry(sluice.SessionEnded, other)
		}, want{rule: replay.Actor, problem: "the person bob lacked the scope for session.ended"}},
		{"as another", func(b *book) int64 {
			s := b.signIn("ann", sluice.FilesRead)
			s.ID, s.Person.Subject = b.id("sess_"), "bob"
			return b.sessionEntry(sluice.SessionCreated, s)
		}, want{rule: replay.Actor, problem: "is of another one than who signed in"}},
		{"twice", func(b *book) int64 {
			return b.sessionEntry(sluice.SessionCreated, b.signIn("ann", sluice.FilesRead))
		}, want{rule: replay.Twice, problem: "it creates the session"}},
		{"ended twice", func(b *book) int64 {
			s := b.signIn("ann", sluice.FilesRead)
			b.sessionEntry(sluice.SessionEnded, s)
			b.signIn("ann", sluice.FilesRead)
			return b.sessionEntry(sluice.SessionEnded, s)
		}, want{rule: replay.Twice, problem: "it ends the session"}},
		{"unknown", func(b *book) int64 {
			s := b.signIn("ann", sluice.FilesRead)
			s.ID = b.id("sess_")
			return b.sessionEntry(sluice.SessionEnded, s)
		}, want{rule: replay.Unknown, problem: "no earlier entry created the session"}},
		{"changed", func(b *book) int64 {
			s := b.signIn("ann", sluice.FilesRead)
			s.Scopes = sluice.AllScopes()
			return b.sessionEntry(sluice.SessionEnded, s)
		}, want{rule: replay.Changed, problem: "it shows another end, person, key or scopes"}},
		{"by a bearer", func(b *book) int64 {
			b.actor = sluice.Actor{Type: sluice.ActorBearer, ID: b.link.ID}
			s := sluice.Session{ID: b.id("sess_"), KeyID: b.key.ID, Created: b.now, Expires: b.now.Add(time.Hour)}
			return b.sessionEntry(sluice.SessionCreated, s)
		}, want{rule: replay.Actor, problem: "session.created is not for an actor of type bearer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBook(t)
			seq := test.do(b)
			found := b.replay().Findings()
			if len(found) == 0 || found[0].Seq != seq || found[0].Rule != test.want.rule ||
				!strings.Contains(found[0].Problem, test.want.problem) {
				t.Errorf("found %v, want %+v first, of entry %d", found, test.want, seq)
			}
		})
	}
}
