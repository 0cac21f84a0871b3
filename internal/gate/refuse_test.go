package gate

import (
	"net/netip"
	"testing"
	"time"

	"sluice"
	"sluice/internal/seal"
	"sluice/internal/service"
)

// Each rule refuses on its own, whether or not the store has already ended the
// link for the same reason.
func TestRefuse(t *testing.T) {
	now := time.Date(2026, 11, 21, 19, 0, 0, 0, time.UTC)
	limits := service.LinkLimits{MaxLifetime: 24 * time.Hour, Purposes: sluice.Purposes{
		"open": {Linkable: true}, "closed": {}, "brief": {Linkable: true, MaxLinkLifetime: time.Minute},
	}}
	minter := func(lifetime time.Duration) sluice.Key {
		return sluice.Key{ID: "key_1", Scopes: []sluice.Scope{sluice.LinksWrite}, MaxLinkLifetime: lifetime}
	}
	expiring := minter(0)
	expiring.Expires = now
	minuteOld := sluice.Link{Created: now.Add(-time.Minute)}
	younger := sluice.Link{Created: now.Add(-time.Minute + time.Microsecond)}
	unsealed := seal.New(nil, false)
	for _, c := range []struct {
		name string
		link sluice.Link
		file sluice.File
		key  sluice.Key
		want sluice.Refusal
	}{
		{"valid", sluice.Link{Expires: now.Add(time.Microsecond)}, sluice.File{}, sluice.Key{}, ""},
		{"once more", sluice.Link{MaxDownloads: 2, Downloads: 1}, sluice.File{}, sluice.Key{}, ""},
		{"exhausted", sluice.Link{MaxDownloads: 2, Downloads: 2}, sluice.File{}, sluice.Key{}, sluice.Exhausted},
		{"address allowed", sluice.Link{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.0.2.0/24")}}, sluice.File{}, sluice.Key{}, ""},
		{"address not allowed", sluice.Link{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.3.0/24")}}, sluice.File{}, sluice.Key{}, sluice.AddressNotAllowed},
		{"no expiry", sluice.Link{}, sluice.File{}, sluice.Key{}, ""},
		{"expired", sluice.Link{Expires: now}, sluice.File{}, sluice.Key{}, sluice.Expired},
		{"ended", sluice.Link{Revoked: now, Ended: sluice.Revoked, Expires: now}, sluice.File{}, sluice.Key{}, sluice.Revoked},
		{"file deleted", sluice.Link{}, sluice.File{Deleted: now}, sluice.Key{}, sluice.FileDeleted},
		{"key revoked", sluice.Link{}, sluice.File{}, sluice.Key{Revoked: now}, sluice.KeyRevoked},
		{"key expired", sluice.Link{Created: now}, sluice.File{}, expiring, sluice.KeyExpired},
		{"key without its scope", sluice.Link{Created: now}, sluice.File{}, sluice.Key{ID: "key_1", Scopes: []sluice.Scope{sluice.LinksRead}}, sluice.KeyRestricted},
		{"key valid", minuteOld, sluice.File{}, minter(0), ""},
		{"as old as the key allows", minuteOld, sluice.File{}, minter(time.Minute), sluice.KeyRestricted},
		{"younger than the key allows", younger, sluice.File{}, minter(time.Minute), ""},
		{"no expiry, as the key allows", sluice.Link{}, sluice.File{}, minter(sluice.Forever), ""},
		{"no expiry, and the key has the server's value", sluice.Link{Created: now.Add(-24 * time.Hour)}, sluice.File{}, minter(0), sluice.KeyRestricted},
		{"expired exactly now", sluice.Link{Created: now.Add(-time.Minute), Expires: now}, sluice.File{}, minter(time.Minute), sluice.Expired},
		{"purpose that may not be linked", sluice.Link{}, sluice.File{Purpose: "closed"}, sluice.Key{}, sluice.PurposeRestricted},
		{"as old as the purpose allows", minuteOld, sluice.File{Purpose: "brief"}, sluice.Key{}, sluice.PurposeRestricted},
		{"younger than the purpose allows", younger, sluice.File{Purpose: "brief"}, sluice.Key{}, ""},
		{"purpose without a lifetime", minuteOld, sluice.File{Purpose: "open"}, sluice.Key{}, ""},
		{"purpose that is not configured", minuteOld, sluice.File{Purpose: "gone"}, sluice.Key{}, ""},
	} {
		if got := refuse(limits, unsealed, c.link, c.file, c.key, now, netip.MustParseAddr("::ffff:192.0.2.7")); got != c.want {
			t.Errorf("%s: refused as %q, want %q", c.name, got, c.want)
		}
	}
}
