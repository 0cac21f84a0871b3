package signin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice"
)

// Rule gives a role to the people of a group.
type Rule struct {
	Group string // as the provider names it; Everyone for all people
	Role  sluice.Role
	// Account is where the role holds; "" for the first account of the installation. Mode is the mode; "" for both.
	Account string
	Mode    sluice.Mode
}

// Everyone is the group of all people whom the provider lets sign in.
const Everyone = "*"

// maxRules limits the number of rules.
const maxRules = 1000

// ParseRules parses rules such as "auditors=auditor" and "it=admin:acct_…:test", separated by commas. What follows the
// last equals sign is the role, with an account and a mode if they are not the first account and both modes.
func ParseRules(text string) (rules []Rule, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		rule, err := parseRule(part)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", part, err)
		}
		rules = append(rules, rule)
	}
	switch {
	case len(rules) == 0:
		return nil, errors.New("it names no role; write GROUP=ROLE, such as auditors=auditor")
	case len(rules) > maxRules:
		return nil, fmt.Errorf("it has %d rules, more than %d", len(rules), maxRules)
	}
	return rules, nil
}

func parseRule(text string) (r Rule, err error) {
	i := strings.LastIndexByte(text, '=')
	if i <= 0 {
		return r, errors.New("write GROUP=ROLE, such as auditors=auditor")
	}
	parts := strings.Split(text[i+1:], ":")
	if len(parts) > 3 {
		return r, errors.New("write GROUP=ROLE:ACCOUNT:MODE")
	}
	r.Group, r.Role = strings.TrimSpace(text[:i]), sluice.Role(parts[0])
	if !slices.Contains(sluice.AllRoles(), r.Role) {
		return r, fmt.Errorf("there is no role %q; choose from viewer, sender, auditor, admin", parts[0])
	}
	if len(parts) > 1 {
		r.Account = parts[1]
	}
	if r.Account != "" && !strings.HasPrefix(r.Account, sluice.PrefixAccount) {
		return r, fmt.Errorf("%q is not the id of an account, which begins with %s", r.Account, sluice.PrefixAccount)
	}
	if len(parts) > 2 {
		r.Mode = sluice.Mode(parts[2])
		if r.Mode != sluice.Test && r.Mode != sluice.Live {
			return r, fmt.Errorf("there is no mode %q; choose test or live", parts[2])
		}
	}
	return r, nil
}

// Right is a role of a person in an account.
type Right struct {
	Account string // "" for the first account of the installation
	Mode    sluice.Mode
	Role    sluice.Role
}

// rightsOf returns the roles of someone with groups: each once, in the order of the rules.
func rightsOf(rules []Rule, groups []string) (rights []Right) {
	for _, r := range rules {
		if r.Group != Everyone && !slices.Contains(groups, r.Group) {
			continue
		}
		for _, mode := range []sluice.Mode{sluice.Test, sluice.Live} {
			right := Right{r.Account, mode, r.Role}
			if (r.Mode == "" || r.Mode == mode) && !slices.Contains(rights, right) {
				rights = append(rights, right)
			}
		}
	}
	return rights
}
