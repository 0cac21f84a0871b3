package httpd

import (
	"net/netip"
	"testing"
)

// An IPv6 network counts as one address, and a trusted proxy does not count.
func TestOrigin(t *testing.T) {
	l := &listener{proxies: newTrust([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})}
	for at, want := range map[string]string{
		"[2001:db8:1:2:3:4:5:6]:80":   "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:80":   "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:80":        "2001:db8:1:3::/64",
		"[fe80::1%eth0]:80":           "fe80::/64",
		"198.51.100.7:80":             "198.51.100.7/32",
		"[::ffff:198.51.100.7]:80":    "198.51.100.7/32",
		"192.0.2.1:80":                "invalid Prefix",
		"[::ffff:192.0.2.1]:80":       "invalid Prefix",
		"a socket without an address": "invalid Prefix",
	} {
		if got := l.origin(address(at)).String(); got != want {
			t.Errorf("%s is counted under %s, want %s", at, got, want)
		}
	}
}
