package service

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// Keys has the rules of API keys.
type Keys struct {
	*core
	random  io.Reader
	limits  LinkLimits
	lookups lookups
	used    usage
}

// Authenticate returns the caller for the secret of a key. A malformed secret is refused without a query.
func (s *Keys) Authenticate(ctx context.Context, secret string, r sluice.Request) (Caller, error) {
	hash, ok := hashKeySecret(secret)
	if !ok {
		return Caller{}, sluice.Errorf(sluice.CodeUnauthenticated, "this is not a Sluice API key")
	}
	key, err := s.lookups.find(ctx, hash, s.store.KeyByHash)
	if sluice.CodeOf(err) == sluice.CodeNotFound || err == nil && !accepts(key, hash, s.now()) {
		return Caller{}, sluice.Errorf(sluice.CodeUnauthenticated, "no such API key")
	}
	if err != nil {
		return Caller{}, err
	}
	c := Caller{
		Ledger:  key.Ledger,
		Actor:   keyActor(key),
		Key:     key,
		Request: audit.ClipRequest(r),
		secret:  hash,
	}
	err = s.active(key)
	if err == errAlteredKey {
		s.log.Error("API key refused: its row was altered in the database",
			"key", audit.Clip(key.ID, 80), "ledger", key.Ledger)
		return Caller{}, errors.Join(s.denyFor(ctx, c, sluice.Altered), err)
	}
	if err != nil {
		return Caller{}, err
	}
	s.used.note(key.ID, s.now())
	return c, nil
}

func keyActor(k sluice.Key) sluice.Actor {
	return sluice.Actor{Type: sluice.ActorKey, ID: k.ID, Name: audit.Clip(k.Name, sluice.MaxKeyNameLen)}
}

// accepts reports whether the hash is that of the key's secret, or of its old secret while that is still valid.
func accepts(k sluice.Key, hash sluice.Digest, now time.Time) bool {
	return hash == k.Hash || hash == k.OldHash && now.Before(k.OldExpires)
}

// A secret is a prefix, 32 characters with 160 random bits, and 7 characters with the CRC-32 of everything before them,
// both in base 32. The checksum lets a scanner tell a real secret from a look-alike, and a mistyped secret is refused
// without a query.
const (
	secretRandom = 20
	secretBody   = 32
	secretSum    = 7
)

var secretEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func secretPrefix(m sluice.Mode) string { return "sk_" + string(m) + "_" }

func newKeySecret(random io.Reader, m sluice.Mode) (string, error) {
	var raw [secretRandom]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return "", err
	}
	s := secretPrefix(m) + secretEncoding.EncodeToString(raw[:])
	return s + secretChecksum(s), nil
}

func secretChecksum(s string) string {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE([]byte(s)))
	return secretEncoding.EncodeToString(sum[:])
}

// hashKeySecret returns the hash under which a secret is stored. It reports false for a secret that is not well-formed.
func hashKeySecret(secret string) (sluice.Digest, bool) {
	for _, m := range []sluice.Mode{sluice.Test, sluice.Live} {
		body, ok := strings.CutPrefix(secret, secretPrefix(m))
		if !ok || len(body) != secretBody+secretSum {
			continue
		}
		head := secret[:len(secret)-secretSum]
		if subtle.ConstantTimeCompare([]byte(secretChecksum(head)), []byte(body[secretBody:])) == 1 {
			return sha256.Sum256([]byte(secret)), true
		}
	}
	return sluice.Digest{}, false
}

// NewKey describes a key to create.
type NewKey struct {
	Name            string
	Scopes          []sluice.Scope // the caller's scopes if empty
	Expires         time.Time      // the caller's own if zero
	MaxLinkLifetime time.Duration  // or Forever; the caller's own if zero
}

// KeyChange is an update of a key. A nil field stays as it is.
type KeyChange struct {
	Name            *string
	Scopes          *[]sluice.Scope
	Expires         *time.Time     // never if zero
	MaxLinkLifetime *time.Duration // or Forever; the server's limit if zero
}

// CreatedKey is a key with its secret. The secret is returned only once: it is "" if the request was a repetition.
type CreatedKey struct {
	Key    sluice.Key
	Secret string `json:"-"`
}

