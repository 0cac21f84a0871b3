package httpd

import (
	"net/netip"
	"strings"
)

// trust is the set of networks of the proxies whose X-Forwarded-For is believed.
type trust []netip.Prefix

func newTrust(networks []netip.Prefix) (t trust) {
	for _, p := range networks {
		t = append(t, PlainNetwork(p))
	}
	return t
}

// PlainNetwork returns an IPv4 network in its own form when it is written as IPv6.
func PlainNetwork(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

func (t trust) has(a netip.Addr) bool {
	for _, p := range t {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the address of the client. It is the peer or, behind trusted proxies, the last address in the lines of
// X-Forwarded-For that is no trusted proxy; earlier elements may be forged and are ignored. It is the zero Addr, which
// no allow list contains, when the peer has no address or a trusted proxy names something that is not an address.
// Empty elements are skipped (RFC 9110 section 5.6.1).
func (t trust) client(peer netip.Addr, forwarded []string) netip.Addr {
	at := peer
	if !t.has(at) {
		return at
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0 && t.has(at); i-- {
		if hop := strings.TrimSpace(hops[i]); hop != "" {
			at = address(hop)
		}
	}
	return at
}

// address parses an address with or without a port, and returns it without zone and not as IPv4 in IPv6.
func address(text string) netip.Addr {
	at, err := netip.ParseAddrPort(text)
	if err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
