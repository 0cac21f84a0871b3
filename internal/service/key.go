package service

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice"
	"sluice/internal/audit"
)

// accepts reports whether a secret with this hash is the key's at a moment.
func accepts(k sluice.Key, hash sluice.Digest, now time.Time) bool {
	return hash == k.Hash || hash == k.OldHash && now.Before(k.OldExpires)
}

// A secret is its prefix, 32 characters that carry 160 random bits, and 7 that
// carry the CRC-32 of all before, in base 32: a scanner can tell a real secret
// from a look-alike, and a mistyped one is refused without asking the store.
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

// hashKeySecret gives the hash under which a secret is stored, and whether the
// secret is one that Sluice could have made.
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

// NewKey is what a caller asks for.
type NewKey struct {
	Name            string
	Scopes          []sluice.Scope // none for all that the caller has
	Expires         time.Time      // zero: when the caller's own key does
	MaxLinkLifetime time.Duration  // zero for the caller's own, or Forever
}

// KeyChange says what to change of a key; nil leaves a part as it is.
type KeyChange struct {
	Name            *string
	Scopes          *[]sluice.Scope
	Expires         *time.Time     // zero: never
	MaxLinkLifetime *time.Duration // zero for the server's value, or Forever
}

// CreatedKey is a key and its secret, which is never to be had again: it is ""
// when the request was a repetition.
type CreatedKey struct {
	Key    sluice.Key
	Secret string `json:"-"`
}