// Create makes a key in the caller's ledger. The scopes, link lifetime and expiry of the new key are at most those of
// the caller's key. It needs keys:admin.
func (s *Keys) Create(ctx context.Context, c Caller, n NewKey) (CreatedKey, error) {
	secret, hash, err := s.newSecret(c.Ledger.Mode)
	if err != nil {
		return CreatedKey{}, err
	}
	return change(ctx, s.core, c, sluice.KeysAdmin, func(tx Tx, c Caller, now time.Time) (CreatedKey, error) {
		k := sluice.Key{
			ID: s.ids.New(sluice.PrefixKey, now), Ledger: c.Ledger, Name: n.Name, Hash: hash, Scopes: n.Scopes,
			Created: now, Updated: now, Expires: n.Expires, MaxLinkLifetime: n.MaxLinkLifetime,
			Version: sluice.APIVersion,
		}
		if len(k.Scopes) == 0 {
			k.Scopes = c.scopes()
		}
		if k.Expires.IsZero() {
			k.Expires = c.Key.Expires
		}
		if k.MaxLinkLifetime == 0 {
			k.MaxLinkLifetime = c.Key.MaxLinkLifetime
		}
		if err := s.validate(c, &k, now); err != nil {
			return CreatedKey{}, err
		}
		k.Seal = s.seals.Key(k)
		e := s.keyEntry(c, sluice.KeyCreated, now, audit.KeyPart(k, nil))
		return CreatedKey{Key: k, Secret: secret}, tx.CreateKey(k, e)
	})
}

func (s *Keys) newSecret(m sluice.Mode) (string, sluice.Digest, error) {
	secret, err := newKeySecret(s.random, m)
	hash, _ := hashKeySecret(secret)
	return secret, hash, err
}

// scopes are the scopes that the caller may grant.
func (c Caller) scopes() []sluice.Scope {
	if rights := c.rights(); rights != nil {
		return rights.Scopes
	}
	return sluice.AllScopes()
}

// rights returns a key with the rights of the caller; nil if the caller may do everything. A person may do what a key
// with the same scopes may that has no limits of its own.
func (c Caller) rights() *sluice.Key {
	switch c.Actor.Type {
	case sluice.ActorKey:
		return &c.Key
	case sluice.ActorPerson:
		return &sluice.Key{Scopes: c.Session.Scopes}
	}
	return nil
}

// validate checks a key that is about to be stored, and that the caller may grant its rights.
func (s *Keys) validate(c Caller, k *sluice.Key, now time.Time) error {
	var v sluice.Invalid
	if k.Name == "" {
		v.Add("name", "required", "a key needs a name that says who uses it")
	}
	validateText(&v, "name", k.Name, sluice.MaxKeyNameLen)
	k.Scopes = slices.Compact(slices.Sorted(slices.Values(k.Scopes)))
	if len(k.Scopes) == 0 {
		v.Add("scopes", "required", "a key needs at least one scope")
	}
	for _, scope := range k.Scopes {
		if !slices.Contains(sluice.AllScopes(), scope) {
			v.Add("scopes", "invalid", "there is no scope %q", audit.Clip(string(scope), 40))
		}
	}
	if !k.Expires.IsZero() && !k.Expires.After(now) {
		v.Add("expires_at", "out_of_range", "expires_at lies in the past")
	}
	if k.MaxLinkLifetime != 0 && k.MaxLinkLifetime < time.Second {
		v.Add("max_link_lifetime", "out_of_range", "a lifetime is a second or more")
	}
	if k.MaxLinkLifetime != sluice.Forever { // the log records whole seconds; a key of an older version may have a part
		k.MaxLinkLifetime = k.MaxLinkLifetime.Truncate(time.Second)
	}
	has := c.rights()
	if err := v.Err(); err != nil || has == nil {
		return err
	}
	return s.grantable(*has, *k)
}

// governs fails with CodeForbidden if a key has more rights than the caller's. Otherwise a key could reduce a more
// powerful key to its own rights, rotate it, and act under its name.
func (s *Keys) governs(c Caller, k sluice.Key) error {
	has := c.rights()
	if has == nil {
		return nil
	}
	if err := s.grantable(*has, k); err != nil {
		return sluice.Wrap(sluice.CodeForbidden, "a key can change only keys with no more rights than its own", err)
	}
	return nil
}

