package sluice

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// Key is an API credential. Its secret is shown once, when it is made; what is
// stored is a hash that opens nothing.
type Key struct {
	ID      string
	Ledger  LedgerID
	Name    string
	Hash    Digest // of the secret
	Scopes  []Scope
	Created time.Time
	Updated time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: not revoked
	// MaxLinkLifetime bounds the links the key may mint: zero for the server's
	// value, Forever for links without end.
	MaxLinkLifetime time.Duration
}

// Forever is a lifetime without end.
const Forever time.Duration = math.MaxInt64

// MaxKeyNameLen is the longest name of a key, in characters.
const MaxKeyNameLen = 100

// Scope is one thing a key may do.
type Scope string

// The scopes.
const (
	FilesRead  Scope = "files:read"
	FilesWrite Scope = "files:write"
	LinksRead  Scope = "links:read"
	LinksWrite Scope = "links:write"
	AuditRead  Scope = "audit:read"
	KeysAdmin  Scope = "keys:admin"
)

// AllScopes gives every scope, in the order they are documented.
func AllScopes() []Scope {
	return []Scope{FilesRead, FilesWrite, LinksRead, LinksWrite, AuditRead, KeysAdmin}
}

// Active reports whether the key is good at a moment.
func (k Key) Active(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// Grants reports whether the key has a scope.
func (k Key) Grants(s Scope) bool { return slices.Contains(k.Scopes, s) }

// A secret is its prefix, 32 characters that carry 160 random bits, and 7 that
// carry the CRC-32 of all before, in base 32: a scanner can tell a real secret
// from a look-alike, and a mistyped one is refused without asking the store.
const (
	secretRandom = 20
	secretBody   = 32
	secretSum    = 7
)

var secretEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func secretPrefix(m Mode) string { return "sk_" + string(m) + "_" }

func newKeySecret(random io.Reader, m Mode) (string, error) {
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
func hashKeySecret(secret string) (Digest, bool) {
	for _, m := range []Mode{Test, Live} {
		body, ok := strings.CutPrefix(secret, secretPrefix(m))
		if !ok || len(body) != secretBody+secretSum {
			continue
		}
		head := secret[:len(secret)-secretSum]
		if subtle.ConstantTimeCompare([]byte(secretChecksum(head)), []byte(body[secretBody:])) == 1 {
			return sha256.Sum256([]byte(secret)), true
		}
	}
	return Digest{}, false
}

// NewKey is what a caller asks for.
type NewKey struct {
	Name            string
	Scopes          []Scope       // none for all that the caller has
	Expires         time.Time     // zero: never
	MaxLinkLifetime time.Duration // zero for the server's value, or Forever
}

// CreateKey makes a key in the caller's ledger and gives its secret, which is
// never to be had again. A key grants only what it has itself. It needs keys:admin.
func (s *Service) CreateKey(ctx context.Context, c Caller, n NewKey) (k Key, secret string, err error) {
	if secret, err = newKeySecret(s.random, c.Ledger.Mode); err != nil {
		return Key{}, "", err
	}
	hash, _ := hashKeySecret(secret)
	err = s.change(ctx, c, KeysAdmin, func(tx Tx, now time.Time) error {
		has := AllScopes()
		if c.Actor.Type == ActorKey {
			has = c.Key.Scopes
		}
		if err := n.validate(has, now); err != nil {
			return err
		}
		k = Key{
			ID: s.ids.make(PrefixKey, now), Ledger: c.Ledger, Name: n.Name, Hash: hash, Scopes: n.Scopes,
			Created: now, Updated: now, Expires: n.Expires, MaxLinkLifetime: n.MaxLinkLifetime,
		}
		e := s.entry(c, KeyCreated, now)
		e.Key = &KeyPart{ID: k.ID, Name: k.Name}
		return tx.CreateKey(k, e)
	})
	return k, secret, err
}

func (n *NewKey) validate(has []Scope, now time.Time) error {
	var v Invalid
	if n.Name == "" {
		v.Add("name", "required", "a key needs a name that says who uses it")
	}
	validateText(&v, "name", n.Name, MaxKeyNameLen)
	if len(n.Scopes) == 0 {
		n.Scopes = has
	}
	for _, scope := range n.Scopes {
		switch {
		case !slices.Contains(AllScopes(), scope):
			v.Add("scopes", "invalid", "there is no scope %q", clip(string(scope), 40))
		case !slices.Contains(has, scope):
			return Errorf(CodeForbidden, "a key grants only what it has, and it lacks %s", scope)
		}
	}
	n.Scopes = slices.Compact(slices.Sorted(slices.Values(n.Scopes)))
	if !n.Expires.IsZero() && !n.Expires.After(now) {
		v.Add("expires_at", "out_of_range", "expires_at lies in the past")
	}
	if n.MaxLinkLifetime < 0 {
		v.Add("max_link_lifetime", "out_of_range", "a lifetime is not negative")
	}
	return v.Err()
}

// Keys lists the keys of the caller's ledger. It needs keys:admin.
func (s *Service) Keys(ctx context.Context, c Caller, page Page) (list List[Key], err error) {
	err = s.read(ctx, c, KeysAdmin, func(r Reader) error {
		list, err = r.Keys(c.Ledger, page)
		return err
	})
	return list, err
}

// RevokeKey ends a key, and with it every link it minted. It needs keys:admin.
func (s *Service) RevokeKey(ctx context.Context, c Caller, id string) error {
	return s.change(ctx, c, KeysAdmin, func(tx Tx, now time.Time) error {
		k, err := tx.Key(c.Ledger, id)
		if err == nil && !k.Revoked.IsZero() {
			err = noSuch("key", id)
		}
		if err != nil {
			return found(err, "key", id)
		}
		e := s.entry(c, KeyEnded, now)
		e.Key = &KeyPart{ID: k.ID, Name: k.Name}
		return tx.RevokeKey(id, now, e)
	})
}
