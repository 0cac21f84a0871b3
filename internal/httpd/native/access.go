package native

import (
	"cmp"
	"net/netip"

	"sluice"
	"sluice/api"
	"sluice/internal/email"
	"sluice/internal/service"
)

// newAccess returns what a new link asks of people, as the client wrote it.
func newAccess(ask api.NewLink) sluice.Access {
	a := sluice.Access{
		Allowed: ask.AllowedRecipients, Verification: sluice.Verification(ask.Verification), Message: ask.Message,
		Terms: ask.Terms, Page: sluice.PagePolicy(ask.Page), Language: ask.Language,
	}
	if ask.Recipient != nil {
		a.Recipient = sluice.Recipient(*ask.Recipient)
	}
	if ask.Notify != nil {
		a.Notify = notify(*ask.Notify)
	}
	return a
}

func recipients(list []api.Recipient) []sluice.Recipient {
	out := make([]sluice.Recipient, len(list))
	for i, r := range list {
		out[i] = sluice.Recipient(r)
	}
	return out
}

func notify(n api.Notify) sluice.Notify {
	out := sluice.Notify{Email: n.Email}
	for _, on := range n.On {
		out.On = append(out.On, sluice.NotifyOn(on))
	}
	return out
}

// accessChange adds what a change says of people.
func accessChange(ask api.LinkChange, change *service.LinkChange) {
	change.AllowedRecipients = ask.AllowedRecipients
	change.Message, change.Terms = textChange(ask.Message), textChange(ask.Terms)
	change.Language = textChange(ask.Language)
	if n, set := ask.Notify.Get(); set {
		change.Notify = &sluice.Notify{}
		if n != nil {
			*change.Notify = notify(*n)
		}
	}
	if ask.Page != "" {
		change.Page = (*sluice.PagePolicy)(&ask.Page)
	}
}

// wireAccess adds to a link what it asks of people.
func wireAccess(out *api.Link, a sluice.Access) {
	out.Recipient, out.Notify = wireRecipient(a.Recipient), wireNotify(a.Notify)
	out.AllowedRecipients = append([]string{}, a.Allowed...)
	out.Verification = string(cmp.Or(a.Verification, sluice.NoVerification))
	out.Message, out.Terms, out.Language = text(a.Message), text(a.Terms), text(a.Language)
	out.Page = string(cmp.Or(a.Page, sluice.PageAuto))
}

func wireRecipient(r sluice.Recipient) *api.Recipient {
	if r == (sluice.Recipient{}) {
		return nil
	}
	return (*api.Recipient)(&r)
}

func wireNotify(n sluice.Notify) *api.Notify {
	if len(n.On) == 0 {
		return nil
	}
	return &api.Notify{Email: n.Email, On: texts(n.On)}
}

// address reads a filter by an e-mail address.
func address(param, value string, v *sluice.Invalid) string {
	if value == "" {
		return ""
	}
	canonical, err := email.Canonical(value)
	if err != nil {
		v.Add(param, "invalid", "%s", err)
	}
	return canonical
}

// clientIP reads a filter by an address of a client.
func clientIP(value string, v *sluice.Invalid) string {
	if value == "" {
		return ""
	}
	a, err := netip.ParseAddr(value)
	if err != nil {
		v.Add("client_ip", "invalid", "client_ip must be an IP address")
		return ""
	}
	return a.Unmap().String()
}
