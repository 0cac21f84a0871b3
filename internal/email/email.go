// Package email brings e-mail addresses into one form, in which they can be compared.
package email

import (
	"errors"
	"strings"

	"golang.org/x/net/idna"

	"sluice"
)

// MaxLocalLen is the maximum length of the part of an address before the @, in bytes (RFC 5321, section 4.5.3.1.1).
const MaxLocalLen = 64

// atext are the characters of a local part, besides letters and digits (RFC 5322, section 3.2.3).
const atext = "!#$%&'*+-/=?^_`{|}~"

// domains maps a domain to its ASCII form in lower case (UTS #46, not transitional), and refuses what is no host name.
var domains = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.CheckHyphens(true),
	idna.CheckJoiners(true), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// Canonical returns an address in canonical form: the local part in lower case, the domain in lower case and ASCII
// (RFC 5890). Two addresses with one canonical form are taken for the same mailbox. Local parts that differ in a +tag
// or a dot are not the same. A local part is a dot-string of RFC 5321: quoted and non-ASCII ones are refused, and so
// are address literals, display names and comments. The address has at most sluice.MaxEmailLen bytes.
func Canonical(s string) (string, error) {
	local, domain, found := strings.Cut(s, "@")
	switch {
	case len(s) > 4*sluice.MaxEmailLen: // longer than any that could become short enough
		return "", errors.New("an e-mail address has at most 254 bytes")
	case !found || strings.Contains(domain, "@"):
		return "", errors.New("an e-mail address has one @, such as ann@bank.example")
	case len(local) > MaxLocalLen:
		return "", errors.New("an e-mail address has at most 64 bytes before its @")
	case local == "*":
		return "", errors.New("*@ and a domain is a pattern, not an address")
	case !isDotString(local):
		return "", errors.New("an e-mail address has letters, digits and some punctuation before its @," +
			" without spaces or quotes")
	}
	domain, err := canonicalDomain(domain)
	if err != nil {
		return "", err
	}
	if s = strings.ToLower(local) + "@" + domain; len(s) > sluice.MaxEmailLen {
		return "", errors.New("an e-mail address has at most 254 bytes")
	}
	return s, nil
}

// CanonicalPattern returns the canonical form of a pattern: an address, or *@ and a domain for all addresses of exactly
// that domain.
func CanonicalPattern(s string) (string, error) {
	domain, all := strings.CutPrefix(s, "*@")
	if !all {
		return Canonical(s)
	}
	if len(domain) > 4*sluice.MaxEmailLen || strings.Contains(domain, "@") {
		return "", errors.New("a pattern for a domain is *@ and its name, such as *@bank.example")
	}
	domain, err := canonicalDomain(domain)
	if err == nil && len("*@"+domain) > sluice.MaxEmailLen {
		err = errors.New("a pattern has at most 254 bytes")
	}
	return "*@" + domain, err
}

func canonicalDomain(s string) (string, error) {
	domain, err := domains.ToASCII(s)
	// What is invalid UTF-8 may become a domain that is none.
	if again, failed := domains.ToASCII(domain); err != nil || failed != nil || again != domain || domain == "" {
		return "", errors.New("the part after the @ is no domain name")
	}
	return domain, nil
}

// isDotString reports whether a local part is atoms that are separated by single dots (RFC 5321, section 4.1.2).
func isDotString(local string) bool {
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.IndexFunc(atom, func(c rune) bool { return !isAtext(c) }) >= 0 {
			return false
		}
	}
	return true
}

func isAtext(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(atext, c)
}

// Hide returns an address for display to someone who may not know it: its first character and its domain, such as
// a••@bank.example.
func Hide(s string) string {
	local, domain, _ := strings.Cut(s, "@")
	return local[:min(1, len(local))] + "••@" + domain
}
