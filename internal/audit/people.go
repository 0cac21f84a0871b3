package audit

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"

	"sluice"
	"sluice/ledger"
)

// committer replaces values by salted commitments and writes the disclosures that open them.
type committer struct {
	disclosures object
	random      io.Reader
	err         error                  // of random
	personal    []sluice.PersonalField // names that are personal
	committed   map[string]string      // commitments to metadata and linked resources, by field
}

// commit replaces a value by its commitment. An empty value stays. The calls are in the order of the fields.
func (c *committer) commit(field string, value *string) {
	if *value == "" || c.err != nil {
		return
	}
	var salt ledger.Salt
	if _, c.err = io.ReadFull(c.random, salt[:]); c.err != nil {
		return
	}
	clear := strings.ToValidUTF8(*value, "\uFFFD")
	*value = ledger.Commit(salt, []byte(clear))
	c.disclosures.open(field)
	c.disclosures.str("salt", hex.EncodeToString(salt[:]))
	c.disclosures.key("value")
	c.disclosures.buf = ledger.AppendString(c.disclosures.buf, clear)
	c.disclosures.close()
}

// commitPeople replaces what an entry says of people, and names that are personal, by commitments, and returns their
// disclosures. It copies what it changes. Of metadata and linked resources it returns the commitments.
func commitPeople(e *sluice.Entry, random io.Reader) (disclosures []byte, committed map[string]string, err error) {
	c := committer{random: random}
	if e.File != nil {
		c.personal = e.File.Personal
	}
	c.disclosures.open("")
	c.people(e)
	c.disclosures.close()
	return c.disclosures.buf, c.committed, c.err
}

// joinObjects returns the members of two JSON objects as one.
func joinObjects(a, b []byte) []byte {
	const empty = "{}"
	switch {
	case string(a) == empty:
		return b
	case string(b) == empty:
		return a
	}
	return append(append(a[:len(a)-1], ','), b[1:]...)
}

func (c *committer) people(e *sluice.Entry) {
	if e.Actor.Type == sluice.ActorPerson {
		c.commit("/actor/email", &e.Actor.Email)
		c.commit("/actor/name", &e.Actor.Name)
	}
	if len(c.personal) > 0 {
		c.file(e)
	}
	if e.Link != nil {
		link := *e.Link
		e.Link = &link
		access := cmp.Or(link.Access, &sluice.LinkAccess{})
		sealed := *access
		c.allowed("/link/allowed_recipients", &sealed.Allowed)
		link.Before = c.before(link.Before)
		if link.Limits != nil && c.is(sluice.FieldFilename) {
			limits := *link.Limits
			link.Limits = &limits
			c.commit("/link/filename", &limits.Filename)
		}
		c.commit("/link/message", &sealed.Message)
		c.large(sluice.FieldMetadata, "/link/metadata", metadataText(link.Metadata))
		c.commit("/link/notify/email", &sealed.Notify.Email)
		c.name(sluice.FieldReason, "/link/reason", &link.Reason)
		c.commit("/link/recipient/email", &sealed.Recipient.Email)
		c.commit("/link/recipient/name", &sealed.Recipient.Name)
		if link.Access != nil {
			link.Access = &sealed
		}
	}
	if e.Recipient != nil {
		recipient := *e.Recipient
		e.Recipient = &recipient
		c.commit("/recipient/email", &recipient.Email)
		c.commit("/recipient/name", &recipient.Name)
	}
	if e.Report != nil {
		report := *e.Report
		e.Report = &report
		report.Filter = maps.Clone(report.Filter)
		for _, name := range personalFilters {
			if value := report.Filter[name]; value != "" {
				c.commit("/report/filter/"+name, &value)
				report.Filter[name] = value
			}
		}
	}
}

// personalFilters are the members of a report's Filter that are personal, in order.
var personalFilters = []string{"client_ip", "recipient"}

// allowed replaces patterns by one commitment over the patterns, joined by line feeds.
func (c *committer) allowed(field string, patterns *[]string) {
	if joined := strings.Join(*patterns, "\n"); joined != "" {
		c.commit(field, &joined)
		*patterns = []string{joined}
	}
}

// personalMember is a member of a Before that holds personal values. It is a text, an object with the personal members
// named here, or a whole value.
type personalMember struct {
	field   string // its JSON Pointer
	name    string
	members []string
	whole   bool
}

