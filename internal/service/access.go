package service

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/email"
)

// canonicalAccess checks what a new link asks of people, and returns it in canonical form.
func (s *Links) canonicalAccess(v *sluice.Invalid, a sluice.Access, send bool) sluice.Access {
	a.Recipient = canonicalRecipient(v, "recipient", a.Recipient)
	a.Allowed = canonicalPatterns(v, a.Allowed)
	people := a.Recipient.Email != "" || len(a.Allowed) > 0
	switch a.Verification {
	case "":
		if people {
			a.Verification = sluice.EmailVerification
		}
	case sluice.EmailVerification:
	case sluice.NoVerification:
		a.Verification = "" // one form for one thing
		if len(a.Allowed) > 0 {
			v.Add("verification", "invalid", "allowed_recipients needs verification: without it, anyone may open the link")
		}
	default:
		v.Add("verification", "invalid", "verification is none or email")
	}
	if send && a.Recipient.Email == "" {
		v.Add("send", "invalid", "send needs a recipient")
	}
	a.Notify = canonicalNotify(v, a.Notify)
	if !s.mail {
		needMail(v, "verification", a.Verifies())
		needMail(v, "send", send)
		needMail(v, "notify", len(a.Notify.On) > 0)
	}
	validateAccessTexts(v, a)
	if !a.Page.Valid() {
		v.Add("page", "invalid", "page is auto, always or never")
	}
	a.Erased = false
	return a
}

// needMail refuses what needs a mail server where none is configured.
func needMail(v *sluice.Invalid, param string, asked bool) {
	if asked {
		v.Add(param, "no_mail_server",
			"%s needs a mail server, and this server has none: its operator sets --smtp-url", param)
	}
}

func canonicalPage(p sluice.PagePolicy) sluice.PagePolicy {
	if p == sluice.PageAuto {
		return "" // one form for one thing
	}
	return p
}

func canonicalRecipient(v *sluice.Invalid, param string, r sluice.Recipient) sluice.Recipient {
	switch {
	case r == sluice.Recipient{}:
		return r
	case r.Email == "":
		v.Add(param+".email", "required", "a recipient needs an e-mail address")
	default:
		r.Email = canonicalEmail(v, param+".email", r.Email)
	}
	validateText(v, param+".name", r.Name, sluice.MaxRecipientNameLen)
	if strings.ContainsFunc(r.Name, isNameControl) {
		v.Add(param+".name", "invalid", "%s.name holds a control character", param)
	}
	return r
}