// CreateKey makes a key in the caller's ledger. A key grants only what it has
// itself: scopes, lifetimes of links, and its own remaining time. It needs keys:admin.
func (s *Service) CreateKey(ctx context.Context, c Caller, n NewKey) (CreatedKey, error) {
	secret, hash, err := s.newSecret(c.Ledger.Mode)
	if err != nil {
		return CreatedKey{}, err
	}
	return change(ctx, s.core, c, sluice.KeysAdmin, func(tx Tx, now time.Time) (CreatedKey, error) {
		k := sluice.Key{
			ID: s.ids.New(sluice.PrefixKey, now), Ledger: c.Ledger, Name: n.Name, Hash: hash, Scopes: n.Scopes,
			Created: now, Updated: now, Expires: n.Expires, MaxLinkLifetime: n.MaxLinkLifetime, Version: sluice.APIVersion,
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
		if err := s.validateKey(c, &k, now); err != nil {
			return CreatedKey{}, err
		}
		return CreatedKey{Key: k, Secret: secret}, tx.CreateKey(k, s.keyEntry(c, sluice.KeyCreated, now, audit.KeyPart(k, nil)))
	})
}

func (s *Service) newSecret(m sluice.Mode) (string, sluice.Digest, error) {
	secret, err := newKeySecret(s.random, m)
	hash, _ := hashKeySecret(secret)
	return secret, hash, err
}

// scopes is what the caller may grant.
func (c Caller) scopes() []sluice.Scope {
	if c.Actor.Type == sluice.ActorKey {
		return c.Key.Scopes
	}
	return sluice.AllScopes()
}

// validateKey holds a key that is about to be stored to the contract, and to
// what the caller may grant.
func (s *Service) validateKey(c Caller, k *sluice.Key, now time.Time) error {
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
	if err := v.Err(); err != nil || c.Actor.Type != sluice.ActorKey {
		return err
	}
	return s.grantable(c.Key, *k)
}

// governs answers CodeForbidden when the caller could not have made a key as it
// is. Otherwise a key could narrow a greater one to its own rights, rotate it,
// and act under its name.
func (s *Service) governs(c Caller, k sluice.Key) error {
	if c.Actor.Type != sluice.ActorKey {
		return nil
	}
	if err := s.grantable(c.Key, k); err != nil {
		return sluice.Wrap(sluice.CodeForbidden, "a key can change only keys with no more rights than its own", err)
	}
	return nil
}

// grantable answers CodeForbidden when a key would be more than the one that
// makes or changes it.
func (s *Service) grantable(has, k sluice.Key) error {
	for _, scope := range k.Scopes {
		if !has.Grants(scope) {
			return sluice.Errorf(sluice.CodeForbidden, "a key grants only what it has, and it lacks %s", scope)
		}
	}
	if s.linkLifetime(k) > s.linkLifetime(has) {
		return sluice.Errorf(sluice.CodeForbidden, "a key grants only what it has, and its own links live at most %s", s.linkLifetime(has))
	}
	if !has.Expires.IsZero() && (k.Expires.IsZero() || k.Expires.After(has.Expires)) {
		return sluice.Errorf(sluice.CodeForbidden, "a key grants only what it has, and the calling key itself expires at %s",
			has.Expires.Format(time.RFC3339))
	}
	return nil
}

// linkLifetime is the longest lifetime of links that a key may mint.
func (s *Service) linkLifetime(k sluice.Key) time.Duration { return s.LinkLimits().Lifetime(k) }

func (s *Service) keyEntry(c Caller, a sluice.Action, now time.Time, k *sluice.KeyPart) sluice.Entry {
	e := s.entry(c, a, now)
	e.Key = k
	return e
}

// Key gives a key of the caller's ledger, also one that has ended. It needs keys:admin.
func (s *Service) Key(ctx context.Context, c Caller, id string) (k sluice.Key, err error) {
	err = s.read(ctx, c, sluice.KeysAdmin, func(r Reader) error {
		k, err = r.Key(c.Ledger, id)
		return found(err, "key", id)
	})
	k.Used = s.used.last(k)
	return k, err
}

// Keys lists the keys of the caller's ledger. It needs keys:admin.
func (s *Service) Keys(ctx context.Context, c Caller, page sluice.Page) (list sluice.List[sluice.Key], err error) {
	err = s.read(ctx, c, sluice.KeysAdmin, func(r Reader) error {
		list, err = r.Keys(c.Ledger, page)
		return err
	})
	for i, k := range list.Data {
		list.Data[i].Used = s.used.last(k)
	}
	return list, err
}

// liveKey gives a key that was not revoked.
func liveKey(r Reader, ledger sluice.LedgerID, id string) (sluice.Key, error) {
	k, err := r.Key(ledger, id)
	if err == nil && !k.Revoked.IsZero() {
		err = NoSuch("key", id)
	}
	return k, found(err, "key", id)
}

// UpdateKey changes a key that was not revoked. A key changes only what it
// could have made itself: one that had more than the caller's key is
// CodeForbidden, also when the change would take that away. It needs
// keys:admin. A state other than the wanted revisions is CodePreconditionFailed.
func (s *Service) UpdateKey(ctx context.Context, c Caller, id string, want Versions, ch KeyChange) (sluice.Key, error) {
	return change(ctx, s.core, c, sluice.KeysAdmin, func(tx Tx, now time.Time) (sluice.Key, error) {
		k, err := liveKey(tx, c.Ledger, id)
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
		if err := s.validateKey(c, &k, now); err != nil {
			return sluice.Key{}, err
		}
		k.Updated = next(now, k.Updated)
		return k, tx.UpdateKey(k, s.keyEntry(c, sluice.KeyUpdated, now, audit.KeyPart(k, &was)))
	})
}

// MaxOverlap is the longest time that two secrets of a key may both be good.
const MaxOverlap = 7 * 24 * time.Hour

// RotateKey gives a key a new secret. The one before it stays good for the
// overlap, at most MaxOverlap; any older one ends at once. As UpdateKey does, it
// refuses a key that has more than the caller's. It needs keys:admin.
func (s *Service) RotateKey(ctx context.Context, c Caller, id string, overlap time.Duration) (CreatedKey, error) {
	if overlap < 0 || overlap > MaxOverlap {
		var v sluice.Invalid
		v.Add("overlap_seconds", "out_of_range", "overlap_seconds is 0 to %d", int64(MaxOverlap/time.Second))
		return CreatedKey{}, v.Err()
	}
	secret, hash, err := s.newSecret(c.Ledger.Mode)
	if err != nil {
		return CreatedKey{}, err
	}
	return change(ctx, s.core, c, sluice.KeysAdmin, func(tx Tx, now time.Time) (CreatedKey, error) {
		k, err := liveKey(tx, c.Ledger, id)
		if err != nil {
			return CreatedKey{}, err
		}
		if err := s.governs(c, k); err != nil {
			return CreatedKey{}, err
		}
		if err := s.validateKey(c, &k, now); err != nil {
			return CreatedKey{}, err
		}
		k.OldHash, k.OldExpires = k.Hash, now.Add(overlap)
		k.Hash, k.Updated = hash, next(now, k.Updated)
		part := audit.KeyPart(k, nil)
		part.Rights.OldExpires = k.OldExpires
		return CreatedKey{Key: k, Secret: secret}, tx.UpdateKey(k, s.keyEntry(c, sluice.KeyRotated, now, part))
	})
}

// RevokeKey ends a key, and with it every link it minted, whatever the key may
// do: whoever may administer keys may stop one that leaked. It needs keys:admin.
// A state other than the wanted revisions is CodePreconditionFailed.
func (s *Service) RevokeKey(ctx context.Context, c Caller, id string, want Versions) (Deleted, error) {
	return change(Ending(ctx), s.core, c, sluice.KeysAdmin, func(tx Tx, now time.Time) (Deleted, error) {
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

// usage remembers when keys were last used, until it is written down: a write
// for each request would cost more than the request. Its zero value is ready.
type usage struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func (u *usage) note(key string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen == nil {
		u.seen = map[string]time.Time{}
	}
	if now.After(u.seen[key]) {
		u.seen[key] = now
	}
}

// last is the newer of what is stored of a key and what is remembered.
func (u *usage) last(k sluice.Key) time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if seen := u.seen[k.ID]; seen.After(k.Used) {
		return seen
	}
	return k.Used
}

// WriteUsage writes down when keys were last used. What could not be written is
// written by the next one. It changes nothing that
// anyone decided, so no entry tells of it.
func (s *Service) WriteUsage(ctx context.Context) error {
	s.used.mu.Lock()
	seen := s.used.seen
	s.used.seen = nil
	s.used.mu.Unlock()
	if len(seen) == 0 {
		return nil
	}
	err := s.store.KeysUsed(ctx, seen)
	if err != nil { // the next WriteUsage tries again
		for id, at := range seen {
			s.used.note(id, at)
		}
	}
	return err
}
