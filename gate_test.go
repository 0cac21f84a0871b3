package sluice

import (
	"net/netip"
	"testing"
	"time"
)

// Each rule refuses by itself, also where the store has ended the link for the
// same cause already.
func TestRefuse(t *testing.T) {
	now := time.Date(2026, 11, 21, 19, 0, 0, 0, time.UTC)
	s := &Service{lifetime: 24 * time.Hour, purposes: Purposes{
		"open": {Linkable: true}, "closed": {}, "brief": {Linkable: true, MaxLinkLifetime: time.Minute},
	}}
	minter := func(lifetime time.Duration) Key {
		return Key{ID: "key_1", Scopes: []Scope{LinksWrite}, MaxLinkLifetime: lifetime}
	}
	expiring := minter(0)
	expiring.Expires = now
	minuteOld := Link{Created: now.Add(-time.Minute)}
	younger := Link{Created: now.Add(-time.Minute + time.Microsecond)}
	for _, c := range []struct {
		name string
		link Link
		file File
		key  Key
		want Refusal
	}{
		{"good", Link{Expires: now.Add(time.Microsecond)}, File{}, Key{}, ""},
		{"once more", Link{MaxDownloads: 2, Downloads: 1}, File{}, Key{}, ""},
		{"exhausted", Link{MaxDownloads: 2, Downloads: 2}, File{}, Key{}, Exhausted},
		{"from within", Link{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.0/24")}}, File{}, Key{}, ""},
		{"from without", Link{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.3.0/24")}}, File{}, Key{}, AddressNotAllowed},
		{"without end", Link{}, File{}, Key{}, ""},
		{"expired", Link{Expires: now}, File{}, Key{}, Expired},
		{"ended", Link{Revoked: now, Ended: Revoked, Expires: now}, File{}, Key{}, Revoked},
		{"file deleted", Link{}, File{Deleted: now}, Key{}, FileDeleted},
		{"key revoked", Link{}, File{}, Key{Revoked: now}, KeyRevoked},
		{"key expired", Link{Created: now}, File{}, expiring, KeyExpired},
		{"key without its scope", Link{Created: now}, File{}, Key{ID: "key_1", Scopes: []Scope{LinksRead}}, KeyRestricted},
		{"key that is good", minuteOld, File{}, minter(0), ""},
		{"as old as the key allows", minuteOld, File{}, minter(time.Minute), KeyRestricted},
		{"younger than the key allows", younger, File{}, minter(time.Minute), ""},
		{"without end, as the key allows", Link{}, File{}, minter(Forever), ""},
		{"without end, and the key has the server's value", Link{Created: now.Add(-24 * time.Hour)}, File{}, minter(0), KeyRestricted},
		{"expired on its last moment", Link{Created: now.Add(-time.Minute), Expires: now}, File{}, minter(time.Minute), Expired},
		{"purpose that may not be linked", Link{}, File{Purpose: "closed"}, Key{}, PurposeRestricted},
		{"as old as the purpose allows", minuteOld, File{Purpose: "brief"}, Key{}, PurposeRestricted},
		{"younger than the purpose allows", younger, File{Purpose: "brief"}, Key{}, ""},
		{"purpose without a lifetime", minuteOld, File{Purpose: "open"}, Key{}, ""},
		{"purpose that is not configured", minuteOld, File{Purpose: "gone"}, Key{}, ""},
	} {
		if got := s.refuse(c.link, c.file, c.key, now, Bearer{Address: netip.MustParseAddr("::ffff:192.0.2.7")}); got != c.want {
			t.Errorf("%s: refused as %q, want %q", c.name, got, c.want)
		}
	}
}
