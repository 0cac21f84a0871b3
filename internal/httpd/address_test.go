package httpd

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzForwarded parses X-Forwarded-For from clients and proxies.
func FuzzForwarded(f *testing.F) {
	for _, line := range []string{"", "203.0.113.9", "203.0.113.9, 10.1.2.3", "[2001:db8:9::1]:4711",
		"::ffff:203.0.113.9", "fe80::1%eth0", "unknown", ",,", "10.0.0.1:x", "1.2.3.4:99999", "[", "]", "\x00"} {
		f.Add(line)
	}
	believed := newTrust([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/48")})
	f.Fuzz(func(t *testing.T, line string) {
		asked := func(peer string, lines ...string) netip.Addr {
			return believed.client(address(peer), lines)
		}
		if got := asked("203.0.113.1:5", line); got != netip.MustParseAddr("203.0.113.1") {
			t.Fatalf("%q: a stranger is taken for %v", line, got)
		}
		for _, peer := range []string{"10.0.0.1:5", "[2001:db8::1]:5", "[::ffff:10.0.0.1]:5"} {
			got := asked(peer, line)
			if got.Is4In6() || got.Zone() != "" {
				t.Fatalf("%q: %v", line, got)
			}
			if !got.IsValid() { // an element is not an address
				if strings.Trim(line, ", \t\r\n\v\f\u0085\u00a0") == "" {
					t.Fatalf("%q: nothing was said, and nobody is known", line)
				}
				continue
			}
			said := strings.ContainsFunc(line, func(r rune) bool { return '0' <= r && r <= '9' || r == ':' })
			if got != address(peer) && !said {
				t.Fatalf("%q: %v was never said", line, got)
			}
			// What a client sent comes before what the proxy adds.
			if got := asked(peer, line, "198.51.100.7"); got != netip.MustParseAddr("198.51.100.7") {
				t.Fatalf("%q, 198.51.100.7: %v", line, got)
			}
		}
	})
}

// TestUnreadableHops has a trusted proxy name something that is not an address: the client is unknown. Empty elements
// are ignored.
func TestUnreadableHops(t *testing.T) {
	believed := newTrust([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{[]string{"unknown"}, ""},
		{[]string{"203.0.113.9, unknown"}, ""},
		{[]string{"unknown, 10.0.0.2"}, ""},
		{[]string{"203.0.113.9:http"}, ""},
		{[]string{"unix:"}, ""},
		{[]string{"unknown, 203.0.113.9"}, "203.0.113.9"},
		{[]string{"203.0.113.9,"}, "203.0.113.9"},
		{[]string{"203.0.113.9", ""}, "203.0.113.9"},
		{[]string{"203.0.113.9, , 10.0.0.2,,"}, "203.0.113.9"},
		{[]string{""}, "10.0.0.1"},
		{nil, "10.0.0.1"},
	} {
		got := believed.client(address("10.0.0.1:5"), c.lines)
		if text := got.String(); got.IsValid() && text != c.want || !got.IsValid() && c.want != "" {
			t.Errorf("%q: %v, want %q", c.lines, got, c.want)
		}
	}
}
