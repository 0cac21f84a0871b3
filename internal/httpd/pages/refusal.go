package pages

import (
	"net/http"

	"sluice"
)

// Refusal is what the page of a refused request shows.
type Refusal struct {
	Reason    sluice.Refusal // "" if no rule of links refused it
	Status    int
	RequestID string
}

// Refusal answers with the page that says why a link does not open. lang is the language of the link; "" leaves it to
// the browser.
func (s *Site) Refusal(w http.ResponseWriter, r *http.Request, status int, lang string, p Refusal) {
	p.Status = status
	v := view{Language: language(r, lang), Page: p}
	v.Title = v.T(p.title())
	s.show(w, r, status, "refusal", v)
}

// reasons names the text that explains a refusal, by its reason.
var reasons = map[sluice.Refusal]string{
	sluice.KeyRevoked:           "sender_may_not",
	sluice.KeyExpired:           "sender_may_not",
	sluice.KeyRestricted:        "sender_may_not",
	sluice.PurposeRestricted:    "kind_may_not",
	sluice.FileDeleted:          "file_deleted",
	sluice.Exhausted:            "no_downloads_left",
	sluice.Altered:              "link_altered",
	sluice.WrongPassword:        "needs_password",
	sluice.AddressNotAllowed:    "network_not_allowed",
	sluice.VerificationRequired: "needs_verification",
	sluice.WrongCode:            "wrong_code",
	sluice.RecipientNotAllowed:  "recipient_not_allowed",
	sluice.TermsNotAccepted:     "terms_not_accepted",
	sluice.TooManyCodes:         "too_many_codes",
}

// title names the short text of a refusal.
func (p Refusal) title() string {
	switch {
	case p.Reason == sluice.Expired:
		return "title_expired"
	case p.Reason == sluice.Revoked:
		return "title_revoked"
	}
	switch p.Status {
	case http.StatusNotFound:
		return "title_not_found"
	case http.StatusGone:
		return "title_gone"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "title_forbidden"
	case http.StatusTooManyRequests:
		return "title_too_many"
	}
	if p.Status < http.StatusInternalServerError {
		return "title_invalid"
	}
	return "title_unavailable"
}

// Explanation names the text that explains the refusal; "" if the title says it all.
func (p Refusal) Explanation() string {
	if p.Reason == sluice.Expired || p.Reason == sluice.Revoked {
		return ""
	}
	if p.Status == http.StatusTooManyRequests && p.Reason == "" {
		return "too_many_passwords"
	}
	if name, ok := reasons[p.Reason]; ok {
		return name
	}
	switch p.Status {
	case http.StatusNotFound:
		return "not_found"
	case http.StatusGone:
		return "gone"
	case http.StatusForbidden:
		return "use_button"
	}
	if p.Status < http.StatusInternalServerError {
		return "invalid"
	}
	return "try_later"
}

// AskSender reports whether only the sender can help.
func (p Refusal) AskSender() bool {
	switch p.Status {
	case http.StatusNotFound, http.StatusGone:
		return true
	}
	return p.Reason == sluice.AddressNotAllowed || p.Reason == sluice.RecipientNotAllowed
}