// isNameControl reports whether a character has no place in a name: it may end a line or change the direction of what
// follows.
func isNameControl(c rune) bool {
	return unicode.IsControl(c) || unicode.In(c, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

func canonicalEmail(v *sluice.Invalid, param, address string) string {
	canonical, err := email.Canonical(address)
	if err != nil {
		v.Add(param, "invalid", "%s", err)
	}
	return canonical
}

// canonicalPatterns returns patterns in canonical form, without duplicates, in their order.
func canonicalPatterns(v *sluice.Invalid, patterns []string) (list []string) {
	if len(patterns) > sluice.MaxAllowedRecipients {
		v.Add("allowed_recipients", "too_many", "allowed_recipients has %d elements; at most %d are kept",
			len(patterns), sluice.MaxAllowedRecipients)
		return nil
	}
	for i, pattern := range patterns {
		canonical, err := email.CanonicalPattern(pattern)
		if err != nil {
			v.Add(fmt.Sprintf("allowed_recipients.%d", i), "invalid", "%s", err)
		}
		if !slices.Contains(list, canonical) {
			list = append(list, canonical)
		}
	}
	return list
}

var occasions = []sluice.NotifyOn{sluice.FirstDownload, sluice.EveryDownload, sluice.RefusedAccess, sluice.Unopened}

func canonicalNotify(v *sluice.Invalid, n sluice.Notify) sluice.Notify {
	if n.Email == "" && len(n.On) == 0 {
		return sluice.Notify{}
	}
	if n.Email == "" {
		v.Add("notify.email", "required", "notify needs an e-mail address")
	} else {
		n.Email = canonicalEmail(v, "notify.email", n.Email)
	}
	if len(n.On) == 0 {
		v.Add("notify.on", "required", "notify.on has at least one occasion")
	}
	for i, on := range n.On[:min(len(n.On), len(occasions)+1)] {
		if !slices.Contains(occasions, on) {
			v.Add(fmt.Sprintf("notify.on.%d", i), "invalid",
				"%q is no occasion: they are first_download, every_download, refused and unopened",
				audit.Clip(string(on), 40))
		}
	}
	n.On = slices.Compact(slices.Sorted(slices.Values(n.On)))
	return n
}

// validateAccessTexts checks the texts of an Access and its language.
func validateAccessTexts(v *sluice.Invalid, a sluice.Access) {
	validateText(v, "message", a.Message, sluice.MaxMessageLen)
	validateText(v, "terms", a.Terms, sluice.MaxTermsLen)
	if a.Language != "" && !slices.Contains(sluice.Languages(), a.Language) {
		v.Add("language", "invalid", "language is one of %s", strings.Join(sluice.Languages(), ", "))
	}
}

// asks reports whether a link asks something, which takes a page.
func asks(a sluice.Access, password bool) bool { return password || a.Verifies() || a.Terms != "" }

// pageOf returns the policy of a new link: what was asked for, or else that of the purpose, where it can be.
func pageOf(a sluice.Access, password bool, p sluice.Purpose) sluice.PagePolicy {
	if a.Page == "" && !(p.Page == sluice.PageNever && asks(a, password)) {
		a.Page = p.Page
	}
	return canonicalPage(a.Page)
}

// validatePage refuses a link without a page that has to ask something.
func validatePage(v *sluice.Invalid, a sluice.Access, password bool) {
	if a.Page == sluice.PageNever && asks(a, password) {
		v.Add("page", "invalid", "page is never, but a password, verification and terms are asked for on a page")
	}
}

// validateRequired refuses a link that lacks what the purpose of its file demands.
func validateRequired(v *sluice.Invalid, p sluice.Purpose, reason string, a sluice.Access) {
	for _, r := range []struct {
		requirement sluice.Requirement
		met         bool
	}{
		{sluice.RequireRecipient, a.Recipient.Email != "" || len(a.Allowed) > 0 || a.Erased},
		{sluice.RequireVerification, a.Verifies()},
		{sluice.RequireReason, reason != ""},
		{sluice.RequireTerms, a.Terms != ""},
	} {
		if p.Requires(r.requirement) && !r.met {
			v.Add(string(r.requirement), "required", "links to files of purpose %s need %s", p.Name, r.requirement)
		}
	}
}

// applyAccess applies the part of a change that is about people.
func (s *Links) applyAccess(l *sluice.Link, ch LinkChange, purpose sluice.Purpose) error {
	var v sluice.Invalid
	a := l.Access.Get()
	if ch.AllowedRecipients != nil {
		a.Allowed = canonicalPatterns(&v, *ch.AllowedRecipients)
		switch {
		case !a.Verifies():
			v.Add("allowed_recipients", "invalid", "this link verifies no address: mint another one")
		case len(a.Allowed) == 0 && a.Recipient.Email == "":
			v.Add("allowed_recipients", "required", "without a recipient, allowed_recipients has at least one element")
		default:
			a.Erased = false
		}
	}
	set(&a.Message, ch.Message)
	set(&a.Terms, ch.Terms)
	set(&a.Language, ch.Language)
	if ch.Notify != nil {
		a.Notify = canonicalNotify(&v, *ch.Notify)
		needMail(&v, "notify", !s.mail && len(a.Notify.On) > 0)
	}
	if ch.Page != nil {
		if !ch.Page.Valid() {
			v.Add("page", "invalid", "page is auto, always or never")
		}
		a.Page = canonicalPage(*ch.Page)
	}
	validateAccessTexts(&v, a)
	validatePage(&v, a, l.Password != "")
	if ch.Reason != nil || ch.Terms != nil || ch.AllowedRecipients != nil {
		validateRequired(&v, purpose, l.Reason, a)
	}
	l.Access = a.Ref()
	return v.Err()
}

// set replaces a value, unless the new one is nil.
func set[T any](value, replacement *T) {
	if replacement != nil {
		*value = *replacement
	}
}
