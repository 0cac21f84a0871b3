package signin

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice"
)

// claims are what the provider says of a person.
type claims map[string]any

// text returns a claim that is a text, or "".
func (c claims) text(name string) string {
	text, _ := c[name].(string)
	return text
}

// groups returns a claim that is a text or a list of texts.
func (c claims) groups(name string) ([]string, error) {
	switch value := c[name].(type) {
	case string:
		if name == "email" && !c.verified() {
			return nil, nil
		}
		return []string{value}, nil
	case []any:
		if len(value) > maxGroups {
			return nil, fmt.Errorf("%w: the provider names %d groups, more than %d", ErrRefused, len(value), maxGroups)
		}
		var list []string
		for _, v := range value {
			if group, ok := v.(string); ok {
				list = append(list, group)
			}
		}
		return list, nil
	}
	return nil, nil
}

// verified reports whether the provider vouches for the e-mail address: only if it says so.
func (c claims) verified() bool {
	switch v := c["email_verified"].(type) {
	case bool:
		return v
	case string:
		return v == "true"
	}
	return false
}

// disowned reports whether the provider says that it does not know whose the e-mail address is.
func (c claims) disowned() bool { return c["email_verified"] != nil && !c.verified() }

// identity returns who signed in.
func (c claims) identity(config Config) (Identity, error) {
	subject := c.text("sub")
	foreign := func(r rune) bool { return r <= ' ' || r > '~' }
	if subject == "" || len(subject) > sluice.MaxSubjectLen || strings.ContainsFunc(subject, foreign) {
		return Identity{}, fmt.Errorf("%w: the provider names the person by %d bytes, "+
			"and it should be 1 to %d characters of ASCII", ErrRefused, len(subject), sluice.MaxSubjectLen)
	}
	groups, err := c.groups(config.RolesClaim)
	if err != nil {
		return Identity{}, err
	}
	person := sluice.Person{Issuer: config.Issuer, Subject: subject, Name: personName(c)}
	if address := c.text("email"); !c.disowned() && isAddress(address) {
		person.Email = address
	}
	return Identity{person, rightsOf(config.Rules, groups)}, nil
}

// personName returns the name of a person in one line of bounded length.
func personName(c claims) string {
	name := c.text("name")
	if name == "" {
		name = c.text("preferred_username")
	}
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1 // among them the marks that change the direction of a text
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	name = strings.TrimSpace(name)
	if utf8.RuneCountInString(name) > sluice.MaxPersonNameLen {
		name = string([]rune(name)[:sluice.MaxPersonNameLen])
	}
	return name
}

// isAddress reports whether a text looks like an e-mail address of bounded length. It is shown, and nothing is sent to
// it.
func isAddress(text string) bool {
	at := strings.LastIndexByte(text, '@')
	return at > 0 && at < len(text)-1 && len(text) <= sluice.MaxEmailLen && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) })
}