// grantable fails with CodeForbidden if k has more rights than the key that creates or changes it.
func (s *Keys) grantable(has, k sluice.Key) error {
	for _, scope := range k.Scopes {
		if !has.Grants(scope) {
			return sluice.Errorf(sluice.CodeForbidden, "a key grants only what it has, and it lacks %s", scope)
		}
	}
	if s.limits.Lifetime(k) > s.limits.Lifetime(has) {
		return sluice.Errorf(sluice.CodeForbidden, "a key grants only what it has, and its own links live at most %s",
			s.limits.Lifetime(has))
	}
	if !has.Expires.IsZero() && (k.Expires.IsZero() || k.Expires.After(has.Expires)) {
		return sluice.Errorf(sluice.CodeForbidden,
			"a key grants only what it has, and the calling key itself expires at %s", has.Expires.Format(time.RFC3339))
	}
	return nil
}

func (s *Keys) keyEntry(c Caller, a sluice.Action, now time.Time, k *sluice.KeyPart) sluice.Entry {
	e := s.entry(c, a, now)
	e.Key = k
	return e
}

// Get returns a key of the caller's ledger, whether or not it is still active. It needs keys:admin.
func (s *Keys) Get(ctx context.Context, c Caller, id string) (k sluice.Key, err error) {
	err = s.read(ctx, c, sluice.KeysAdmin, func(r Reader) error {
		k, err = r.Key(c.Ledger, id)
		return found(err, "key", id)
	})
	k.Used = s.used.last(k.ID, k.Used)
	return k, err
}

// List returns the keys of the caller's ledger. It needs keys:admin.
func (s *Keys) List(ctx context.Context, c Caller, page sluice.Page) (list sluice.List[sluice.Key], err error) {
	err = s.read(ctx, c, sluice.KeysAdmin, func(r Reader) error {
		list, err = r.Keys(c.Ledger, page)
		return err
	})
	for i, k := range list.Data {
		list.Data[i].Used = s.used.last(k.ID, k.Used)
	}
	return list, err
}

// liveKey returns a key that is not revoked.
func liveKey(r Reader, ledger sluice.LedgerID, id string) (sluice.Key, error) {
	k, err := r.Key(ledger, id)
	if err == nil && !k.Revoked.IsZero() {
		err = NoSuch("key", id)
	}
	return k, found(err, "key", id)
}

// changeableKey returns a key that is not revoked and that the caller may change. A key whose row was altered may not
// be: the change would give it a seal.
func (s *Keys) changeableKey(tx Tx, c Caller, id string) (sluice.Key, error) {
	k, err := liveKey(tx, c.Ledger, id)
	if err == nil && !s.seals.TrustsKey(k) {
		err = sluice.Errorf(sluice.CodeConflict,
			"the record of this key was altered outside of Sluice; it can only be revoked")
	}
	return k, err
}

// Update changes a key that is not revoked. A key that has more rights than the caller's is CodeForbidden, even if the
// change would remove those rights. It needs keys:admin. A key of another revision than wanted is
// CodePreconditionFailed.
func (s *Keys) Update(ctx context.Context, c Caller, id string, want Precondition, ch KeyChange) (sluice.Key, error) {
	return change(ctx, s.core, c, sluice.KeysAdmin, func(tx Tx, c Caller, now time.Time) (sluice.Key, error) {
		k, err := s.changeableKey(tx, c, id)
		if err != nil {
			return sluice.Key{}, err
		}
		if err := want.check(k.Revision()); err != nil {
			return sluice.Key{}, err
		}
		if err := s.governs(c, k); err != nil {
			return sluice.Key{}, err
		}
		was := k
		if ch.Name != nil {
			k.Name = *ch.Name
		}
		if ch.Scopes != nil {
			k.Scopes = *ch.Scopes
		}
		if ch.Expires != nil {
			k.Expires = *ch.Expires
		}
		if ch.MaxLinkLifetime != nil {
			k.MaxLinkLifetime = *ch.MaxLinkLifetime
		}
		if err := s.validate(c, &k, now); err != nil {
			return sluice.Key{}, err
		}
		k.Updated = next(now, k.Updated)
		k.Seal = s.seals.Key(k)
		return k, tx.UpdateKey(k, s.keyEntry(c, sluice.KeyUpdated, now, audit.KeyPart(k, &was)))
	})
}

// MaxOverlap is the longest time for which two secrets of a key may both be valid.
const MaxOverlap = 7 * 24 * time.Hour

