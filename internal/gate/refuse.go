package gate

import (
	"net/netip"
	"time"

	"sluice"
	"sluice/internal/seal"
	"sluice/internal/service"
)

// refuse is the rule of redemption. It returns the reason to refuse a link, or
// "". It does not check the password; decide does. The minting key and the
// purpose count as they are now. A link minted by the operator has no key, and a
// purpose that is no longer configured has no rules.
func refuse(
	limits service.LinkLimits, seals *seal.Seals, l sluice.Link, f sluice.File, k sluice.Key, now time.Time,
	from netip.Addr,
) sluice.Refusal {
	purpose, configured := limits.Purposes[f.Purpose]
	switch {
	case !l.Revoked.IsZero():
		return l.Ended
	case !seals.TrustsLink(l) || k.ID != "" && !seals.TrustsKey(k):
		return sluice.Altered // before what the rows say is believed
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
		return sluice.Exhausted // last, because an open grant overrides it
	}
	return ""
}

// limited reports whether a link restricts its bearers or its downloads. Sluice
// sends the file of such a link itself: a presigned URL would work for anyone, any
// number of times.
func limited(l sluice.Link) bool {
	return l.MaxDownloads != 0 || l.Password != "" || len(l.AllowedIPs) != 0 || l.Access.Verifies() || l.Access.HasTerms()
}

// outlived reports whether a link has reached a longest lifetime.
func outlived(l sluice.Link, longest time.Duration, now time.Time) bool {
	return longest != sluice.Forever && !now.Before(l.Created.Add(longest))
}

// allows reports whether a link may be redeemed from an address. An IPv4-mapped
// IPv6 address counts as IPv4.
func allows(l sluice.Link, from netip.Addr) bool {
	for _, p := range l.AllowedIPs {
		if p.Contains(from.Unmap().WithZone("")) {
			return true
		}
	}
	return len(l.AllowedIPs) == 0
}

// errNoLink is the error for every token that is not authentic.
var errNoLink = sluice.Errorf(sluice.CodeNotFound, "link not found")

// ErrUnnamed says that a browser must open the URL of the link that ends with the
// name of the file: it titles an image by the end of its URL.
var ErrUnnamed = sluice.Errorf(sluice.CodeForbidden, "this link opens under the name of its file")

// ErrAsk says that a person must be asked first: for the password, or whether to
// use up a download. It keeps link previews from using up downloads.
var ErrAsk = sluice.Errorf(sluice.CodeForbidden, "this link needs a confirmation")

// errUndecided says that a View did not decide. decide does not return it.
var errUndecided = sluice.Errorf(sluice.CodeInternal, "undecided")

// errAsksPassword says that the password must be checked. Redeem does not return
// it.
var errAsksPassword = sluice.Errorf(sluice.CodeForbidden, "the link needs its password")

// refused returns the error for a refusal: CodeGone if no bearer can use the
// link, CodeForbidden if another bearer could.
func refused(r sluice.Refusal) error {
	e := &sluice.Error{Code: sluice.CodeGone, Reason: r}
	switch r {
	case sluice.Expired:
		e.Detail = "this link has expired"
	case sluice.Revoked:
		e.Detail = "this link was revoked by its owner"
	case sluice.Exhausted:
		e.Detail = "this link has reached its download limit"
	case sluice.FileDeleted:
		e.Detail = "the file of this link was deleted"
	case sluice.KeyRevoked:
		e.Detail = "the key that made this link was revoked"
	case sluice.KeyExpired:
		e.Detail = "the key that made this link has expired"
	case sluice.KeyRestricted:
		e.Detail = "the key that made this link may no longer make such links"
	case sluice.PurposeRestricted:
		e.Detail = "the purpose of this file no longer allows such links"
	case sluice.Altered:
		e.Detail = "the record of this link was altered; its sender has to make another one"
	case sluice.WrongPassword:
		e.Code = sluice.CodeForbidden
		e.Detail = "this link needs its password: send it as X-Link-Password or with Basic authentication"
	case sluice.VerificationRequired:
		e.Code = sluice.CodeUnverified
		e.Detail = "this link is for people who prove their e-mail address: open verify_url in a browser"
	case sluice.WrongCode:
		e.Code, e.Detail = sluice.CodeForbidden, "the code is wrong, or was used or sent too long ago"
	case sluice.RecipientNotAllowed:
		e.Code, e.Detail = sluice.CodeForbidden, "this link is not for your address"
	case sluice.TermsNotAccepted:
		e.Code, e.Detail = sluice.CodeForbidden, "the terms of this link must be accepted: open it in a browser"
	case sluice.TooManyCodes:
		e.Code, e.Detail = sluice.CodeForbidden, "too many codes were asked for"
	case sluice.AddressNotAllowed:
		e.Code, e.Detail = sluice.CodeForbidden, "this link may not be used from your address"
	}
	return e
}
