package service

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"time"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/token"
)

// Sessions has the rules of sessions of the console.
type Sessions struct {
	*core
	random   io.Reader
	keys     token.Keyring
	accounts *Accounts
	used     usage
}

// Grant is what a person may do in one ledger.
type Grant struct {
	Ledger sluice.LedgerID
	Scopes []sluice.Scope
}

// A token of a session is 32 random bytes in base64url. There is no checksum: nobody types it.
const (
	tokenBytes = 32
	tokenLen   = 43
)

func (s *Sessions) newToken() (token string, hash sluice.Digest, err error) {
	var raw [tokenBytes]byte
	if _, err := io.ReadFull(s.random, raw[:]); err != nil {
		return "", hash, err
	}
	token = base64.RawURLEncoding.EncodeToString(raw[:])
	return token, hashToken(token), nil
}

func hashToken(token string) sluice.Digest {
	return sha256.Sum256([]byte("sluice session\x00" + token))
}

// SignIn makes a session for the API key of a caller of Keys.Authenticate, and returns its token. The session has no
// scopes of its own: it may do what the key may. If the secret has ended meanwhile, it is CodeUnauthenticated.
func (s *Sessions) SignIn(ctx context.Context, c Caller) (token string, err error) {
	token, hash, err := s.newToken()
	if err != nil {
		return "", err
	}
	_, err = change(ctx, s.core, c, anyCaller, func(tx Tx, c Caller, now time.Time) (none struct{}, err error) {
		if !accepts(c.Key, c.secret, now) {
			return none, sluice.Errorf(sluice.CodeUnauthenticated, "no such API key")
		}
		session := sluice.Session{
			ID: s.ids.New(sluice.PrefixSession, now), Ledger: c.Ledger, Hash: hash, KeyID: c.Key.ID,
			Created: now, Expires: now.Add(sluice.SessionLifetime),
		}
		if !c.Key.Expires.IsZero() && c.Key.Expires.Before(session.Expires) {
			session.Expires = c.Key.Expires
		}
		return none, s.create(tx, c, session)
	})
	return token, err
}

// SignInPerson makes a session in each ledger in which a person has scopes, all with one token, and returns the token.
// It is CodeForbidden without a grant. The sessions are made one after the other; after an error there may be some,
// whose token nobody has.
func (s *Sessions) SignInPerson(
	ctx context.Context, p sluice.Person, grants []Grant, r sluice.Request,
) (token string, err error) {
	if len(grants) == 0 {
		return "", sluice.Errorf(sluice.CodeForbidden, "this person has no role here")
	}
	token, hash, err := s.newToken()
	if err != nil {
		return "", err
	}
	for _, g := range grants {
		c := Caller{Ledger: g.Ledger, Actor: personActor(p), Request: audit.ClipRequest(r)}
		err := s.changeBySystem(ctx, c, func(tx Tx, now time.Time) error {
			return s.create(tx, c, sluice.Session{
				ID: s.ids.New(sluice.PrefixSession, now), Ledger: g.Ledger, Hash: hash, Person: p,
				Scopes:  slices.Compact(slices.Sorted(slices.Values(g.Scopes))),
				Created: now, Expires: now.Add(sluice.SessionLifetime),
			})
		})
		if err != nil {
			return "", err
		}
	}
	return token, nil
}

func (s *Sessions) create(tx Tx, c Caller, session sluice.Session) error {
	session.Seal = s.seals.Session(session)
	return tx.CreateSession(session, s.sessionEntry(c, sluice.SessionCreated, session.Created, session))
}

func (s *core) sessionEntry(c Caller, a sluice.Action, now time.Time, session sluice.Session) sluice.Entry {
	e := s.entry(c, a, now)
	e.Session = audit.SessionPart(session)
	return e
}

func personActor(p sluice.Person) sluice.Actor {
	return sluice.Actor{Type: sluice.ActorPerson, ID: p.Subject, Issuer: p.Issuer, Name: p.Name, Email: p.Email}
}

// Find returns the callers of a token: one for each ledger in which it has an active session. It is CodeUnauthenticated
// if there is none.
func (s *Sessions) Find(ctx context.Context, token string, r sluice.Request) (callers []Caller, err error) {
	if len(token) != tokenLen {
		return nil, errNoSession
	}
	r = audit.ClipRequest(r)
	err = s.store.View(ctx, func(reader Reader) error {
		callers = nil
		sessions, err := reader.SessionsByHash(hashToken(token))
		if err != nil {
			return err
		}
		for _, session := range sessions {
			c, err := s.caller(reader, session)
			c.Request = r
			switch sluice.CodeOf(err) {
			case "":
				callers = append(callers, c)
			case sluice.CodeUnauthenticated:
			default:
				return err
			}
		}
		return nil
	})
	if err == nil && len(callers) == 0 {
		err = errNoSession
	}
	for _, c := range callers {
		s.used.note(c.Session.ID, s.now())
	}
	return callers, err
}

// caller returns the caller of a session. It is CodeUnauthenticated if the session or its key is not active.
func (s *core) caller(r Reader, session sluice.Session) (Caller, error) {
	c := Caller{Ledger: session.Ledger, Session: session, Actor: personActor(session.Person)}
	if err := s.activeSession(session); err != nil || session.KeyID == "" {
		return c, err
	}
	key, err := r.Key(session.Ledger, session.KeyID)
	if sluice.CodeOf(err) == sluice.CodeNotFound {
		err = errNoSession
	}
	if err == nil {
		err = s.activeKey(session, key)
	}
	c.Key, c.Actor = key, keyActor(key)
	return c, err
}