// Rotate gives a key a new secret. The current secret stays valid for the overlap, at most MaxOverlap. A secret older
// than that ends at once. Sessions that began before the current secret ends do not outlive it. Like Update, it refuses a
// key that has more rights than the caller's. It needs keys:admin.
func (s *Keys) Rotate(ctx context.Context, c Caller, id string, overlap time.Duration) (CreatedKey, error) {
	if overlap < 0 || overlap > MaxOverlap {
		var v sluice.Invalid
		v.Add("overlap_seconds", "out_of_range", "overlap_seconds is 0 to %d", int64(MaxOverlap/time.Second))
		return CreatedKey{}, v.Err()
	}
	secret, hash, err := s.newSecret(c.Ledger.Mode)
	if err != nil {
		return CreatedKey{}, err
	}
	return change(ctx, s.core, c, sluice.KeysAdmin, func(tx Tx, c Caller, now time.Time) (CreatedKey, error) {
		k, err := s.changeableKey(tx, c, id)
		if err != nil {
			return CreatedKey{}, err
		}
		if err := s.governs(c, k); err != nil {
			return CreatedKey{}, err
		}
		if err := s.validate(c, &k, now); err != nil {
			return CreatedKey{}, err
		}
		if overlap > 0 {
			if err := s.endSessions(tx, c, k, now); err != nil {
				return CreatedKey{}, err
			}
		}
		k.OldHash, k.OldExpires = k.Hash, now.Add(overlap)
		k.Hash, k.Updated = hash, next(now, k.Updated)
		k.Seal = s.seals.Key(k)
		part := audit.KeyPart(k, nil)
		part.Rights.OldExpires = k.OldExpires
		return CreatedKey{Key: k, Secret: secret}, tx.UpdateKey(k, s.keyEntry(c, sluice.KeyRotated, now, part))
	})
}

// endSessions ends the sessions that may have begun with the old secret of a key, which another rotation is to replace.
// Its later end would bring them back.
func (s *Keys) endSessions(tx Tx, c Caller, k sluice.Key, now time.Time) error {
	for page := (sluice.Page{Limit: sluice.MaxPageSize}); !k.OldExpires.IsZero(); {
		list, err := tx.Sessions(c.Ledger, page)
		if err != nil {
			return err
		}
		for _, session := range list.Data {
			if now.Sub(session.Created) > sluice.SessionLifetime {
				return nil // as have all that are older
			}
			if session.KeyID != k.ID || !madeWithOld(session, k) || !session.Active(now) {
				continue
			}
			if err := tx.EndSession(session.ID, now, s.sessionEntry(c, sluice.SessionEnded, now, session)); err != nil {
				return err
			}
		}
		if !list.More {
			return nil
		}
		page.After = list.Data[len(list.Data)-1].ID
	}
	return nil
}

// Revoke ends a key and all links that it minted. The key may have more rights than the caller's, so that every
// administrator of keys can stop a key that leaked. It needs keys:admin. A key of another revision than wanted is
// CodePreconditionFailed.
func (s *Keys) Revoke(ctx context.Context, c Caller, id string, want Precondition) (Deleted, error) {
	return change(Ending(ctx), s.core, c, sluice.KeysAdmin, func(tx Tx, c Caller, now time.Time) (Deleted, error) {
		k, err := liveKey(tx, c.Ledger, id)
		if err != nil {
			return Deleted{}, err
		}
		if err := want.check(k.Revision()); err != nil {
			return Deleted{}, err
		}
		return Deleted{ID: id}, tx.RevokeKey(id, now, s.keyEntry(c, sluice.KeyEnded, now, audit.KeyPart(k, nil)))
	})
}

// usage keeps in memory when keys or sessions were last used, until it is stored. A write for each request would cost
// more than the request. The zero value is ready to use.
type usage struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func (u *usage) note(id string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen == nil {
		u.seen = map[string]time.Time{}
	}
	if now.After(u.seen[id]) {
		u.seen[id] = now
	}
}

// last is when a key or session was last used: the later of the stored time and the time in memory.
func (u *usage) last(id string, stored time.Time) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if seen := u.seen[id]; seen.After(stored) {
		return seen
	}
	return stored
}

// write stores the times in memory. After a failure it keeps them.
func (u *usage) write(ctx context.Context, store func(context.Context, map[string]time.Time) error) error {
	u.mu.Lock()
	seen := u.seen
	u.seen = nil
	u.mu.Unlock()
	if len(seen) == 0 {
		return nil
	}
	err := store(ctx, seen)
	if err != nil {
		for id, at := range seen {
			u.note(id, at)
		}
	}
	return err
}

// WriteUsage stores when keys were last used. After a failure the next WriteUsage tries again. It is not recorded in
// the log.
func (s *Keys) WriteUsage(ctx context.Context) error { return s.used.write(ctx, s.store.KeysUsed) }