// personalOfLink are the personal members of a link's Before, in order.
var personalOfLink = []personalMember{
	{field: "/link/before/allowed_recipients", name: "allowed_recipients"},
	{field: "/link/before/message", name: "message"},
	{field: "/link/before/notify", name: "notify", members: []string{"email"}},
	{field: "/link/before/recipient", name: "recipient", members: []string{"email", "name"}},
}

// before replaces the personal values of a link's Before by commitments.
func (c *committer) before(b sluice.Before) sluice.Before {
	return eachPersonal(b, namedOfLink(c.personal), c.replace)
}

// replace returns the commitment to a value.
func (c *committer) replace(field, value string) string {
	c.commit(field, &value)
	return value
}

// eachPersonal returns a copy of a Before with each personal value replaced by the result of replace. A value that is
// replaced by "" is left out of its object.
func eachPersonal(
	b sluice.Before, members []personalMember, replace func(field, value string) string,
) sluice.Before {
	out, copied := b, false
	for _, p := range members {
		value, ok := b[p.name]
		if !ok || string(value) == "null" {
			continue
		}
		if !copied {
			out, copied = maps.Clone(b), true
		}
		switch {
		case p.whole:
			out[p.name] = replaceWhole(value, func(value string) string { return replace(p.field, value) })
			continue
		case p.members == nil:
			out[p.name] = ledger.AppendString(nil, replace(p.field, ledger.Text(value)))
			continue
		}
		w := object{}
		w.open("")
		for name, value := range ledger.Members(value) {
			if !slices.Contains(p.members, string(name)) {
				w.raw(string(name), string(value))
			} else {
				w.str(string(name), replace(p.field+"/"+string(name), ledger.Text(value)))
			}
		}
		w.close()
		out[p.name] = json.RawMessage(w.buf)
	}
	return out
}

// sealedAccess is the record of a link's access in a leaf.
type sealedAccess struct {
	Allowed  string `json:"allowed_recipients"` // a commitment, as are the other personal members
	Message  string
	Language string
	Notify   struct {
		Email string
		On    []sluice.NotifyOn
	}
	Page         sluice.PagePolicy
	Recipient    struct{ Email, Name string }
	Terms        string `json:"terms_sha256"`
	Verification sluice.Verification
	Erased       bool
}

// open adds what a leaf says of a link's access to the record of the link. reveal opens a commitment.
// metadata is the commitment to the link's, and personal are the names that are personal.
func (s sealedAccess) open(
	l *sluice.LinkPart, metadata string, personal []sluice.PersonalField, reveal func(field, commitment string) string,
) {
	a := sluice.LinkAccess{
		Verification: s.Verification, TermsSHA256: s.Terms, Page: s.Page, Language: s.Language,
		Notify: sluice.Notify{On: s.Notify.On}, Erased: s.Erased,
	}
	if patterns := reveal("/link/allowed_recipients", s.Allowed); patterns != "" {
		a.Allowed = strings.Split(patterns, "\n")
	}
	l.Before = eachPersonal(l.Before, namedOfLink(personal), reveal)
	if l.Limits != nil && slices.Contains(personal, sluice.FieldFilename) {
		l.Limits.Filename = reveal("/link/filename", l.Limits.Filename)
	}
	a.Message = reveal("/link/message", s.Message)
	if slices.Contains(personal, sluice.FieldMetadata) {
		l.Metadata = openMetadata(reveal("/link/metadata", metadata))
	}
	a.Notify.Email = reveal("/link/notify/email", s.Notify.Email)
	if slices.Contains(personal, sluice.FieldReason) {
		l.Reason = reveal("/link/reason", l.Reason)
	}
	a.Recipient.Email = reveal("/link/recipient/email", s.Recipient.Email)
	a.Recipient.Name = reveal("/link/recipient/name", s.Recipient.Name)
	if !s.isZero() {
		l.Access = &a
	}
}

func (s sealedAccess) isZero() bool {
	return s.Allowed == "" && s.Message == "" && s.Language == "" && s.Notify.On == nil && s.Page == "" &&
		s.Recipient.Email == "" && s.Recipient.Name == "" && s.Terms == "" && s.Verification == "" && !s.Erased
}
