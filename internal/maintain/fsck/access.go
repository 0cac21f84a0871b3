package fsck

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"sluice"
	"sluice/internal/audit"
	"sluice/internal/service"
)

// peopleCheck follows what a log says that links ask of people, and compares it with the rows. Most links ask nothing,
// and take no memory. The personal values are in the disclosures beside the log. Where a redaction has erased some of
// a link, its row may lack them too.
type peopleCheck struct {
	seed  maphash.Seed
	seqs  []int64 // of the entries that record it, and are not read yet
	links map[string]people
	files map[string]names // the personal names of files
	named map[string]names // and of links
}

// people is what the newest entry of a link records, as hashes; 0 stands for nothing.
type people struct {
	asked                                          uint64 // verification, terms, page and language
	email, name, allowed, message, notified, notes uint64 // notified is the address of notices, notes their occasions
	named                                          bool   // it has a recipient or patterns, perhaps erased
	erased                                         bool   // it records that the people were erased
	redacted                                       bool   // a redaction has erased something in this or an earlier entry
}

func newPeopleCheck() *peopleCheck {
	return &peopleCheck{
		seed: maphash.MakeSeed(), links: map[string]people{}, files: map[string]names{}, named: map[string]names{},
	}
}

// recording are the actions whose entries record what a link asks.
var recording = [][]byte{
	[]byte(`"action":"link.created"`), []byte(`"action":"link.updated"`), []byte(`"action":"link.revoked"`),
}

// recordingNames are the actions whose entries record the names of a file, or of a link and its file.
var recordingNames = append([][]byte{
	[]byte(`"action":"file.created"`), []byte(`"action":"file.updated"`), []byte(`"action":"file.held"`),
	[]byte(`"action":"file.released"`), []byte(`"action":"file.deleted"`), []byte(`"action":"file.retained_out"`),
}, recording...)

// personalMember is in the leaf of every entry of a file whose names are personal.
var personalMember = []byte(`"personal":[`)

// note follows the next entry of the log.
func (c *peopleCheck) note(seq int64, leaf []byte) {
	head := leaf[:min(len(leaf), 128)] // the action is the second member, behind the id of the account
	contains := func(in []byte) func([]byte) bool {
		return func(part []byte) bool { return bytes.Contains(in, part) }
	}
	if slices.ContainsFunc(recording, contains(head)) && slices.ContainsFunc(accessMembers, contains(leaf)) ||
		slices.ContainsFunc(recordingNames, contains(head)) && contains(leaf)(personalMember) {
		c.seqs = append(c.seqs, seq)
	}
}

// accessMembers are members of a leaf that tell what a link asks. Metadata may have members of these names.
var accessMembers = [][]byte{
	[]byte(`"allowed_recipients":`), []byte(`"erased":`), []byte(`"language":`), []byte(`"message":`),
	[]byte(`"notify":`), []byte(`"page":`), []byte(`"recipient":`), []byte(`"terms_sha256":`), []byte(`"verification":`),
}

// read reads the entries that were noted.
func (c *peopleCheck) read(r service.Reader, l sluice.LedgerID) error {
	for len(c.seqs) > 0 {
		from := c.seqs[0]
		page, err := r.Leaves(l, from, int(min(leavesPage, c.seqs[min(len(c.seqs), leavesPage)-1]-from+1)))
		if err != nil {
			return err
		}
		for len(c.seqs) > 0 && c.seqs[0] < from+int64(len(page)) {
			c.add(page[c.seqs[0]-from])
			c.seqs = c.seqs[1:]
		}
		if len(page) == 0 {
			return nil // the replay reports it
		}
	}
	return nil
}

func (c *peopleCheck) add(s audit.SealedEntry) {
	e, err := s.Open(0)
	if err == nil {
		c.addNames(e)
	}
	if err != nil || e.Link == nil || e.Link.Limits == nil {
		return // the replay reports it
	}
	was, known := c.links[e.Link.ID]
	if e.Link.Access == nil && !known {
		return
	}
	is := c.people(*cmp.Or(e.Link.Access, &sluice.LinkAccess{}))
	for _, field := range e.Redacted {
		if strings.HasPrefix(field, "/link/") && !slices.Contains(sluice.NameFields(), audit.FieldOf(field)) {
			is.redacted = true
		}
		is.named = is.named || field == "/link/recipient/email" || field == "/link/allowed_recipients"
	}
	is.redacted = is.redacted || was.redacted
	c.links[e.Link.ID] = is
}

func (c *peopleCheck) people(a sluice.LinkAccess) people {
	return people{
		asked: c.hash(string(a.Verification), a.TermsSHA256, string(a.Page), a.Language),
		email: c.hash(a.Recipient.Email), name: c.hash(a.Recipient.Name), allowed: c.hash(a.Allowed...),
		message: c.hash(a.Message), notified: c.hash(a.Notify.Email), notes: c.hash(occasions(a.Notify.On)...),
		named: a.Recipient.Email != "" || len(a.Allowed) > 0, erased: a.Erased,
	}
}

func occasions(list []sluice.NotifyOn) (out []string) {
	for _, on := range list {
		out = append(out, string(on))
	}
	return out
}

// hash returns a hash of texts, 0 if all of them are "".
func (c *peopleCheck) hash(texts ...string) uint64 {
	if strings.Join(texts, "") == "" {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, text := range texts {
		h.WriteString(text)
		h.WriteByte(0)
	}
	return h.Sum64() | 1
}

// compare returns what the row of a link contradicts of the log.
func (c *peopleCheck) compare(l sluice.Link) (problems []string) {
	log := c.links[l.ID]
	row := c.people(*cmp.Or(audit.LinkLimits(l, nil).Access, &sluice.LinkAccess{}))
	for _, member := range []struct {
		name     string
		row, log uint64
		erasable bool
	}{
		{"verification, terms, page or language", row.asked, log.asked, false},
		{"recipient", row.email, log.email, true},
		{"name of its recipient", row.name, log.name, true},
		{"allowed_recipients", row.allowed, log.allowed, true},
		{"message", row.message, log.message, true},
		{"address of notices", row.notified, log.notified, true},
		{"occasions of notices", row.notes, log.notes, true},
	} {
		wasErased := member.erasable && member.row == 0 && log.redacted
		if member.row != member.log && !wasErased {
			problems = append(problems, "its "+member.name+" differs from what the log records")
		}
	}
	switch nobody := row.email == 0 && row.allowed == 0; {
	case log.named && nobody && !row.erased:
		problems = append(problems, "the log records whom it is for, and it admits everyone")
	case row.erased && !log.erased && !(log.redacted && log.named && nobody):
		problems = append(problems, "it says that its people were erased, and no redaction erased them")
	case log.erased && !row.erased:
		problems = append(problems, "the log records that its people were erased, and it does not say so")
	}
	return problems
}
