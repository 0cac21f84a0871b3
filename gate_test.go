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
	} {
		if got := refuse(c.link, c.file, c.key, now, Bearer{Address: netip.MustParseAddr("::ffff:192.0.2.7")}); got != c.want {
			t.Errorf("%s: refused as %q, want %q", c.name, got, c.want)
		}
	}
}
