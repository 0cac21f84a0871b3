package httpd

import (
	"net/http"
	"net/netip"
	"strings"
)

// trust is the set of networks whose proxies are believed when they say whom
// they speak for.
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

// client gives the address of whoever asks: the peer's or, as long as the word
// of trusted proxies goes, the one farthest back in X-Forwarded-For. What
// stands beyond the first address that is no trusted proxy's is hearsay. It is
// the zero Addr, which no allow list has, where the peer has none or a trusted
// proxy names something that is no address. Empty elements of the list are
// skipped (RFC 9110 section 5.6.1).
func (t trust) client(r *http.Request) netip.Addr {
	at := address(r.RemoteAddr)
	if !t.has(at) {
		return at
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && t.has(at); i-- {
		if hop := strings.TrimSpace(hops[i]); hop != "" {
			at = address(hop)
		}
	}
	return at
}

// address reads an address with or without a port, in its plain form.
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