// activeKey fails if the key of a session is not active, or the secret that began the session has ended.
func (s *core) activeKey(session sluice.Session, k sluice.Key) error {
	if err := s.active(k); err != nil {
		return err
	}
	if session.ID != "" && madeWithOld(session, k) && !s.now().Before(k.OldExpires) {
		return sluice.Errorf(sluice.CodeUnauthenticated, "this API key has a new secret; sign in with it")
	}
	return nil
}

// madeWithOld reports whether a session may have begun with a secret that the last rotation of its key replaced. The
// row does not say which secret it was, so a session of the new secret from before the old one ended counts, too.
func madeWithOld(session sluice.Session, k sluice.Key) bool {
	return !k.OldExpires.IsZero() && !session.Created.After(k.OldExpires)
}

var errNoSession = sluice.Errorf(sluice.CodeUnauthenticated, "you are not signed in")

func (s *core) activeSession(session sluice.Session) error {
	switch {
	case !s.seals.TrustsSession(session):
		s.log.Error("session refused: its row was altered in the database",
			"session", audit.Clip(session.ID, 80), "ledger", session.Ledger)
		return sluice.Errorf(sluice.CodeUnauthenticated, "the record of this session was altered outside of Sluice")
	case !session.Ended.IsZero():
		return sluice.Errorf(sluice.CodeUnauthenticated, "this session has ended")
	case !session.Active(s.now()):
		return sluice.Errorf(sluice.CodeUnauthenticated, "this session has expired")
	}
	return nil
}

// SignOut ends all sessions of a token, as far as they are active. A token without a session changes nothing.
func (s *Sessions) SignOut(ctx context.Context, token string, r sluice.Request) error {
	callers, err := s.Find(ctx, token, r)
	if sluice.CodeOf(err) == sluice.CodeUnauthenticated {
		return nil
	}
	for _, c := range callers {
		_, failed := s.End(ctx, c, c.Session.ID)
		if sluice.CodeOf(failed) == sluice.CodeUnauthenticated || sluice.CodeOf(failed) == sluice.CodeNotFound {
			failed = nil // it has ended in the meantime
		}
		err = errors.Join(err, failed)
	}
	return err
}

// End ends a session of the caller's ledger at once. It needs keys:admin, unless it is the session of the caller.
func (s *Sessions) End(ctx context.Context, c Caller, id string) (Deleted, error) {
	scope := sluice.KeysAdmin
	if id != "" && id == c.Session.ID {
		scope = anyCaller
	}
	return change(Ending(ctx), s.core, c, scope, func(tx Tx, c Caller, now time.Time) (Deleted, error) {
		session, err := tx.SessionByID(c.Ledger, id)
		if err == nil && !session.Ended.IsZero() {
			err = NoSuch("session", id)
		}
		if err != nil {
			return Deleted{}, found(err, "session", id)
		}
		return Deleted{ID: id}, tx.EndSession(id, now, s.sessionEntry(c, sluice.SessionEnded, now, session))
	})
}

// List returns the sessions of the caller's ledger, active, ended and expired. Those whose key or secret has ended have
// ended then. Sessions leave the list a day after they expire. It needs keys:admin.
func (s *Sessions) List(ctx context.Context, c Caller, page sluice.Page) (list sluice.List[sluice.Session], err error) {
	err = s.read(ctx, c, sluice.KeysAdmin, func(r Reader) error {
		if list, err = r.Sessions(c.Ledger, page); err != nil {
			return err
		}
		return s.endWithKeys(r, list.Data)
	})
	for i, session := range list.Data {
		list.Data[i].Used = s.used.last(session.ID, session.Used)
	}
	return list, err
}

// endWithKeys sets when sessions ended whose keys, or the secrets that began them, have ended. Their rows do not say it.
func (s *Sessions) endWithKeys(r Reader, sessions []sluice.Session) error {
	keys := map[string]sluice.Key{}
	for i, session := range sessions {
		if session.KeyID == "" || !session.Ended.IsZero() {
			continue
		}
		key, known := keys[session.KeyID]
		if !known {
			var err error
			if key, err = r.Key(session.Ledger, session.KeyID); err != nil && sluice.CodeOf(err) != sluice.CodeNotFound {
				return err
			}
			keys[session.KeyID] = key
		}
		if at := cmp.Or(key.Revoked, key.Expires); !key.Active(s.now()) && at.Before(session.Expires) {
			sessions[i].Ended = at
		}
		at, ended := key.OldExpires, sessions[i].Ended
		if madeWithOld(session, key) && !s.now().Before(at) && at.Before(session.Expires) &&
			(ended.IsZero() || at.Before(ended)) {
			sessions[i].Ended = at
		}
	}
	return nil
}

// WriteUsage stores when sessions were last used. After a failure the next WriteUsage tries again. It is not recorded
// in the log.
func (s *Sessions) WriteUsage(ctx context.Context) error {
	return s.used.write(ctx, s.store.SessionsUsed)
}
