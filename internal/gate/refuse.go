package gate

import (
	"net/netip"
	"time"

	"sluice"
	"sluice/internal/service"
)

// refuse is the rule of redemption: the reason why a link is no longer good,
// or not good for this bearer, or "". The password is decide's. The minting key
// and the purpose are judged as they are now. A link that the operator minted
// has no key, and a purpose that is not configured any more has no rules: such
// links stay good until their own end.
func refuse(
	limits service.LinkLimits, l sluice.Link, f sluice.File, k sluice.Key, now time.Time, from netip.Addr,
) sluice.Refusal {
	purpose, configured := limits.Purposes[f.Purpose]
	switch {
	case !l.Revoked.IsZero():
		return l.Ended
	case !f.Active():
		return sluice.FileDeleted
	case !k.Revoked.IsZero():
		return sluice.KeyRevoked
	case l.Expired(now):
		return sluice.Expired
	case k.ID != "" && !k.Active(now):
		return sluice.KeyExpired
	case k.ID != "" && (!k.Grants(sluice.LinksWrite) || outlived(l, limits.Lifetime(k), now)):
		return sluice.KeyRestricted
	case configured && (!purpose.Linkable || purpose.MaxLinkLifetime != 0 && outlived(l, purpose.MaxLinkLifetime, now)):
		return sluice.PurposeRestricted
	case !allows(l, from):
		return sluice.AddressNotAllowed
	case l.MaxDownloads != 0 && l.Downloads >= l.MaxDownloads:
		return sluice.Exhausted // the last, for a grant goes beyond it
	}
	return ""
}

// limited reports whether a link is for some bearers or some downloads only. An
// address of a store of bytes would be good for anyone, any number of times, so
// Sluice sends the file itself.
func limited(l sluice.Link) bool {
	return l.MaxDownloads != 0 || l.Password != "" || len(l.AllowedIPs) != 0
}

// outlived reports whether a link is as old as a longest lifetime allows, or older.
func outlived(l sluice.Link, longest time.Duration, now time.Time) bool {
	return longest != sluice.Forever && !now.Before(l.Created.Add(longest))
}

// allows reports whether a link may be redeemed from an address. An IPv4
// address that came as IPv6 is what it stands for.
func allows(l sluice.Link, from netip.Addr) bool {
	for _, p := range l.AllowedIPs {
		if p.Contains(from.Unmap().WithZone("")) {
			return true
		}
	}
	return len(l.AllowedIPs) == 0
}

// errNoLink is the one answer to every token that is not authentic.
var errNoLink = sluice.Errorf(sluice.CodeNotFound, "there is no such link")

// ErrAsk says that a person has to be asked: for the password, or whether they
// mean to spend a download. What fetches links to look at them only goes no further.
var ErrAsk = sluice.Errorf(sluice.CodeForbidden, "this link asks first")

// errUndecided never leaves decide: what was only looked at has to be decided.
var errUndecided = sluice.Errorf(sluice.CodeInternal, "undecided")

// errAsksPassword never leaves Redeem.
var errAsksPassword = sluice.Errorf(sluice.CodeForbidden, "the link asks for a password")

// refused is the error a bearer gets for a refusal: gone when no bearer can
// use the link, forbidden when another bearer could.
func refused(r sluice.Refusal) error {
	e := &sluice.Error{Code: sluice.CodeGone, Reason: r}
	switch r {
	case sluice.Expired:
		e.Detail = "this link has expired"
	case sluice.Revoked:
		e.Detail = "this link was ended by its owner"
	case sluice.Exhausted:
		e.Detail = "this link has been used as often as it may be"
	case sluice.FileDeleted:
		e.Detail = "the file behind this link was deleted"
	case sluice.KeyRevoked:
		e.Detail = "the key that made this link was revoked"
	case sluice.KeyExpired:
		e.Detail = "the key that made this link has expired"
	case sluice.KeyRestricted:
		e.Detail = "the key that made this link may no longer make one like it"
	case sluice.PurposeRestricted:
		e.Detail = "files of this purpose may no longer be linked like this"
	case sluice.WrongPassword:
		e.Code = sluice.CodeForbidden
		e.Detail = "this link needs its password: send it as X-Link-Password, or by Basic authentication"
	case sluice.AddressNotAllowed:
		e.Code, e.Detail = sluice.CodeForbidden, "this link may not be used from your address"
	}
	return e
}
